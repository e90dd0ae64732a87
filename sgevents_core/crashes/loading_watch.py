"""Watching plugins while a daemon loads, starts and shuts them down.

Each step is recorded beforehand, so that the next process knows in which one it died. Plugins are
loaded in the main thread, as they may expect; it is interrupted if a step takes too long or the
daemon must stop. If it cannot be interrupted, the process is given up.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Final, NamedTuple, TypeVar

from sgevents_core.crashes.evidence import EvidenceKeeper, LoadingStep
from sgevents_core.crashes.plugin_frames import plugin_frames
from sgevents_core.errors import LoadTimeoutError
from sgevents_core.observe.process_guard import keep_open
from sgevents_core.observe.systemd import Systemd
from sgevents_core.plugins.load_watching import (
    KnownBroken,
    LoadingStopped,
    LoadingTurn,
    PluginWatch,
)
from sgevents_core.settings import format_duration

_T = TypeVar("_T")

logger = logging.getLogger("sgevents.daemon")

SLOW: Final = 5.0
"""Seconds after which a step still running is warned about."""
PATIENCE: Final = 5.0
"""Seconds for interrupted code to return; at most its original limit."""
_EVERY: Final = 0.1
_FRAMES: Final = 20
_REST: Final = 30.0
"""Seconds for the work after a step."""
_INTERRUPT: Final = signal.SIGURG
"""A signal that has no effect on a process that does not wait for it."""
_ORDERS_TO_STOP: Final = frozenset({signal.SIGTERM, signal.SIGINT})
_send: Final = signal.pthread_kill


class NotingWatch(PluginWatch):
    """A watch that records each step for the next process.

    Args:
        listener: The recorder of this process's last words.
        known: Plugin -> why it is not loaded.
    """

    def __init__(
        self, listener: EvidenceKeeper, known: Mapping[str, KnownBroken] | None = None
    ) -> None:
        super().__init__(known)
        self._listener: Final = listener
        self._threads = {thread.ident for thread in threading.enumerate()}

    def run_step(self, turn: LoadingTurn, doing: str, call: Callable[[], _T]) -> _T:
        """Run one step of a plugin, and return its result."""
        try:
            with self._listener.loading(LoadingStep(turn.plugin, doing, turn.fingerprint)):
                return self.within(turn.time_limit, doing, call)
        finally:
            self._listener.listen_for_crashes()
            self._note_threads(turn, doing)

    def _note_threads(self, turn: LoadingTurn, doing: str) -> None:
        """Record which plugin owns the threads started meanwhile."""
        for thread in threading.enumerate():
            if thread.ident is not None and thread.ident not in self._threads:
                self._threads.add(thread.ident)
                doings = f"a thread that it started while {doing}"
                step = LoadingStep(turn.plugin, doings, turn.fingerprint, thread_since=time.time())
                self._listener.owns(thread.ident, step)


class EndingWatch(NotingWatch):
    """A watch that records each step, and ends the process if one takes too long.

    For processes in which plugins are loaded beside the daemon's.
    """

    def within(self, seconds: float, doing: str, call: Callable[[], _T]) -> _T:
        """Return the result of `call`, or end the process after some seconds."""
        self._listener.end_after(min(seconds, threading.TIMEOUT_MAX / 2))
        try:
            return call()
        finally:
            self._listener.stays()


class _Interrupted(BaseException):
    """Raised in the main thread to leave a plugin's code."""


class _Running(NamedTuple):
    """A running step: its deadline, in monotonic seconds, and the further time allowed after it."""

    until: float
    patience: float
    doing: str
    since: float


class LoadingWatch(NotingWatch):
    """A watch that records each step and interrupts the main thread; use it in a `with`.

    In any thread but the main one it only records.

    Args:
        listener: The recorder of this process's last words.
        known: Plugin -> why it is not loaded.
        give_up: Ends or replaces a process whose main thread does not return; takes whether the
            daemon was to stop. None if that is not possible.
        stops: Whether to interrupt a step when the daemon must stop.
        systemd: The service manager, which is asked to wait for a long step.
    """

    def __init__(
        self,
        listener: EvidenceKeeper,
        known: Mapping[str, KnownBroken] | None = None,
        *,
        give_up: Callable[[bool], None] | None = None,
        stops: bool = True,
        systemd: Systemd | None = None,
    ) -> None:
        super().__init__(listener, known)
        self._systemd = systemd or Systemd({})
        self._told = 0.0
        self._slow: _Running | None = None
        self._plugin = ""
        self._give_up = give_up
        self._stops = stops
        self._stopped = False
        self._running: _Running | None = None
        self._over = False
        self._called_back: float | None = None
        self._main = threading.get_ident()
        self._ends: tuple[int, int] | None = None

    def __enter__(self) -> LoadingWatch:
        """Start watching."""
        if threading.current_thread() is threading.main_thread():
            reads, writes = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            self._ends = (reads, writes)
            keep_open(reads, writes)
            self._woken = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
            self._handled = signal.signal(_INTERRUPT, self._interrupt)
            self._thread = threading.Thread(target=self._look, name="loading", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching."""
        if self._ends is None:
            return
        self._over = True
        with suppress(OSError):
            os.write(self._ends[1], b"\0")
        self._thread.join()
        signal.signal(_INTERRUPT, self._handled)
        signal.set_wakeup_fd(self._woken)
        for end in self._ends:
            os.close(end)
        self._ends = None

    def stop(self) -> None:
        """Interrupt the running step and begin no other; may be called from a signal handler."""
        if self._stops:
            self._stopped = True

    def run_step(self, turn: LoadingTurn, doing: str, call: Callable[[], _T]) -> _T:
        """Run one step of a plugin, and return its result."""
        self._plugin = turn.plugin
        return super().run_step(turn, doing, call)

    def within(self, seconds: float, doing: str, call: Callable[[], _T]) -> _T:
        """Return the result of `call`.

        Raises:
            LoadTimeoutError: It took longer than `seconds`.
            LoadingStopped: The daemon must stop.
        """
        if self._stopped:
            raise LoadingStopped
        if self._ends is None:
            return call()
        seconds = min(seconds, threading.TIMEOUT_MAX / 2)
        self._called_back = None
        patience = min(seconds, PATIENCE)
        self._listener.end_after(seconds + 2 * patience)
        where = ""
        try:
            now = time.monotonic()
            self._running = _Running(now + seconds, patience, doing, now)
            try:
                return call()
            finally:
                self._running = None
        except _Interrupted as interrupted:
            where = _stack_of(interrupted)
        finally:
            self._listener.stays()
            signal.set_wakeup_fd(self._ends[1], warn_on_full_buffer=False)
            if self._stopped:
                raise LoadingStopped
        raise LoadTimeoutError(doing=doing, within=format_duration(seconds), trace=where)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._running is not None and self._is_due(self._running):
            raise _Interrupted

    def _is_due(self, running: _Running) -> bool:
        return self._stopped or time.monotonic() > running.until

    def _look(self) -> None:
        """Watch the main thread from another thread."""
        while not self._over:
            self._take_signals()
            running = self._running
            self._tell_systemd(running)
            self._warn_if_slow(running)
            if running is None or not self._is_due(running):
                continue
            now = time.monotonic()
            self._called_back = self._called_back or now
            if now - self._called_back > running.patience:
                self._gives_up()
            _send(self._main, _INTERRUPT)

    def _tell_systemd(self, running: _Running | None) -> None:
        """Ask the service manager regularly to wait longer than the step may take."""
        now = time.monotonic()
        if running is not None and now - self._told > 1.0:
            self._told = now
            self._systemd.extend_timeout(max(running.until - now, 0.0) + running.patience + _REST)

    def _warn_if_slow(self, running: _Running | None) -> None:
        """Warn once about a slow step, so that a long start has a visible cause."""
        if running is None or running is self._slow or time.monotonic() - running.since < SLOW:
            return
        self._slow = running
        logger.warning(
            "Plugin %s: %s takes more than %s, and the daemon waits for it; after %s it is given up"
            " (load_timeout in [plugins.%s])",
            self._plugin,
            running.doing,
            format_duration(SLOW),
            format_duration(running.until - running.since),
            self._plugin,
            extra={"action": "plugin.loads_slowly", "plugin": self._plugin},
        )

    def _take_signals(self) -> None:
        """Wait a moment, and notice a signal to stop even if its handler cannot run."""
        reads = self._ends[0] if self._ends else -1
        ready, _, _ = select.select([reads], [], [], _EVERY)
        if ready:
            with suppress(OSError):
                if not _ORDERS_TO_STOP.isdisjoint(os.read(reads, 4096)):
                    self.stop()

    def _gives_up(self) -> None:
        if self._give_up is None:
            return
        where = "".join(traceback.format_stack(sys._current_frames()[self._main], _FRAMES))
        if not self._stopped:
            self._listener.say(self._main, "it did not return, and could not be ended", where)
        self._give_up(self._stopped)


def _stack_of(interrupted: BaseException) -> str:
    frames = traceback.extract_tb(interrupted.__traceback__)
    own = [frame for frame in frames if frame.filename != __file__]
    lines = traceback.StackSummary.from_list(own[-_FRAMES:]).format()
    return plugin_frames("".join(["Where it stood (most recent call last):\n", *lines]))
