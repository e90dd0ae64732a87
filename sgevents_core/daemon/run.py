"""One run of the daemon: start its parts, watch them, and stop them in order."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from queue import Empty, SimpleQueue
from typing import Final, Literal, TypeAlias

from sgevents_core import __version__
from sgevents_core.crashes.loading_watch import InterruptingWatch
from sgevents_core.daemon.housekeeping import Housekeeping
from sgevents_core.daemon.parts import Parts
from sgevents_core.daemon.reload import Reloader
from sgevents_core.dispatch.overdue import Overdue, hung, not_hung
from sgevents_core.dispatch.plugin_starts import stop_plugins
from sgevents_core.dispatch.vital_signs import VitalSigns, Watched
from sgevents_core.errors import InternalError, SgEventsError
from sgevents_core.observe.liveness import Liveness
from sgevents_core.observe.logs import restore_logging
from sgevents_core.observe.systemd import Systemd
from sgevents_core.printable import counted
from sgevents_core.settings import Settings
from sgevents_core.state.protocols import Presence, Writer

logger = logging.getLogger("sgevents.daemon")

Order: TypeAlias = Literal["stop", "reload"]
"""The order that a signal gives to the main thread."""

TICK: Final = 0.2
DRAIN_TICK: Final = 0.02
FEED_ENDS_WITHIN: Final = 2.0
"""Seconds the feed may take to end; a silent site is not waited for, and nothing is lost."""
ALERTS_END_WITHIN: Final = 5.0


class DaemonRun:
    """One run of the daemon, on a state that it has locked.

    Args:
        settings: The configuration.
        parts: The parts, not started.
        state: The connection of the main thread.
        orders: The orders that signals give.
        reloader: Handles requests to reload.
        presence: Shows that this machine runs the daemon.
        drain: Whether to end once every event so far is handled.

    `reloads` says at the end whether the process is to be executed again, `hung` whether threads of
    plugins hang.
    """

    def __init__(
        self,
        settings: Settings,
        parts: Parts,
        state: Writer,
        *,
        orders: SimpleQueue[Order],
        reloader: Reloader,
        presence: Presence,
        drain: bool,
    ) -> None:
        self.reloads = False
        self.hung = False
        self._settings = settings
        self._parts = parts
        self._state = state
        self._orders = orders
        self._reloader = reloader
        self._presence = presence
        self._drain = drain
        self._systemd = Systemd()
        self._housekeeping = Housekeeping(settings, state, parts.inbox)

    def run(self, watch: InterruptingWatch) -> None:
        """Run until the end; `watch` watches the plugins' shutdown.

        Raises:
            SgEventsError: The feed or a lane could not continue.
        """
        parts = self._parts
        self._start()
        try:
            self._watch()
        finally:
            shutdown_error = self._end(watch)
        if parts.syncing.error is not None:
            raise parts.syncing.error
        _raise_error(parts, shutdown_error)
        logger.info("Stopped", extra={"action": "daemon.stopped"})

    def _start(self) -> None:
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
        for thread in (parts.feed_thread, *parts.lane_threads, parts.syncing_thread):
            thread.start()
        self._systemd.ready()

    def _watch(self) -> None:
        """Wait for a signal, an error or, in a drain, the end of the work."""
        parts, state = self._parts, self._state
        restarts = self._reloader.can_restart and not self._drain
        overdue = Overdue(parts.lanes, state, started=time.monotonic(), restarts=restarts)
        watched = Watched(parts.feed, parts.lanes, overdue, state.feed_trouble)
        with closing(VitalSigns(self._settings.state.path, watched, parts.announcer)) as signs:
            while not self._is_over(overdue):
                self._feed_watchdog()
                restore_logging()
                signs.look(time.monotonic())
                parts.inbox.poll()
                self._housekeeping.turn()

    def _is_over(self, overdue: Overdue) -> bool:
        """Wait for an order for one tick; return whether the run must end."""
        order = self._order_within(DRAIN_TICK if self._drain else TICK)
        if order == "stop":
            return True
        if order == "reload":
            self._reloader.ask()
        if overdue.look(time.monotonic()):
            self._reloader.leave_hung(time.monotonic())
        self.reloads = self._reloader.poll()
        return self.reloads or self._has_failed() or (self._drain and self._is_drained())

    def _order_within(self, seconds: float) -> Order | None:
        try:
            return self._orders.get(timeout=seconds)
        except Empty:
            return None

    def _has_failed(self) -> bool:
        """Return whether a part has ended because of an error."""
        parts = self._parts
        return any([parts.feed.error, parts.syncing.error, *(lane.error for lane in parts.lanes)])

    def _is_drained(self) -> bool:
        """Return whether every event so far is handled."""
        if not self._parts.feed.idle.is_set():
            return False
        end = self._state.end()
        return all(lane.caught_up(end) for lane in self._parts.lanes)

    def _end(self, watch: InterruptingWatch) -> SgEventsError | None:
        """Stop everything in order; return the error if a `shutdown` could not be recorded."""
        parts = self._parts
        if not self.reloads:  # after a reload it is still the same service
            self._systemd.stopping()
        self._reloader.close()
        parts.inbox.close()
        _stop(parts, self._feed_watchdog)
        parts.announcer.close(ALERTS_END_WITHIN)
        self.hung = bool(hung(parts.lanes))
        working = not_hung(parts.plugins, parts.lanes)
        with watch:
            return stop_plugins(working, parts.services, self._state, watch)

    def _feed_watchdog(self) -> None:
        feed_watchdog(self._systemd, self._parts.liveness, time.monotonic())


def feed_watchdog(systemd: Systemd, liveness: Liveness, now: float) -> None:
    """Feed systemd's watchdog unless a loop hangs; called at every tick of the main thread.

    Args:
        systemd: The service manager.
        liveness: The liveness of the daemon's loops.
        now: The current monotonic time, in seconds.
    """
    if not liveness.hanging_loops(now):
        systemd.feed_watchdog(now)


def _stop(parts: Parts, feed_watchdog: Callable[[], None]) -> None:
    parts.children.say_stopping()
    parts.feed.stop()
    for lane in parts.lanes:
        lane.stop()
    extra = {"action": "daemon.stopping"}
    logger.info("Stopping once the running callbacks have returned", extra=extra)
    for thread in parts.lane_threads:
        while thread.is_alive():
            thread.join(TICK)
            feed_watchdog()  # a callback may take long
    parts.feed_thread.join(FEED_ENDS_WITHIN)
    parts.syncing.stop()
    parts.syncing_thread.join()


def _raise_error(parts: Parts, shutdown_error: SgEventsError | None) -> None:
    if parts.feed.error is not None:
        raise parts.feed.error
    for lane in parts.lanes:
        if isinstance(lane.error, SgEventsError):
            raise lane.error
        if lane.error is not None:
            reason = f"{type(lane.error).__name__}: {lane.error}"
            raise InternalError(where=f"lane {lane.name}", reason=reason) from lane.error
    if shutdown_error is not None:
        raise shutdown_error
