"""A dry run: a plugin's callbacks are called for events, and their changes only printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from sgevents_core.calling.context import CallContext, Services
from sgevents_core.calling.describing import describe
from sgevents_core.calling.journal_events import event_of, read_scripts
from sgevents_core.calling.making import CallRequest, make_call
from sgevents_core.calling.outcome import CallOutcome
from sgevents_core.calling.store import StoreChanges
from sgevents_core.classic.finding import find_plugins
from sgevents_core.crashes.loading_apart import load_after_trial
from sgevents_core.dispatch.wiring import services_of
from sgevents_core.errors import PluginNotLoaded
from sgevents_core.events import Event
from sgevents_core.observe.current_call import CurrentCall
from sgevents_core.observe.invoking import invoke
from sgevents_core.plugins.callback import Callback
from sgevents_core.plugins.loading import LoadedPlugin
from sgevents_core.scripts import Scripts
from sgevents_core.settings import Settings
from sgevents_core.site.guarded import GuardedShotgun
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import ReplayEvent

if TYPE_CHECKING:
    from sgevents_core.protocols import Context

Tell = Callable[[str], None]

READS: Final = frozenset(
    {
        *("info", "read", "summarize", "schema_read", "schema_entity_read", "schema_field_read"),
        *("followers", "following", "note_thread_contents", "query_display_name_cache"),
        *("activity_stream", "nav_expand", "nav_search", "preferences_read"),
        *("work_schedule_read", "user_subscriptions_read", "get_session_token", "export_page"),
    }
)
"""Methods of the API that change nothing; every other is blocked."""
_MOST_SHOWN: Final = 300


class Ran(NamedTuple):
    """The result of a dry run: the number of calls, and how many of them failed."""

    calls: int
    failed: int


class ReadOnlySite(GuardedShotgun):
    """The client of plugins, which prints changes instead of making them."""

    tell: Tell = staticmethod(print)
    redact: Callable[[str], str] = staticmethod(str)
    _made = 0

    def _call_rpc(
        self, method: str, params: Any, include_auth_params: bool = True, first: bool = False
    ) -> Any:
        if method in READS:
            return super()._call_rpc(method, params, include_auth_params, first)
        return self._blocked(method, params)

    def _blocked(self, method: str, params: Any) -> Any:
        """Print a change, and return what the site might have answered."""
        if method == "batch":
            return [self._blocked(one["request_type"], one) for one in params]
        what = f"{params.get('type', '')} {params.get('id', '')}" if params else ""
        fields = {one["field_name"]: one["value"] for one in (params or {}).get("fields", ())}
        other = {k: v for k, v in (params or {}).items() if k not in _NAMED}
        given = _short(fields or other, self.redact)
        self.tell(" ".join(["    would", method, *what.split(), given]).rstrip())
        if method not in {"create", "update"}:
            return True
        if method == "create":
            self._made -= 1  # no record has a negative id, so none is mistaken for another
        return {"id": params.get("id", self._made), "type": params["type"], **fields}

    def _send_form(self, url: str, params: dict[str, Any]) -> str:
        self.tell(f"    would send {_short(params, self.redact)} to {url}")
        return "1\n0"

    def _upload_to_storage(self, *args: Any, **kwargs: Any) -> int:
        return self._uploaded(args)

    def _upload_to_sg(self, *args: Any, **kwargs: Any) -> int:
        return self._uploaded(args)

    def _uploaded(self, args: tuple[Any, ...]) -> int:
        self.tell(f"    would upload {args[2]} to {args[0]} {args[1]}")
        return 0


_NAMED: Final = frozenset({"type", "id", "fields", "return_fields", "request_type"})


class DryServices(Services):
    """The values that a plugin's calls share in a dry run."""

    dry_run = True
    scripts: Scripts | None = None
    tell: Tell = staticmethod(print)

    def site_class(self) -> type[GuardedShotgun]:
        """Return a client that changes nothing."""
        does = {"tell": staticmethod(self.tell), "redact": staticmethod(self.redact)}
        return type("ReadOnlySite", (ReadOnlySite,), does)


def dry_run(settings: Settings, plugin: str, events: Iterable[ReplayEvent], tell: Tell) -> Ran:
    """Call a plugin's callbacks for events, in this process, and change nothing.

    The plugin is loaded and started as in a daemon. It begins with its current store; changes to it
    are visible to later calls, printed, and discarded at the end.

    Args:
        settings: The configuration.
        plugin: The plugin's name.
        events: The events, in order.
        tell: Prints a line for people.

    Raises:
        PluginNotLoaded: It is not enabled, or cannot be loaded or started.
        StateError: The state cannot be read.
    """
    loaded, services = _load(settings, plugin, tell)
    error = _hook(loaded, services, "startup")
    if error is not None:
        raise PluginNotLoaded(plugin=plugin, reason=f"its startup failed: {error}.")
    ran = Ran(0, 0)
    for event in events:
        tell(f"event {event.event_id}")
        ran = _call_all(loaded, services, event, tell, ran)
    _hook(loaded, services, "shutdown")
    return ran


def _load(settings: Settings, name: str, tell: Tell) -> tuple[LoadedPlugin, DryServices]:
    table = settings.plugins.get(name)
    if table is None or not table.enabled:
        raise PluginNotLoaded(plugin=name, reason="it is not enabled.")
    only = msgspec.structs.replace(settings, plugins={name: table})
    loaded = load_after_trial(only, find_plugins(settings))
    if not loaded.plugins:
        raise PluginNotLoaded(plugin=name, reason=loaded.statuses[0].reason)
    with closing(open_state(settings.state.path).reader()) as state:
        services = services_of(only, loaded, state, DryServices)[name]
    assert isinstance(services, DryServices)  # noqa: S101 - asked for in the line above
    services.tell, services.scripts = tell, read_scripts(settings.state.path)
    return loaded.plugins[0], services


def _hook(plugin: LoadedPlugin, services: Services, hook: str) -> str | None:
    function = plugin.hooks.get(hook)
    if function is None:
        return None
    context = CallContext(services, None, hook)
    error = invoke(CurrentCall(services.name, hook), function, context)
    changes = context.end()
    if error is None and changes:
        services.store.commit(changes)
    context.release_store()
    return None if error is None else describe(error, services.redact)[0]


def _call_all(
    plugin: LoadedPlugin, services: DryServices, replayed: ReplayEvent, tell: Tell, ran: Ran
) -> Ran:
    event = event_of(replayed.body, services.scripts)
    for callback in plugin.callbacks:
        if not callback.accepts_type(event.event_type):
            continue
        announced = replace(callback, function=_announced(callback, tell))
        request = CallRequest(announced, event, replayed, services, runs_filter=True)
        outcome = make_call(request)
        if not outcome.is_unwanted:
            _tell_outcome(callback, outcome, services)
            ran = Ran(ran.calls + outcome.was_called, ran.failed + (outcome.error is not None))
        request.release_store()
    return ran


def _announced(callback: Callback, tell: Tell) -> Callable[[Event, Context], object]:
    """Return the function of a callback, which is named for people before it is called."""

    def function(event: Event, ctx: Context) -> object:
        tell(f"  {callback.name}")
        return callback.function(event, ctx)

    return function


def _tell_outcome(callback: Callback, outcome: CallOutcome, services: DryServices) -> None:
    if not outcome.was_called:
        services.tell(f"  {callback.name}: its filter")
    if outcome.error is not None:
        lines = outcome.error.traceback.splitlines()
        services.tell("\n".join(f"    {line}" for line in lines))
    elif outcome.store_changes:
        _tell_store(outcome.store_changes, services)
        services.store.commit(outcome.store_changes)


def _tell_store(changes: StoreChanges, services: DryServices) -> None:
    for key, value in changes.items():
        if value is None:
            services.tell(f"    would remove {key!r} from its store")
        else:
            kept = _short(msgspec.json.decode(value), services.redact)
            services.tell(f"    would keep {key!r} in its store: {kept}")


def _short(value: Any, redact: Callable[[str], str]) -> str:
    text = redact(json.dumps(value, default=str)) if value else ""
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
