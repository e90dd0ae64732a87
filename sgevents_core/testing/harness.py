"""Harness: runs plugins on events as the daemon does, and reports what they did."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import timedelta
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
    parse_duration,
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

PAGE_SIZE: Final = 500
FEED_ERA: Final = 1
MISSING_SITE: Final = SiteSettings(
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
    one. Only time does not pass by itself: a plugin that is held is called again at once, and what
    was put off comes again after `pass_time`. Use it as a context manager, or close it.

    Args:
        plugin: A module, an instance, or the name of a plugin that is installed; None to `enable`
            some later.
        name: The plugin's name; by default that of its entry point or its module.
        settings: Its own settings, as the configuration would have them; with Secret for secrets.
        site: A sandbox: `ctx.sg` is a real client of it. Without one, `ctx.sg` is a recorder.
        records: The records that the recorder can read: mappings with `type`, `id` and fields.
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
        self._recorder_records = None if site is not None else list(records)
        self._group_settings = tuple(GroupSettings(name=group) for group in groups)
        self._event_fields = tuple(fields)
        self._dry_run = dry_run
        self._stop_event = threading.Event()
        if stopping:
            self._stop_event.set()
        self._given_plugins: dict[str, GivenPlugin] = {}
        self._stores: dict[str, Mapping[str, Any]] = {}
        self._handed_events: dict[int, ReplayEvent] = {}
        self._last_read_id = site.log.highest_id if site is not None else 0
        self._script_names = Scripts()
        self._open_resources = ExitStack()
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
        given = given_plugin(plugin, name, settings, table)
        self._given_plugins[given.plugin_name] = given
        self._stores[given.plugin_name] = store or {}
        return given.plugin_name

    def __enter__(self) -> Harness:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        error_traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> Result:
        """Stop the plugins as the daemon does; return what their `shutdown` did."""
        session, self._session = self._session, None
        with self._open_resources:
            if session is None:
                return Result()
            session.close()
            return session.watch.result

    def start(self) -> None:
        """Load the plugins and call their `startup`; otherwise the first run does so.

        Raises:
            PluginError: A plugin cannot be used; the message says why and what to do.
        """
        self._start_session()

    def run(
        self,
        *events: Event | Mapping[str, Any] | Iterable[Event],
        retry: bool = True,
        batches: bool = True,
    ) -> Result:
        """Pass events to the plugins, and return the result.

        Args:
            events: Events, rows as mappings, or lists of events; in this order.
            retry: Whether a plugin that is held is called again at once, until it has succeeded or
                failed for good. If not, it stays held: the next run continues with it.
            batches: Whether open batches are called at the end, as if no other event came. If not,
                they stay open: the next run adds to them, and `pass_time` makes them due.

        Raises:
            PluginError: A plugin cannot be used.
            AlreadyHandedError: An event with this id was handed to the plugins before.
        """
        session = self._start_session()
        self._append_rows(session, [self._event_row(event) for event in _flatten_events(events)])
        return _raise_test_error(session.run(retry=retry, batches=batches))

    def catch_up(self, *, retry: bool = True) -> Result:
        """Pass the plugins all events the site has recorded since the harness was made.

        What plugins write makes events too, which are handed over at the next call.

        Args:
            retry: As for `run`.

        Raises:
            ValueError: There is no site.
        """
        if self.site is None:
            raise ValueError("there is no site to catch up with: Harness(plugin, site=site)")
        session = self._start_session()
        self._append_rows(session, self._read_new_rows())
        return _raise_test_error(session.run(retry=retry, batches=True))

    def pass_time(self, duration: str | float | timedelta) -> Result:
        """Let time pass, and return what the plugins do about it.

        Events that were put off with `Defer` come again if they are due, and plugins that are held,
        after `run(..., retry=False)`, are called again if their wait is over. Batches that are open
        after `run(..., batches=False)` are called if they are due.

        Args:
            duration: Seconds, text such as `"10m"`, or a timedelta.
        """
        if isinstance(duration, timedelta):
            duration = duration.total_seconds()
        seconds = parse_duration(duration) if isinstance(duration, str) else float(duration)
        session = self._start_session()
        session.pass_time(seconds)
        return _raise_test_error(session.run(retry=False, batches=False))

    def replay(self, *events: Event | Mapping[str, Any] | Iterable[Event]) -> Result:
        """Call the callbacks for events again, as `sgevents replay` does.

        `ctx.key` is the same as before: with it a plugin can avoid acting twice.
        """
        session = self._start_session()
        event_rows = [self._event_row(event) for event in _flatten_events(events)]
        new_events = [ReplayEvent(FEED_ERA, 0, row.id, row.body) for row in event_rows]
        replayed_events = [
            self._handed_events.get(new_event.event_id, new_event) for new_event in new_events
        ]
        return _raise_test_error(session.replay(replayed_events))

    def explain(self, event: Event) -> list[Explanation]:
        """Return for every callback, in call order, whether it is called for `event`, or why not.

        Each item has `callback`, `matched` and `why_not`.
        """
        return Plan(self._start_session().loaded.callbacks).explain(event)

    def _start_session(self) -> Session:
        if self._session is None:
            self._session = Session(
                self._make_settings(),
                discovery_with(self._given_plugins),
                stores=self._stores,
                records=self._recorder_records,
                dry_run=self._dry_run,
                stopping=self._stop_event,
                scripts=self._script_names,
            )
        return self._session

    def _make_settings(self) -> Settings:
        state_folder = folder_for(self._open_resources)
        return Settings(
            path=state_folder / "sgevents.toml",
            site=self._site_settings(),
            feed=FeedSettings(fields=self._event_fields),
            state=StateSettings(path=state_folder),
            groups=self._group_settings,
            lanes={DEFAULT_LANE: LaneSettings()},
            plugins={
                plugin_name: given.plugin_settings
                for plugin_name, given in self._given_plugins.items()
            },
        )

    def _site_settings(self) -> SiteSettings:
        if self.site is None:
            return MISSING_SITE
        return SiteSettings(
            url=self.site.url, script_name=self.site.script_name, api_key=Secret(self.site.api_key)
        )

    def _append_rows(self, session: Session, rows: Sequence[Row]) -> None:
        known_ids = set(self._handed_events)
        for row in rows:
            if row.id in known_ids:
                raise AlreadyHandedError(event_id=row.id)
            known_ids.add(row.id)
        journal_end = session.append(rows)
        for seq, row in enumerate(rows, journal_end - len(rows) + 1):
            self._handed_events[row.id] = ReplayEvent(FEED_ERA, seq, row.id, row.body)

    def _event_row(self, event: Event) -> Row:
        """Return an event as the feed reads it from the site."""
        self._script_names.merge(scripts_of(event).names)
        event_row = event.row
        row_body = json.dumps(event_row, default=api_timestamp).encode()
        return Row(
            event.id, seconds_of(event_row.get("created_at")) or 0, event.event_type, row_body
        )

    def _read_new_rows(self) -> list[Row]:
        new_rows: list[Row] = []
        script_lookup = ScriptLookup(
            self._script_names, self._make_settings().script_names, _discard_names
        )
        with closing(
            EventLog(self._site_settings(), self._event_fields, script_lookup)
        ) as event_log:
            while True:
                page_rows = event_log.ask(Page(self._last_read_id, PAGE_SIZE, None)).rows
                new_rows += page_rows
                self._last_read_id = page_rows[-1].id if page_rows else self._last_read_id
                if len(page_rows) < PAGE_SIZE:
                    return new_rows


def _flatten_events(
    events: Iterable[Event | Mapping[str, Any] | Iterable[Event]],
) -> Iterator[Event]:
    for event_or_events in events:
        if isinstance(event_or_events, Event):
            yield event_or_events
        elif isinstance(event_or_events, Mapping):
            yield Event(event_or_events)
        else:
            yield from _flatten_events(event_or_events)


def _discard_names(
    script_names: Mapping[int, str], own_names: Mapping[str, Collection[int]]
) -> None:
    """Do not keep the names of scripts: a harness has no next start."""


def _raise_test_error(result: Result) -> Result:
    """Return `result`; re-raise an exception that came from the test itself, not a plugin.

    Callbacks are called in the test's own thread, and everything raised in them is recorded, even
    an interruption by a person, pytest's own `fail` and `skip`, or a timeout of the test.
    """
    pytest_outcomes = getattr(
        sys.modules.get("_pytest.outcomes"), "OutcomeException", KeyboardInterrupt
    )
    for call in result.calls:
        if isinstance(call.error, (KeyboardInterrupt, pytest_outcomes)):
            raise call.error
    return result
