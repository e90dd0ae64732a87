"""A dry run: a plugin's callbacks are called for events, and their changes only printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec

from sgevents_core.calling.batches import BatchRequest, batch_request, bind_key
from sgevents_core.calling.context import CallContext, Services
from sgevents_core.calling.describing import describe_error
from sgevents_core.calling.journal_events import event_of, read_scripts
from sgevents_core.calling.making import CallRequest, make_call
from sgevents_core.calling.outcome import CallOutcome, RaisedError
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
from sgevents_core.printable import counted
from sgevents_core.requests.dry_parts import DryParts
from sgevents_core.scripts import Scripts
from sgevents_core.settings import Settings, format_duration
from sgevents_core.site.guarded import GuardedShotgun
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import ReplayEvent

if TYPE_CHECKING:
    from sgevents_core.protocols import Context

PrintLine = Callable[[str], None]

READ_METHODS: Final = frozenset(
    {
        *("info", "read", "summarize", "schema_read", "schema_entity_read", "schema_field_read"),
        *("followers", "following", "note_thread_contents", "query_display_name_cache"),
        *("activity_stream", "nav_expand", "nav_search", "preferences_read"),
        *("work_schedule_read", "user_subscriptions_read", "get_session_token", "export_page"),
    }
)
"""Methods of the API that change nothing; every other is blocked."""
_MAX_SHOWN_LENGTH: Final = 300


Batches: TypeAlias = "dict[tuple[str, str, int], tuple[Callback, list[ReplayEvent]]]"
"""The events that callbacks take in batches, by the callback's name, the key and a count."""


class CallCounts(NamedTuple):
    """The result of a dry run: the number of calls, and how many of them failed."""

    call_count: int
    failed_count: int


class ReadOnlySite(GuardedShotgun):
    """The client of plugins, which prints changes instead of making them."""

    print_line: PrintLine = staticmethod(print)
    redact_secrets: Callable[[str], str] = staticmethod(str)
    _last_new_id = 0

    def _call_rpc(
        self, method: str, params: Any, include_auth_params: bool = True, first: bool = False
    ) -> Any:
        if method in READ_METHODS:
            return super()._call_rpc(method, params, include_auth_params, first)
        return self._print_change(method, params)

    def _print_change(self, method: str, params: Any) -> Any:
        """Print a change, and return what the site might have answered."""
        if method == "batch":
            return [self._print_change(part["request_type"], part) for part in params]
        entity_text = f"{params.get('type', '')} {params.get('id', '')}" if params else ""
        written_fields = {
            part["field_name"]: part["value"] for part in (params or {}).get("fields", ())
        }
        other_params = {
            key: value for key, value in (params or {}).items() if key not in _IDENTIFYING_KEYS
        }
        values_text = _shorten_value(written_fields or other_params, self.redact_secrets)
        self.print_line(" ".join(["    would", method, *entity_text.split(), values_text]).rstrip())
        if method not in {"create", "update"}:
            return True
        if method == "create":
            self._last_new_id -= 1  # no record has a negative id, so none is mistaken for another
        return {"id": params.get("id", self._last_new_id), "type": params["type"], **written_fields}

    def _send_form(self, url: str, params: dict[str, Any]) -> str:
        self.print_line(f"    would send {_shorten_value(params, self.redact_secrets)} to {url}")
        return "1\n0"

    def _upload_to_storage(self, *args: Any, **kwargs: Any) -> int:
        return self._print_upload(args)

    def _upload_to_sg(self, *args: Any, **kwargs: Any) -> int:
        return self._print_upload(args)

    def _print_upload(self, args: tuple[Any, ...]) -> int:
        self.print_line(f"    would upload {args[2]} to {args[0]} {args[1]}")
        return 0


_IDENTIFYING_KEYS: Final = frozenset({"type", "id", "fields", "return_fields", "request_type"})


class DryServices(Services):
    """The values that a plugin's calls share in a dry run."""

    dry_run = True
    scripts: Scripts | None = None
    print_line: PrintLine = staticmethod(print)

    def site_class(self) -> type[GuardedShotgun]:
        """Return a client that changes nothing."""
        class_members = {
            "print_line": staticmethod(self.print_line),
            "redact_secrets": staticmethod(self.redact),
        }
        return type("ReadOnlySite", (ReadOnlySite,), class_members)


def dry_run(
    settings: Settings,
    plugin_name: str,
    replayed_events: Iterable[ReplayEvent],
    print_line: PrintLine,
) -> CallCounts:
    """Call a plugin's callbacks for events, in this process, and change nothing.

    The plugin is loaded and started as in a daemon. It begins with its current store; changes to it
    are visible to later calls, printed, and discarded at the end.

    Args:
        settings: The configuration.
        plugin_name: The plugin's name.
        replayed_events: The events, in order.
        print_line: Prints a line for people.

    Raises:
        PluginNotLoaded: It is not enabled, or cannot be loaded or started.
        StateError: The state cannot be read.
    """
    loaded_plugin, services = _load_plugin(settings, plugin_name, print_line)
    startup_error = _call_hook(loaded_plugin, services, "startup")
    if startup_error is not None:
        raise PluginNotLoaded(plugin=plugin_name, reason=f"its startup failed: {startup_error}.")
    call_counts = CallCounts(0, 0)
    batches: Batches = {}
    for event in replayed_events:
        print_line(f"event {event.event_id}")
        call_counts = _call_callbacks(loaded_plugin, services, event, call_counts, batches)
    for callback, batch in batches.values():
        print_line(f"a batch of {counted(len(batch), 'event')} from event {batch[0].event_id}")
        request = batch_request(
            replace(callback, function=_announce_calls(callback, print_line)),
            [event.body for event in batch],
            batch[0],
            services,
            services.scripts,
        )
        call_counts = _make_call(callback, request, services, call_counts)
    _call_hook(loaded_plugin, services, "shutdown")
    return call_counts


def _load_plugin(
    settings: Settings, plugin_name: str, print_line: PrintLine
) -> tuple[LoadedPlugin, DryServices]:
    plugin_table = settings.plugins.get(plugin_name)
    if plugin_table is None or not plugin_table.enabled:
        raise PluginNotLoaded(plugin=plugin_name, reason="it is not enabled.")
    plugin_settings = msgspec.structs.replace(settings, plugins={plugin_name: plugin_table})
    loaded = load_after_trial(plugin_settings, find_plugins(settings))
    if not loaded.plugins:
        raise PluginNotLoaded(plugin=plugin_name, reason=loaded.statuses[0].reason)
    with closing(open_state(settings.state.path).reader()) as state_reader:
        services = services_of(plugin_settings, loaded, state_reader, DryServices)[plugin_name]
    assert isinstance(services, DryServices)  # noqa: S101 - requested in the line above
    services.print_line, services.scripts = print_line, read_scripts(settings.state.path)
    services.part_records = DryParts(settings.state.path, print_line)
    return loaded.plugins[0], services


def _call_hook(plugin: LoadedPlugin, services: Services, hook_name: str) -> str | None:
    hook_function = plugin.hooks.get(hook_name)
    if hook_function is None:
        return None
    context = CallContext(services, None, hook_name)
    error = invoke(CurrentCall(services.name, hook_name), hook_function, context)
    changes = context.end()
    if error is None and changes:
        services.store.commit(changes)
    context.release_store()
    return None if error is None else describe_error(error, services.redact)[0]


def _call_callbacks(
    plugin: LoadedPlugin,
    services: DryServices,
    replayed: ReplayEvent,
    call_counts: CallCounts,
    batches: Batches,
) -> CallCounts:
    """Call a plugin's callbacks for an event; add it to the batches of those that take any."""
    event = event_of(replayed.body, services.scripts)
    for callback in plugin.callbacks:
        if not callback.accepts_type(event.event_type):
            continue
        keys: list[str] = []
        called = replace(callback, function=_announce_calls(callback, services.print_line))
        if callback.batch is not None:
            called = bind_key(callback, keys)
        request = CallRequest(called, event, replayed, services, runs_filter=True)
        call_counts = _make_call(callback, request, services, call_counts)
        for key in keys:
            _add_to_batch(batches, callback, key, replayed)
    return call_counts


def _add_to_batch(batches: Batches, callback: Callback, key: str, replayed: ReplayEvent) -> None:
    """Add an event to the batch of its key, or to the next one if that is full."""
    rules, batch_number = callback.batch, 1
    while rules is not None:
        _, batch = batches.setdefault((callback.name, key, batch_number), (callback, []))
        if len(batch) < rules.size:
            batch.append(replayed)
            return
        batch_number += 1


def _make_call(
    callback: Callback,
    request: CallRequest,
    services: DryServices,
    call_counts: CallCounts,
) -> CallCounts:
    """Make a call, print what it did, and return the counts with it."""
    outcome = make_call(request)
    is_key = callback.batch is not None and not isinstance(request, BatchRequest)
    if not outcome.is_unwanted:
        _print_outcome(callback, outcome, services)
        call_counts = CallCounts(
            call_counts.call_count + (outcome.was_called and not is_key),
            call_counts.failed_count + _has_failed(outcome),
        )
    request.release_store()
    return call_counts


def _announce_calls(
    callback: Callback, print_line: PrintLine
) -> Callable[[Event, Context], object]:
    """Return the function of a callback, which is named for people before it is called."""

    def announce_and_call(event: Event, context: Context) -> object:
        print_line(f"  {callback.name}")
        return callback.function(event, context)

    return announce_and_call


def _print_outcome(callback: Callback, outcome: CallOutcome, services: DryServices) -> None:
    if not outcome.was_called:
        services.print_line(f"  {callback.name}: its filter")
    if outcome.error is not None:
        services.print_line("\n".join(f"    {line}" for line in _error_lines(outcome.error)))
        return
    if outcome.ignored:
        services.print_line(f"    ignored: {outcome.ignored}")
    if outcome.store_changes:
        _print_store_changes(outcome.store_changes, services)
        services.store.commit(outcome.store_changes)


def _has_failed(outcome: CallOutcome) -> bool:
    """Return whether a call has failed; one that asks to be made again later has not."""
    if outcome.error is None:
        return False
    return not outcome.error.facts.asks_retry and outcome.error.facts.defer_after is None


def _error_lines(error: RaisedError) -> list[str]:
    reason = error.line.partition(": ")[2] or "it gives no reason"
    if error.facts.defer_after is not None:
        wait = format_duration(error.facts.defer_after)
        return [f"would get this event again in {wait}: {reason}"]
    if error.facts.asks_retry:
        return [f"would be called again: {reason}"]
    return error.traceback.splitlines()


def _print_store_changes(store_changes: StoreChanges, services: DryServices) -> None:
    for key, value in store_changes.items():
        if value is None:
            services.print_line(f"    would remove {key!r} from its store")
        else:
            value_text = _shorten_value(msgspec.json.decode(value), services.redact)
            services.print_line(f"    would keep {key!r} in its store: {value_text}")


def _shorten_value(value: Any, redact_secrets: Callable[[str], str]) -> str:
    value_text = redact_secrets(json.dumps(value, default=str)) if value else ""
    return (
        value_text
        if len(value_text) <= _MAX_SHOWN_LENGTH
        else f"{value_text[:_MAX_SHOWN_LENGTH]}..."
    )
