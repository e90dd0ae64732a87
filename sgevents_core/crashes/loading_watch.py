"""Watching plugins while a daemon loads, starts and shuts them down.

Each step is recorded beforehand, so that the next process knows in which one it died. Plugins are
loaded in the main thread, as they may expect; it is interrupted if a step takes too long or the
daemon must stop. If it cannot be interrupted, the process is given up.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Final, NamedTuple, TypeVar

from sgevents_core.crashes.evidence import EvidenceRecorder, LoadingStep
from sgevents_core.crashes.plugin_frames import keep_plugin_frames
from sgevents_core.errors import LoadTimeoutError
from sgevents_core.observe.process_guard import keep_open
from sgevents_core.observe.systemd import Systemd
from sgevents_core.observe.thread_frames import current_frames
from sgevents_core.plugins.load_watching import (
    KnownBroken,
    LoadingStopped,
    LoadingTurn,
    PluginWatch,
)
from sgevents_core.readiness import wait_until_readable
from sgevents_core.settings import format_duration

_T = TypeVar("_T")

logger = logging.getLogger("sgevents.daemon")

SLOW_AFTER: Final = 5.0
"""Seconds after which a step still running is warned about."""
RETURN_TIMEOUT: Final = 5.0
"""Seconds for interrupted code to return; at most its original limit."""
_POLL_INTERVAL: Final = 0.1
_FRAME_LIMIT: Final = 20
_TIME_AFTER_STEP: Final = 30.0
"""Seconds for the work after a step."""
_INTERRUPT_SIGNAL: Final = signal.SIGURG
"""A signal that is ignored by a process that does not wait for it."""
_STOP_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
_send_signal: Final = signal.pthread_kill


class RecordingWatch(PluginWatch):
    """A watch that records each step for the next process.

    Args:
        recorder: The recorder of evidence of how this process ends.
        known_broken: Plugin -> why it is not loaded.
    """

    def __init__(
        self, recorder: EvidenceRecorder, known_broken: Mapping[str, KnownBroken] | None = None
    ) -> None:
        super().__init__(known_broken)
        self._recorder: Final = recorder
        self._known_threads = {thread.ident for thread in threading.enumerate()}

    def run_step(self, turn: LoadingTurn, activity: str, call: Callable[[], _T]) -> _T:
        """Run one step of a plugin, and return its result."""
        try:
            with self._recorder.attribute_to_step(
                LoadingStep(turn.plugin, activity, turn.fingerprint)
            ):
                return self.within(turn.time_limit, activity, call)
        finally:
            self._recorder.enable_crash_tracebacks()
            self._attribute_threads(turn, activity)

    def _attribute_threads(self, turn: LoadingTurn, activity: str) -> None:
        """Record which plugin owns the threads started meanwhile."""
        for thread in threading.enumerate():
            if thread.ident is not None and thread.ident not in self._known_threads:
                self._known_threads.add(thread.ident)
                thread_activity = f"a thread that it started while {activity}"
                step = LoadingStep(
                    turn.plugin, thread_activity, turn.fingerprint, thread_seen_at=time.time()
                )
                self._recorder.attribute_thread(thread.ident, step)


class TimeoutWatch(RecordingWatch):
    """A watch that records each step, and ends the process if one takes too long.

    For processes in which plugins are loaded beside the daemon's.
    """

    def within(self, time_limit: float, activity: str, call: Callable[[], _T]) -> _T:
        """Return the result of `call`, or end the process after some seconds."""
        self._recorder.end_process_after(min(time_limit, threading.TIMEOUT_MAX / 2))
        try:
            return call()
        finally:
            self._recorder.cancel_ending()


class _Interrupted(BaseException):
    """Raised in the main thread to leave a plugin's code."""


class _RunningStep(NamedTuple):
    """A running step: its deadline, in monotonic seconds, and the further time allowed after it."""

    deadline: float
    return_timeout: float
    activity: str
    started_at: float


class InterruptingWatch(RecordingWatch):
    """A watch that records each step and interrupts the main thread; use it in a `with`.

    In any thread but the main one it only records.

    Args:
        recorder: The recorder of evidence of how this process ends.
        known_broken: Plugin -> why it is not loaded.
        give_up_process: Ends or replaces a process whose main thread does not return; takes
            whether the daemon was to stop. None if that is not possible.
        is_stoppable: Whether to interrupt a step when the daemon must stop.
        systemd: The service manager, which is asked to wait for a long step.
    """

    def __init__(
        self,
        recorder: EvidenceRecorder,
        known_broken: Mapping[str, KnownBroken] | None = None,
        *,
        give_up_process: Callable[[bool], None] | None = None,
        is_stoppable: bool = True,
        systemd: Systemd | None = None,
    ) -> None:
        super().__init__(recorder, known_broken)
        self._systemd = systemd or Systemd({})
        self._systemd_informed_at = 0.0
        self._slow_step: _RunningStep | None = None
        self._plugin_name = ""
        self._give_up_process = give_up_process
        self._is_stoppable = is_stoppable
        self._is_stopped = False
        self._running: _RunningStep | None = None
        self._is_over = False
        self._interrupted_at: float | None = None
        self._main_thread = threading.get_ident()
        self._wakeup_pipe: tuple[int, int] | None = None

    def __enter__(self) -> InterruptingWatch:
        """Start watching."""
        if threading.current_thread() is threading.main_thread():
            read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            self._wakeup_pipe = (read_end, write_end)
            keep_open(read_end, write_end)
            self._previous_wakeup = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
            self._previous_handler = signal.signal(_INTERRUPT_SIGNAL, self._interrupt_step)
            self._watch_thread = threading.Thread(
                target=self._watch_main_thread, name="loading", daemon=True
            )
            self._watch_thread.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        error_traceback: TracebackType | None,
    ) -> None:
        """Stop watching."""
        if self._wakeup_pipe is None:
            return
        self._is_over = True
        with suppress(OSError):
            os.write(self._wakeup_pipe[1], b"\0")
        self._watch_thread.join()
        signal.signal(_INTERRUPT_SIGNAL, self._previous_handler)
        signal.set_wakeup_fd(self._previous_wakeup)
        for pipe_end in self._wakeup_pipe:
            os.close(pipe_end)
        self._wakeup_pipe = None

    def stop(self) -> None:
        """Interrupt the running step and begin no other; may be called from a signal handler."""
        if self._is_stoppable:
            self._is_stopped = True

    def run_step(self, turn: LoadingTurn, activity: str, call: Callable[[], _T]) -> _T:
        """Run one step of a plugin, and return its result."""
        self._plugin_name = turn.plugin
        return super().run_step(turn, activity, call)

    def within(self, time_limit: float, activity: str, call: Callable[[], _T]) -> _T:
        """Return the result of `call`.

        Raises:
            LoadTimeoutError: It took longer than `time_limit`.
            LoadingStopped: The daemon must stop.
        """
        if self._is_stopped:
            raise LoadingStopped
        if self._wakeup_pipe is None:
            return call()
        time_limit = min(time_limit, threading.TIMEOUT_MAX / 2)
        self._interrupted_at = None
        return_timeout = min(time_limit, RETURN_TIMEOUT)
        self._recorder.end_process_after(time_limit + 2 * return_timeout)
        stack_text = ""
        try:
            started_at = time.monotonic()
            self._running = _RunningStep(
                started_at + time_limit, return_timeout, activity, started_at
            )
            try:
                return call()
            finally:
                self._running = None
        except _Interrupted as interruption:
            stack_text = _format_stack(interruption)
        finally:
            self._recorder.cancel_ending()
            signal.set_wakeup_fd(self._wakeup_pipe[1], warn_on_full_buffer=False)
            if self._is_stopped:
                raise LoadingStopped
        raise LoadTimeoutError(doing=activity, within=format_duration(time_limit), trace=stack_text)

    def _interrupt_step(self, signal_number: int, frame: FrameType | None) -> None:
        if self._running is not None and self._is_step_due(self._running):
            raise _Interrupted

    def _is_step_due(self, running: _RunningStep) -> bool:
        return self._is_stopped or time.monotonic() > running.deadline

    def _watch_main_thread(self) -> None:
        """Watch the main thread from another thread."""
        while not self._is_over:
            self._read_signals()
            running = self._running
            self._extend_start_timeout(running)
            self._warn_if_slow(running)
            if running is None or not self._is_step_due(running):
                continue
            current_time = time.monotonic()
            self._interrupted_at = self._interrupted_at or current_time
            if current_time - self._interrupted_at > running.return_timeout:
                self._give_up_step()
            _send_signal(self._main_thread, _INTERRUPT_SIGNAL)

    def _extend_start_timeout(self, running: _RunningStep | None) -> None:
        """Ask the service manager regularly to wait longer than the step may take."""
        current_time = time.monotonic()
        if running is not None and current_time - self._systemd_informed_at > 1.0:
            self._systemd_informed_at = current_time
            self._systemd.extend_timeout(
                max(running.deadline - current_time, 0.0)
                + running.return_timeout
                + _TIME_AFTER_STEP
            )

    def _warn_if_slow(self, running: _RunningStep | None) -> None:
        """Warn once about a slow step, so that a long start has a visible cause."""
        if (
            running is None
            or running is self._slow_step
            or time.monotonic() - running.started_at < SLOW_AFTER
        ):
            return
        self._slow_step = running
        logger.warning(
            "Plugin %s: %s takes more than %s, and the daemon waits for it; after %s it is given up"
            " (load_timeout in [plugins.%s])",
            self._plugin_name,
            running.activity,
            format_duration(SLOW_AFTER),
            format_duration(running.deadline - running.started_at),
            self._plugin_name,
            extra={"action": "plugin.loads_slowly", "plugin": self._plugin_name},
        )

    def _read_signals(self) -> None:
        """Wait a moment, and notice a signal to stop even if its handler cannot run."""
        read_end = self._wakeup_pipe[0] if self._wakeup_pipe else -1
        if wait_until_readable([read_end], _POLL_INTERVAL):
            with suppress(OSError):
                if not _STOP_SIGNALS.isdisjoint(os.read(read_end, 4096)):
                    self.stop()

    def _give_up_step(self) -> None:
        if self._give_up_process is None:
            return
        stack_text = "".join(
            traceback.format_stack(current_frames()[self._main_thread], _FRAME_LIMIT)
        )
        if not self._is_stopped:
            self._recorder.record_ending(
                self._main_thread, "it did not return, and could not be ended", stack_text
            )
        self._give_up_process(self._is_stopped)


def _format_stack(interruption: BaseException) -> str:
    frames = traceback.extract_tb(interruption.__traceback__)
    outer_frames = [frame for frame in frames if frame.filename != __file__]
    frame_lines = traceback.StackSummary.from_list(outer_frames[-_FRAME_LIMIT:]).format()
    return keep_plugin_frames("".join(["Where it stood (most recent call last):\n", *frame_lines]))
