"""One run of the daemon: start its parts, watch them, and stop them in order."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final, Literal, TypeAlias

from sgevents_core import __version__
from sgevents_core.crashes.loading_watch import InterruptingWatch
from sgevents_core.daemon.classic_following import ClassicFollowing
from sgevents_core.daemon.figure_keeping import FigureKeeping
from sgevents_core.daemon.housekeeping import Housekeeping
from sgevents_core.daemon.late_lanes import LateLanes
from sgevents_core.daemon.parts import Parts
from sgevents_core.daemon.reload import Reloader
from sgevents_core.daemon.reload_turns import ReloadTurns
from sgevents_core.daemon.state_trouble import find_state_trouble
from sgevents_core.daemon.turnover import WorkTurnover
from sgevents_core.daemon.waking import WakeListener
from sgevents_core.dispatch.overdue import OverdueCalls, hung_plugin_names, returned_plugins
from sgevents_core.dispatch.plugin_starts import stop_plugins
from sgevents_core.dispatch.vital_signs import VitalSigns, WatchedParts
from sgevents_core.errors import InternalError, SgEventsError
from sgevents_core.observe.liveness import Liveness
from sgevents_core.observe.logs import restore_logging
from sgevents_core.observe.systemd import Systemd
from sgevents_core.printable import counted
from sgevents_core.settings import Settings
from sgevents_core.state.protocols import Presence, Writer

logger = logging.getLogger("sgevents.daemon")

SignalOrder: TypeAlias = Literal["stop", "reload"]
"""The order that a signal gives to the main thread."""

TICK_SECONDS: Final = 0.2
DRAIN_TICK_SECONDS: Final = 0.01
"""How long a drain waits between two looks once the feed has all there is..."""
FEED_TICK_SECONDS: Final = 0.05
"""... and before that: each look takes time from the lanes."""
LEAVE_TICK_SECONDS: Final = 0.02
FEED_TIMEOUT: Final = 2.0
"""Seconds the feed may take to end; a silent site is not waited for, and nothing is lost."""
ALERT_TIMEOUT: Final = 5.0


class DaemonRun:
    """One run of the daemon, on a state that it has locked.

    Args:
        settings: The configuration.
        parts: The parts, not started.
        state_writer: The connection of the main thread.
        orders: The orders that signals give.
        reloader: Handles requests to reload.
        reload_turns: Knows when this process may be replaced.
        presence: Shows that this machine runs the daemon.
        drain: Whether to end once every event so far is handled.
        classic_files: Applies changes of classic files; None if there are none.
        turnover: Takes and gives up lanes and the feed.
        late_lanes: Takes up lanes whose worker processes could not be started at first.

    At the end, `is_reloading` says whether the process is to be executed again, and
    `has_hung_threads` whether threads of plugins hang.
    """

    def __init__(
        self,
        settings: Settings,
        parts: Parts,
        state_writer: Writer,
        *,
        orders: SimpleQueue[SignalOrder],
        reloader: Reloader,
        reload_turns: ReloadTurns,
        presence: Presence,
        drain: bool,
        classic_files: ClassicFollowing | None = None,
        late_lanes: LateLanes,
        turnover: WorkTurnover,
    ) -> None:
        self._turnover = turnover
        self._classic_files = classic_files
        self._late_lanes = late_lanes
        self.is_reloading = False
        self.has_hung_threads = False
        self.parts = self._parts = parts
        self._settings = settings
        self._state = state_writer
        self._orders = orders
        self._reloader = reloader
        self._reload_turns = reload_turns
        self._presence = presence
        self._is_drain = drain
        self._has_ended_batches = False
        self._service_manager = Systemd()
        self._housekeeping = Housekeeping(
            settings, state_writer, parts.inbox, lambda: parts.following.has_feed
        )
        self._wake_listener = WakeListener(settings.state.path, parts.following.expect_news)
        self._figures = FigureKeeping(state_writer, parts.lanes, parts.following, time.time())

    def run(self, loading_watch: InterruptingWatch) -> None:
        """Run until the end; `loading_watch` watches the plugins' shutdown.

        Raises:
            SgEventsError: The feed or a lane could not continue.
        """
        gc.freeze()  # what was loaded lasts: no collection has to look through it meanwhile
        try:
            self._run_parts(loading_watch)
        finally:
            gc.unfreeze()
        logger.info("Stopped", extra={"action": "daemon.stopped"})

    def _run_parts(self, loading_watch: InterruptingWatch) -> None:
        parts = self._parts
        self._start_parts()
        try:
            self._watch_parts()
        finally:
            shutdown_error = self._end_parts(loading_watch)
        if parts.progress_syncer.error is not None:
            raise parts.progress_syncer.error
        _raise_error(parts, shutdown_error)

    def _start_parts(self) -> None:
        parts = self._parts
        logger.info(
            "sgevents %s follows %s with %s",
            __version__,
            self._settings.site.url,
            counted(len(parts.plugins), "plugin"),
            extra={"action": "daemon.started"},
        )
        self._presence.look()
        parts.inbox.poll()  # before the lanes, so that a plugin to be paused gets no event
        parts.following.start()
        for thread in (*parts.lane_threads.values(), parts.syncer_thread):
            thread.start()
        self._turnover.report_start()
        if self._classic_files is not None:
            self._classic_files.start()
        self._wake_listener.start()
        self._service_manager.ready()

    def _watch_parts(self) -> None:
        """Wait for a signal, an error or, in a drain, the end of the work."""
        parts, state_writer = self._parts, self._state
        can_restart = self._reloader.can_restart and not self._is_drain
        overdue = OverdueCalls(
            parts.lanes, state_writer, started_at=time.monotonic(), can_restart=can_restart
        )
        watched_parts = WatchedParts(
            parts.following,
            parts.lanes,
            overdue,
            state_writer.feed_trouble,
            parts.children.describe,
            partial(find_state_trouble, parts),
        )
        with closing(
            VitalSigns(self._settings.state.path, watched_parts, parts.announcer)
        ) as vital_signs:
            while not self._is_over(overdue):
                self._feed_watchdog()
                restore_logging()
                vital_signs.check(time.monotonic())
                self._take_up_changes()
                self._housekeeping.work_briefly()
                self._figures.work_briefly(time.time())

    def _take_up_changes(self) -> None:
        """Take and give up work, pass on people's requests, apply changes of classic files."""
        self._turnover.turn()
        if self._classic_files is not None:
            changed_plugins = self._classic_files.turn()
            if changed_plugins:
                self._reloader.note_changes(changed_plugins, self._turnover.present_plugins())
            if self._classic_files.is_waiting:
                return  # a lane that ends takes no requests
        late_plugins = self._late_lanes.turn()
        if late_plugins:
            self._reloader.note_changes(late_plugins, self._turnover.present_plugins())
        self._parts.inbox.poll()

    def _is_over(self, overdue: OverdueCalls) -> bool:
        """Wait for an order for one tick; return whether the run must end."""
        signal_order = self._await_order(self._tick_seconds())
        if signal_order == "stop":
            return True
        if signal_order == "reload":
            self._reload_turns.request_reload()
        if overdue.check(time.monotonic()):
            self._reload_turns.leave_hung(time.monotonic())
        self.is_reloading = self._reload_turns.poll()
        return self.is_reloading or self._has_failed() or (self._is_drain and self._is_drained())

    def _tick_seconds(self) -> float:
        if not self._is_drain:
            return TICK_SECONDS
        return DRAIN_TICK_SECONDS if self._parts.following.is_idle else FEED_TICK_SECONDS

    def _await_order(self, seconds: float) -> SignalOrder | None:
        try:
            return self._orders.get(timeout=seconds)
        except Empty:
            return None

    def _has_failed(self) -> bool:
        """Return whether a part has ended because of an error."""
        parts, classic_files = self._parts, self._classic_files
        lane_errors = [
            lane.error
            for lane in parts.lanes
            if classic_files is None or not classic_files.ends(lane)
        ]
        work_errors = [parts.following.error, *lane_errors]
        return parts.progress_syncer.error is not None or any(
            error is not None and not self._turnover.tolerates(error) for error in work_errors
        )

    def _is_drained(self) -> bool:
        """Return whether every event so far is handled."""
        if not self._parts.following.is_idle:
            return False
        journal_end = self._state.end()
        if not all(lane.caught_up(journal_end) for lane in self._parts.lanes):
            return False
        if self._has_ended_batches:
            return True
        self._has_ended_batches = True  # no more events come for them
        has_waiting = [lane.end_batches() for lane in self._parts.lanes]
        return not any(has_waiting)

    def _end_parts(self, loading_watch: InterruptingWatch) -> SgEventsError | None:
        """Stop everything in order; return the error if a `shutdown` could not be recorded."""
        parts = self._parts
        if not self.is_reloading:  # after a reload it is still the same service
            self._service_manager.stopping()
        self._reloader.close()
        if self._classic_files is not None:
            self._classic_files.close()
        parts.children.say_stopping()
        self._leave()
        parts.inbox.close()
        _stop_parts(parts, self._feed_watchdog)
        self._wake_listener.close()
        self._figures.close(time.time())
        parts.announcer.close(ALERT_TIMEOUT)
        self.has_hung_threads = bool(hung_plugin_names(parts.lanes))
        working_plugins = returned_plugins(parts.plugins, parts.lanes)
        with loading_watch:
            return stop_plugins(working_plugins, parts.services, parts.held_lanes, loading_watch)

    def _leave(self) -> None:
        """Give up one thing after another, so that other hosts need not wait for the last."""
        self._turnover.leave()
        feed_deadline = time.monotonic() + FEED_TIMEOUT
        while self._turnover.has_work(feed=time.monotonic() < feed_deadline):
            if self._has_failed():
                return
            self._turnover.turn()
            time.sleep(LEAVE_TICK_SECONDS)
            self._feed_watchdog()  # a callback may take long

    def _feed_watchdog(self) -> None:
        feed_watchdog(self._service_manager, self._parts.liveness, time.monotonic())


def feed_watchdog(service_manager: Systemd, liveness: Liveness, current_time: float) -> None:
    """Feed systemd's watchdog unless a loop hangs; called at every tick of the main thread.

    Args:
        service_manager: The service manager.
        liveness: The liveness of the daemon's loops.
        current_time: The current monotonic time, in seconds.
    """
    if not liveness.hanging_loops(current_time):
        service_manager.feed_watchdog(current_time)


def _stop_parts(parts: Parts, feed_watchdog: Callable[[], None]) -> None:
    parts.following.stop()
    for lane in parts.lanes:
        lane.stop()
    extra = {"action": "daemon.stopping"}
    logger.info("Stopping once the running callbacks have returned", extra=extra)
    for thread in parts.lane_threads.values():
        while thread.is_alive():
            thread.join(TICK_SECONDS)
            feed_watchdog()  # a callback may take long
    parts.following.join(FEED_TIMEOUT)
    parts.progress_syncer.stop()
    parts.syncer_thread.join()


def _raise_error(parts: Parts, shutdown_error: SgEventsError | None) -> None:
    if parts.following.error is not None:
        raise parts.following.error
    for lane in parts.lanes:
        if isinstance(lane.error, SgEventsError):
            raise lane.error
        if lane.error is not None:
            error_text = f"{type(lane.error).__name__}: {lane.error}"
            raise InternalError(where=f"lane {lane.name}", reason=error_text) from lane.error
    if shutdown_error is not None:
        raise shutdown_error
