"""One start of a harness's plugins, with their own journal, ledger and site."""

from __future__ import annotations

import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from sgevents_core.calling.context import Services
from sgevents_core.calling.event_records import EventRecords
from sgevents_core.crashes.recovering import recover
from sgevents_core.dispatch.batch_clock import BatchClock
from sgevents_core.dispatch.errands import Errand
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.plugin_starts import start_plugins, stop_plugins
from sgevents_core.dispatch.wiring import lanes_of, services_of
from sgevents_core.plugins.discovery import Discovery
from sgevents_core.plugins.loading import Loaded, load
from sgevents_core.requests.carrying_out import carry_out
from sgevents_core.scripts import Scripts
from sgevents_core.settings import DEFAULT_LANE, Settings
from sgevents_core.state.entries import Row, TakenRow
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
    Write,
)
from sgevents_core.testing.results import PluginWarning, Result

if TYPE_CHECKING:
    from shotgun_api3.shotgun import Shotgun

ALERT_TIMEOUT: Final = 10.0
"""Seconds that alerting hooks may take after a run."""
REQUESTED_BY: Final = "a test"


class WatchedServices(Services):
    """The values shared by a plugin's calls, with a `ctx.sg` whose writes are recorded.

    `recorder` stands in for a missing site; `record_write` receives each write to a real one.
    """

    recorder: Recorder | None = None
    record_write: RecordWrite

    def connect(self, session_uuid: str | None, callback: str) -> Shotgun:
        """Return this thread's connection, or the recorder."""
        if self.recorder is None:
            return super().connect(session_uuid, callback)
        return cast("Shotgun", self.recorder)

    def site_class(self) -> type[Shotgun]:
        """Return a client that records writes and, in a dry run, makes none."""
        client_class = DryRecordingClient if self.dry_run else RecordingClient
        return type("Shotgun", (client_class,), {"record_write": staticmethod(self.record_write)})


class Session:
    """The plugins of a harness while they run, on a state in memory.

    Args:
        settings: The configuration, except the state's path.
        discovery: Where the plugins are found.
        stores: Plugin -> the initial content of its store.
        records: The records that a recorder can read; None if there is a site.
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
        self._passed_seconds = 0.0
        self._event_records = EventRecords()
        self._scripts = scripts
        self._clock = BatchClock()
        self._settings = settings
        self._site_recorder = None if records is None else Recorder(records, self._record_write)
        self._open_resources = ExitStack()
        with ExitStack() as opening_stack:
            loaded_plugins = load(settings, discovery, strict=True)
            _warn_of_mistakes(loaded_plugins)
            self.loaded: Final = self.watch.watch_plugins(loaded_plugins)
            memory_state = opening_stack.enter_context(kept_in_memory(settings.state.path))
            self._state = opening_stack.enter_context(closing(memory_state.writer()))
            self._held_lanes = recover(settings, self.loaded, self._state)
            self._record_stores(stores)
            self._services = self._watched_services(stopping, dry_run=dry_run)
            self._open_resources = opening_stack.pop_all()
        with collect_log_records(self.watch.result.log):
            self._started_plugins = start_plugins(self.loaded, self._services, self._held_lanes)

    def close(self) -> None:
        """Call the plugins' `shutdown`, and release everything."""
        with self._open_resources, collect_log_records(self.watch.result.log):
            stop_plugins(self._started_plugins, self._services, self._held_lanes)

    def append(self, rows: Sequence[Row]) -> int:
        """Append rows to the journal in the order given, and return its end."""
        change = FeedChange(FeedState(frontier=max((row.id for row in rows), default=0)))
        return self._state.append(self._state.end(), [TakenRow(row, False) for row in rows], change)

    def run(self, *, retry: bool, batches: bool) -> Result:
        """Let the lanes handle the journal to its end, and return the result.

        Args:
            retry: Whether plugins that are held are called again at once until they are not.
            batches: Whether open batches are called at the end.
        """
        journal_end = self._state.end()
        return self._run_lanes(
            lambda lane: _turn_until(
                lane, lambda: _is_done(lane, journal_end, retry=retry, batches=batches)
            )
        )

    def _record_write(self, write: Write) -> None:
        """Record a write, after which records are read again."""
        self._event_records.forget_all()
        self.watch.record_write(write)

    def pass_time(self, seconds: float) -> None:
        """Let time pass for the plugins: holds end, and calls that were put off become due."""
        self._passed_seconds += seconds
        self._clock.offset += seconds

    def _now(self) -> float:
        """Return the time as the plugins' lanes have it, in seconds since 1970."""
        return time.time() + self._passed_seconds

    def replay(self, events: Sequence[ReplayEvent]) -> Result:
        """Call the callbacks again for events, as `sgevents replay` does."""
        state_folder = self._settings.state.path
        with closing(open_state(state_folder).requests()) as requests:
            request_numbers = [
                requests.ask("replay", plugin.name, {}, REQUESTED_BY, events)
                for plugin in self._started_plugins
            ]
        errand = partial(_carry_out_all, request_numbers, state_folder)
        return self._run_lanes(lambda lane: _run_errand(lane, errand))

    def _run_lanes(self, run_lane: Callable[[Lane], None]) -> Result:
        with collect_log_records(self.watch.result.log):
            listeners = [
                (self._services[started_plugin.name], started_plugin.hooks)
                for started_plugin in self._started_plugins
            ]
            announcer = WatchedAnnouncer(listeners, self.watch)
            try:
                for lane in self._make_lanes(announcer):
                    lane.deferred_calls.clock = self._now
                    for lane_plugin in lane.lane_plugins:
                        lane_plugin.hold_until -= self._passed_seconds
                    run_lane(lane)
                    if lane.error is not None:
                        raise lane.error
            finally:
                announcer.close(ALERT_TIMEOUT)
        return self._take_result()

    def _make_lanes(self, announcer: WatchedAnnouncer) -> list[Lane]:
        open_writer = open_state(self._settings.state.path).lane_writer
        return lanes_of(
            self._settings,
            self._started_plugins,
            self._services,
            self._held_lanes,
            announcer,
            open_writer=open_writer,
            scripts=self._scripts,
            clock=self._clock,
        )

    def _take_result(self) -> Result:
        result, self.watch.result = self.watch.result, Result()
        plugin_names = [plugin.name for plugin in self.loaded.plugins]
        plugin_records = self._state.plugins()
        result.stores = {
            plugin_name: self._state.store(plugin_name) for plugin_name in plugin_names
        }
        result.states = {
            plugin_name: plugin_records[plugin_name].state for plugin_name in plugin_names
        }
        result.not_started = {
            plugin_name: plugin_records[plugin_name].reason
            for plugin_name in plugin_names
            if plugin_records[plugin_name].state == "not started"
        }
        return result

    def _record_stores(self, stores: Mapping[str, Mapping[str, Any]]) -> None:
        store_step = Step(
            store={plugin_name: dict(store_values) for plugin_name, store_values in stores.items()}
        )
        self._held_lanes[DEFAULT_LANE].record(store_step)

    def _watched_services(self, stopping: threading.Event, *, dry_run: bool) -> dict[str, Services]:
        watched_services = services_of(
            self._settings, self.loaded, self._state, WatchedServices, stopping=stopping
        )
        for plugin_services in watched_services.values():
            assert isinstance(plugin_services, WatchedServices)  # noqa: S101 - asked for in the line above
            plugin_services.dry_run = dry_run
            plugin_services.recorder, plugin_services.record_write = (
                self._site_recorder,
                self._record_write,
            )
            self._event_records = plugin_services.event_records
        return watched_services


def folder_for(exit_stack: ExitStack) -> Path:
    """Return a new folder that is removed when `exit_stack` is closed."""
    return Path(exit_stack.enter_context(tempfile.TemporaryDirectory(prefix="sgevents-harness-")))


def _stop_after_errand(errand: Errand, lane: Lane) -> bool:
    """Run an errand; the lane ends when it is over."""
    is_over = errand(lane)
    if is_over:
        lane.stop()
    return is_over


def _warn_of_mistakes(loaded_plugins: Loaded) -> None:
    """Warn about what the daemon would warn about when it loads the plugins."""
    for plugin in loaded_plugins.plugins:
        for warning in plugin.warnings:
            warnings.warn(f"plugin {plugin.name}: {warning}", PluginWarning, stacklevel=2)


def _run_errand(lane: Lane, errand: Errand) -> None:
    """Run a lane until an errand is over."""
    lane.post(partial(_stop_after_errand, errand))
    lane.run()


def _turn_until(lane: Lane, is_done: Callable[[], bool]) -> None:
    """Let a lane work until a condition holds; keep an error that ends it in `error`."""
    try:
        while not is_done():
            lane.turn()
    except BaseException as error:  # as the lane's own thread does
        lane.error = error
    finally:
        lane.close()


def _is_done(lane: Lane, journal_end: int, *, retry: bool, batches: bool) -> bool:
    """Return whether the lane has nothing left to do; held plugins need not wait."""
    if lane.seq < journal_end or lane.errands or lane.has_due_batches():
        return False
    if not lane.deferred_calls.is_idle(lane.lane_plugins):
        return False
    behind_plugins = [one for one in lane.lane_plugins if one.record.apart]
    for lane_plugin in behind_plugins:
        if lane_plugin.record.state == "held" and retry:
            lane_plugin.hold_until = 0.0
    is_behind = any(
        lane_plugin.record.state == "active"
        or (lane_plugin.record.state == "held" and (retry or lane_plugin.due(time.monotonic())))
        for lane_plugin in behind_plugins
    )
    return not is_behind and not (batches and lane.call_waiting_batches(retry=retry))


def _carry_out_all(request_numbers: list[int], state_folder: Path, lane: Lane) -> bool:
    while request_numbers:
        if not carry_out(request_numbers[0], lane, state_folder):
            return False
        request_numbers.pop(0)
    return True
