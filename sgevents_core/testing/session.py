"""One start of plugins in a harness, with a journal and ledger of their own, and a site."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from sgevents_core.calling.context import Services
from sgevents_core.crashes.recovering import recover
from sgevents_core.dispatch.errands import Errand
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.plugin_starts import start_plugins, stop_plugins
from sgevents_core.dispatch.wiring import lanes_of, services_of
from sgevents_core.plugins.discovery import Discovery
from sgevents_core.plugins.loading import load
from sgevents_core.requests.carrying_out import carry_out
from sgevents_core.scripts import Scripts
from sgevents_core.settings import DEFAULT_LANE, Settings
from sgevents_core.state.entries import LateRow, Row
from sgevents_core.state.feed_values import FeedChange, FeedState
from sgevents_core.state.opening import kept_in_memory, open_state
from sgevents_core.state.requests import ReplayEvent
from sgevents_core.state.steps import Step
from sgevents_core.testing.call_watching import CallWatch, WatchedAnnouncer, collect_log_records
from sgevents_core.testing.recorder import (
    DryRecordingClient,
    Recorder,
    RecordingClient,
    RecordWrite,
)
from sgevents_core.testing.results import Result

if TYPE_CHECKING:
    from shotgun_api3.shotgun import Shotgun

ALERTS_END_WITHIN: Final = 10.0
"""Seconds that alerting hooks may take after a run."""
ASKED_BY: Final = "a test"


class WatchedServices(Services):
    """What all calls of a plugin share, with a `ctx.sg` whose writes are noted.

    `recorder` stands in for a missing site; `note` receives each write to a real one.
    """

    recorder: Recorder | None = None
    note: RecordWrite

    def connect(self, session_uuid: str | None, callback: str) -> Shotgun:
        """Return this thread's connection, or the recorder."""
        if self.recorder is None:
            return super().connect(session_uuid, callback)
        return cast("Shotgun", self.recorder)

    def site_class(self) -> type[Shotgun]:
        """Return a client that notes what is written and, in a dry run, writes nothing."""
        kind = DryRecordingClient if self.dry_run else RecordingClient
        return type("Shotgun", (kind,), {"record_write": staticmethod(self.note)})


class Session:
    """The plugins of a harness while they run, on a state in memory.

    Args:
        settings: The configuration, except the state's path.
        discovery: Where the plugins are found.
        stores: Plugin -> what its store holds from the start.
        records: What a recorder can read; None if there is a site.
        dry_run: The value of `ctx.dry_run`.
        stopping: Set if `ctx.stopping` is to be true.
        scripts: The names of the site's scripts.

    Raises:
        PluginError: A plugin cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        discovery: Discovery,
        *,
        stores: Mapping[str, Mapping[str, Any]],
        records: Sequence[Mapping[str, Any]] | None,
        dry_run: bool,
        stopping: threading.Event,
        scripts: Scripts,
    ) -> None:
        self.watch: Final = CallWatch()
        self._scripts = scripts
        self._settings = settings
        self._recorder = None if records is None else Recorder(records, self.watch.record_write)
        self._open = ExitStack()
        with ExitStack() as opening:
            loaded = load(settings, discovery, strict=True)
            self.loaded: Final = self.watch.watch_plugins(loaded)
            state = opening.enter_context(kept_in_memory(settings.state.path))
            self._state = opening.enter_context(closing(state.writer()))
            recover(settings, self.loaded, self._state)
            self._keep_stores(stores)
            self._services = self._watched_services(stopping, dry_run=dry_run)
            self._open = opening.pop_all()
        with collect_log_records(self.watch.result.log):
            self._ready = start_plugins(self.loaded, self._services, self._state)

    def close(self) -> None:
        """Call the plugins' `shutdown`, and release everything."""
        with self._open, collect_log_records(self.watch.result.log):
            stop_plugins(self._ready, self._services, self._state)

    def append(self, rows: Sequence[Row]) -> int:
        """Append rows to the journal in the order given, and return its end."""
        change = FeedChange(FeedState(frontier=max((row.id for row in rows), default=0)))
        return self._state.append(self._state.end(), [LateRow(row, False) for row in rows], change)

    def run(self, *, retry: bool) -> Result:
        """Let the lanes handle the journal to its end, and return the result.

        Args:
            retry: Whether plugins that are held are called again at once until they are not.
        """
        end = self._state.end()
        return self._run_lanes(lambda lane: _is_done(lane, end, retry=retry))

    def replay(self, events: Sequence[ReplayEvent]) -> Result:
        """Call the callbacks again for events, as `sgevents replay` does."""
        folder = self._settings.state.path
        with closing(open_state(folder).requests()) as requests:
            numbers = [
                requests.ask("replay", plugin.name, {}, ASKED_BY, events) for plugin in self._ready
            ]
        return self._run_lanes(lambda lane: _carried_out(numbers, folder, lane))

    def _run_lanes(self, errand: Errand) -> Result:
        with collect_log_records(self.watch.result.log):
            listeners = [(self._services[one.name], one.hooks) for one in self._ready]
            announcer = WatchedAnnouncer(listeners, self.watch)
            try:
                for lane in self._lanes(announcer):
                    lane.post(partial(_ending_with, errand))
                    lane.run()
                    if lane.error is not None:
                        raise lane.error
            finally:
                announcer.close(ALERTS_END_WITHIN)
        return self._result()

    def _lanes(self, announcer: WatchedAnnouncer) -> list[Lane]:
        open_writer = open_state(self._settings.state.path).lane_writer
        return lanes_of(
            self._settings,
            self._ready,
            self._services,
            open_writer,
            announcer,
            scripts=self._scripts,
        )

    def _result(self) -> Result:
        result, self.watch.result = self.watch.result, Result()
        names = [plugin.name for plugin in self.loaded.plugins]
        records = self._state.plugins()
        result.stores = {name: self._state.store(name) for name in names}
        result.states = {name: records[name].state for name in names}
        return result

    def _keep_stores(self, stores: Mapping[str, Mapping[str, Any]]) -> None:
        fence = self._state.take_lane(DEFAULT_LANE)
        step = Step(store={name: dict(values) for name, values in stores.items()})
        self._state.record(DEFAULT_LANE, fence, step)

    def _watched_services(self, stopping: threading.Event, *, dry_run: bool) -> dict[str, Services]:
        watched = services_of(
            self._settings, self.loaded, self._state, WatchedServices, stopping=stopping
        )
        for services in watched.values():
            assert isinstance(services, WatchedServices)  # noqa: S101 - asked for in the line above
            services.dry_run = dry_run
            services.recorder, services.note = self._recorder, self.watch.record_write
        return watched


def folder_for(stack: ExitStack) -> Path:
    """Return a new folder that is removed when `stack` is closed."""
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sgevents-harness-")))


def _ending_with(errand: Errand, lane: Lane) -> bool:
    """Run an errand; the lane ends when it is over."""
    is_over = errand(lane)
    if is_over:
        lane.stop()
    return is_over


def _is_done(lane: Lane, end: int, *, retry: bool) -> bool:
    """Return whether the lane has nothing left to do; held plugins need not wait."""
    if lane.seq < end:
        return False
    states = [
        (lane_plugin, lane_plugin.record.state)
        for lane_plugin in lane.lane_plugins
        if lane_plugin.record.apart
    ]
    for lane_plugin, state in states:
        if state == "held" and retry:
            lane_plugin.hold_until = 0.0
    waiting = {"active", "held"} if retry else {"active"}
    return not any(state in waiting for _, state in states)


def _carried_out(numbers: list[int], folder: Path, lane: Lane) -> bool:
    while numbers:
        if not carry_out(numbers[0], lane, folder):
            return False
        numbers.pop(0)
    return True
