"""Harness: runs plugins on events as the daemon does, and reports what they did."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Final, Protocol

from sgevents_core.dispatch.plan import Explanation, Plan
from sgevents_core.errors import AlreadyHandedError
from sgevents_core.events import Event, scripts_of
from sgevents_core.moments import api_timestamp, seconds_of
from sgevents_core.scripts import Scripts
from sgevents_core.settings import (
    DEFAULT_LANE,
    FeedSettings,
    GroupSettings,
    LaneSettings,
    Secret,
    Settings,
    SiteSettings,
    StateSettings,
)
from sgevents_core.site.client import EventLog
from sgevents_core.site.questions import Page
from sgevents_core.site.script_lookup import ScriptLookup
from sgevents_core.state.entries import Row
from sgevents_core.state.requests import ReplayEvent
from sgevents_core.testing.given import GivenPlugin, discovery_with, given_plugin
from sgevents_core.testing.results import Result
from sgevents_core.testing.session import Session, folder_for

if TYPE_CHECKING:
    from types import TracebackType

    from sgevents_core.sandbox import Sandbox

PAGE: Final = 500
ERA: Final = 1
NO_SITE: Final = SiteSettings(
    url="https://no-site.invalid", script_name="sgevents", api_key=Secret("demo-key")
)


class MakeHarness(Protocol):
    """The type of the fixture `sgevents_harness`, whose harnesses are closed after the test."""

    def __call__(self, plugin: object = None, name: str | None = None, **options: Any) -> Harness:
        """Return a harness; the arguments are those of `Harness`."""


class Harness:
    """A runner of plugins on events, like the daemon.

    Plugins are loaded and checked like the daemon's, and called in the same order through the same
    filters; failures are judged, retried and dead-lettered by the same policy; `ctx` is the real
    one. Only time does not pass: a plugin that is held is called again at once. Use it as a context
    manager, or close it.

    Args:
        plugin: A module, an instance, or the name of a plugin that is installed; None to `enable`
            some later.
        name: The plugin's name; by default that of its entry point or its module.
        settings: Its own settings, as the configuration would have them; with Secret for secrets.
        site: A sandbox: `ctx.sg` is a real client of it. Without one, `ctx.sg` is a recorder.
        records: What the recorder can read: mappings with `type`, `id` and fields.
        store: The initial content of `ctx.store`.
        groups: Names of groups, in order.
        fields: Fields of events to read from the site besides the usual ones, as `[feed] fields`.
        dry_run: The value of `ctx.dry_run`.
        stopping: The value of `ctx.stopping`.
        table: More keys of `[plugins.NAME]`: `group`, `on_error`, `max_attempts`, `pause_after`,
            `script_name`, `api_key` and so on.
    """

    def __init__(
        self,
        plugin: object = None,
        name: str | None = None,
        *,
        settings: Any = None,
        site: Sandbox | None = None,
        records: Iterable[Mapping[str, Any]] = (),
        store: Mapping[str, Any] | None = None,
        groups: Sequence[str] = (),
        fields: Sequence[str] = (),
        dry_run: bool = False,
        stopping: bool = False,
        **table: Any,
    ) -> None:
        self.site: Final = site
        self._records = None if site is not None else list(records)
        self._groups = tuple(GroupSettings(name=group) for group in groups)
        self._fields = tuple(fields)
        self._dry_run = dry_run
        self._stopping = threading.Event()
        if stopping:
            self._stopping.set()
        self._plugins: dict[str, GivenPlugin] = {}
        self._stores: dict[str, Mapping[str, Any]] = {}
        self._handed: dict[int, ReplayEvent] = {}
        self._read = site.log.highest_id if site is not None else 0
        self._scripts = Scripts()
        self._open = ExitStack()
        self._session: Session | None = None
        if plugin is not None:
            self.enable(plugin, name, settings=settings, store=store, **table)

    def enable(
        self,
        plugin: object,
        name: str | None = None,
        *,
        settings: Any = None,
        store: Mapping[str, Any] | None = None,
        **table: Any,
    ) -> str:
        """Enable one more plugin before the first run; return its name.

        The arguments are those of the harness.
        """
        if self._session is not None:
            raise RuntimeError("enable plugins before the first run: they start together")
        one = given_plugin(plugin, name, settings, table)
        self._plugins[one.plugin_name] = one
        self._stores[one.plugin_name] = store or {}
        return one.plugin_name

    def __enter__(self) -> Harness:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> Result:
        """Stop the plugins as the daemon does; return what their `shutdown` did."""
        session, self._session = self._session, None
        with self._open:
            if session is None:
                return Result()
            session.close()
            return session.watch.result

    def start(self) -> None:
        """Load the plugins and call their `startup`; otherwise the first run does so.

        Raises:
            PluginError: A plugin cannot be used; the message says why and what to do.
        """
        self._started()

    def run(
        self, *events: Event | Mapping[str, Any] | Iterable[Event], retry: bool = True
    ) -> Result:
        """Hand events to the plugins, and return what they did.

        Args:
            events: Events, rows as mappings, or lists of events; in this order.
            retry: Whether a plugin that is held is called again at once, until it has succeeded or
                failed for good. If not, it stays held: the next run continues with it.

        Raises:
            PluginError: A plugin cannot be used.
            AlreadyHandedError: An event with this id was handed to the plugins before.
        """
        session = self._started()
        self._append(session, [self._row(event) for event in _flat(events)])
        return _checked(session.run(retry=retry))

    def catch_up(self, *, retry: bool = True) -> Result:
        """Hand the plugins all events that the site has had since the harness was made.

        What plugins write makes events too, which are handed over at the next call.

        Args:
            retry: As for `run`.

        Raises:
            ValueError: There is no site.
        """
        if self.site is None:
            raise ValueError("there is no site to catch up with: Harness(plugin, site=site)")
        session = self._started()
        self._append(session, self._read_new_rows())
        return _checked(session.run(retry=retry))

    def replay(self, *events: Event | Mapping[str, Any] | Iterable[Event]) -> Result:
        """Call the callbacks for events again, as `sgevents replay` does.

        `ctx.key` is the same as before: with it a plugin can avoid acting twice.
        """
        session = self._started()
        rows = [self._row(event) for event in _flat(events)]
        strange = [ReplayEvent(ERA, 0, row.id, row.body) for row in rows]
        again = [self._handed.get(one.event_id, one) for one in strange]
        return _checked(session.replay(again))

    def explain(self, event: Event) -> list[Explanation]:
        """Return for every callback, in call order, whether it is called for `event`, or why not.

        Each item has `callback`, `matched` and `why_not`.
        """
        return Plan(self._started().loaded.callbacks).explain(event)

    def _started(self) -> Session:
        if self._session is None:
            self._session = Session(
                self._settings(),
                discovery_with(self._plugins),
                stores=self._stores,
                records=self._records,
                dry_run=self._dry_run,
                stopping=self._stopping,
                scripts=self._scripts,
            )
        return self._session

    def _settings(self) -> Settings:
        folder = folder_for(self._open)
        return Settings(
            path=folder / "sgevents.toml",
            site=self._site_settings(),
            feed=FeedSettings(fields=self._fields),
            state=StateSettings(path=folder),
            groups=self._groups,
            lanes={DEFAULT_LANE: LaneSettings()},
            plugins={name: one.plugin_settings for name, one in self._plugins.items()},
        )

    def _site_settings(self) -> SiteSettings:
        if self.site is None:
            return NO_SITE
        return SiteSettings(
            url=self.site.url,
            script_name=self.site.script_name,
            api_key=Secret(self.site.api_key),
        )

    def _append(self, session: Session, rows: Sequence[Row]) -> None:
        known = set(self._handed)
        for row in rows:
            if row.id in known:
                raise AlreadyHandedError(event_id=row.id)
            known.add(row.id)
        end = session.append(rows)
        for seq, row in enumerate(rows, end - len(rows) + 1):
            self._handed[row.id] = ReplayEvent(ERA, seq, row.id, row.body)

    def _row(self, event: Event) -> Row:
        """Return an event as the feed reads it from the site."""
        self._scripts.merge(scripts_of(event).names)
        row = event.row
        body = json.dumps(row, default=api_timestamp).encode()
        return Row(event.id, seconds_of(row.get("created_at")) or 0, event.event_type, body)

    def _read_new_rows(self) -> list[Row]:
        rows: list[Row] = []
        lookup = ScriptLookup(self._scripts, self._settings().script_names, _forget)
        with closing(EventLog(self._site_settings(), self._fields, lookup)) as log:
            while True:
                page = log.ask(Page(self._read, PAGE, None)).rows
                rows += page
                self._read = page[-1].id if page else self._read
                if len(page) < PAGE:
                    return rows


def _flat(
    events: Iterable[Event | Mapping[str, Any] | Iterable[Event]],
) -> Iterator[Event]:
    for one in events:
        if isinstance(one, Event):
            yield one
        elif isinstance(one, Mapping):
            yield Event(one)
        else:
            yield from _flat(one)


def _forget(names: Mapping[int, str], own: Mapping[str, Collection[int]]) -> None:
    """Do not keep the names of scripts: a harness has no next start."""


def _checked(result: Result) -> Result:
    """Return `result`; raise what the test itself, not a plugin, raised inside a call.

    Callbacks are called in the test's own thread, and everything raised in them is recorded, even
    an interruption by a person, pytest's own `fail` and `skip`, or a timeout of the test.
    """
    outcomes = getattr(sys.modules.get("_pytest.outcomes"), "OutcomeException", KeyboardInterrupt)
    for call in result.calls:
        if isinstance(call.error, (KeyboardInterrupt, outcomes)):
            raise call.error
    return result
