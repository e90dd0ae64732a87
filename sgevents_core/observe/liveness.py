"""Tell which of the daemon's working loops are alive and which hang."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from threading import get_ident
from typing import Final

from sgevents_core.observe.observers import CallObserver, ObservedCall, ObservedError
from sgevents_core.observe.thread_frames import current_frames

logger = logging.getLogger("sgevents.daemon")

LIVENESS_MARGIN: Final = 120.0
"""Seconds a loop may need for one turn; waiting for the database alone may take 30 s."""


class _MonitoredLoop:
    """A loop that does the daemon's work: its last sign of life, and its thread."""

    __slots__ = ("last_sign", "thread_id")

    def __init__(self) -> None:
        self.last_sign: tuple[int, float | None] = (0, LIVENESS_MARGIN)
        """The number of the sign, and the seconds allowed until the next; None for any time."""
        self.thread_id = 0


_loop_of_thread: Final[ContextVar[_MonitoredLoop | None]] = ContextVar(
    "sgevents_loop", default=None
)


def report_alive(wait_seconds: float = 0.0) -> None:
    """Record a sign of life of the loop that this thread runs; do nothing outside of loops.

    Args:
        wait_seconds: How long it may wait now, in seconds.
    """
    monitored_loop = _loop_of_thread.get()
    if monitored_loop is not None:
        monitored_loop.last_sign = (monitored_loop.last_sign[0] + 1, wait_seconds + LIVENESS_MARGIN)


def report_busy() -> None:
    """Note that this thread's loop calls a plugin's code, which may take any time.

    Without a timeout a callback has no limit: the loop counts as alive until its next
    `report_alive`.
    """
    monitored_loop = _loop_of_thread.get()
    if monitored_loop is not None:
        monitored_loop.last_sign = (monitored_loop.last_sign[0] + 1, None)


class LivenessObserver(CallObserver):
    """An observer that counts a lane's loop as alive for as long as a call may take.

    The observer does the work of `report_busy` and `report_alive` itself: around a call every step
    costs time.
    """

    def began(self, call: ObservedCall, limit: float | None) -> None:
        """Extend the loop's allowance by the time that the call may take."""
        monitored_loop = _loop_of_thread.get()
        if monitored_loop is not None:
            monitored_loop.last_sign = (
                monitored_loop.last_sign[0] + 1,
                None if limit is None else limit + LIVENESS_MARGIN,
            )

    def ended(
        self, call: ObservedCall, began: float, seconds: float, error: ObservedError | None
    ) -> None:
        """Record a sign of life: the call has given the thread back to the loop."""
        monitored_loop = _loop_of_thread.get()
        if monitored_loop is not None:
            monitored_loop.last_sign = (monitored_loop.last_sign[0] + 1, LIVENESS_MARGIN)

    def passed(self, call: ObservedCall) -> None:
        """Record a sign of life, as after a call."""
        report_alive()


class Liveness:
    """The state of each loop: whether it makes progress.

    A loop calls `report_alive` at every turn, with how long it is about to wait, and `report_busy`
    before it calls a plugin. A loop that does neither for longer than it announced plus
    `LIVENESS_MARGIN` hangs.

    Args:
        loop_names: Names of the loops, such as `feed` and `lane default`.
    """

    def __init__(self, loop_names: Iterable[str]) -> None:
        self._loops = {name: _MonitoredLoop() for name in loop_names}
        self._seen_signs: dict[str, tuple[int, float]] = {}
        self._hanging_loops: frozenset[str] = frozenset()
        self.checked_at: float | None = None
        """When `hanging_loops` was last called, in monotonic seconds; None before that."""

    @property
    def is_hanging(self) -> bool:
        """Whether a loop hung at the last check; for any thread."""
        return bool(self._hanging_loops)

    def expect(self, loop_names: Iterable[str]) -> None:
        """Monitor further loops; for the thread that calls `hanging_loops`."""
        for name in loop_names:
            self._loops.setdefault(name, _MonitoredLoop())

    def run(self, loop_name: str, loop_body: Callable[[], None]) -> None:
        """Run the body of a loop's thread, and record its signs of life meanwhile.

        Once `loop_body` has ended, expect nothing more of the loop; its starter notices the end.
        """
        self._loops[loop_name].thread_id = get_ident()
        previous_loop = _loop_of_thread.set(self._loops[loop_name])
        try:
            loop_body()
        finally:
            report_busy()
            _loop_of_thread.reset(previous_loop)

    def hanging_loops(self, now: float) -> frozenset[str]:
        """Return the names of the loops that hang; log each once, and once when it moves again.

        Call this often: a loop's silence counts from the first call that notices it.

        Args:
            now: The monotonic clock, in seconds.
        """
        hanging_loops = frozenset(name for name in self._loops if self._is_hanging(name, now))
        self._log_changes(hanging_loops, now)
        self._hanging_loops, self.checked_at = hanging_loops, now
        return hanging_loops

    def _is_hanging(self, loop_name: str, now: float) -> bool:
        turn_number, allowed_seconds = self._loops[loop_name].last_sign
        seen_turn, seen_at = self._seen_signs.get(loop_name, (None, now))
        if turn_number != seen_turn or allowed_seconds is None:
            self._seen_signs[loop_name] = (turn_number, now)
            return False
        return now - seen_at > allowed_seconds

    def _log_changes(self, hanging_loops: frozenset[str], now: float) -> None:
        for loop_name in sorted(hanging_loops - self._hanging_loops):
            silent_seconds = now - self._seen_signs[loop_name][1]
            stack_text = _stack_of(self._loops[loop_name].thread_id)
            extra = {"action": "daemon.hung", "loop": loop_name, "traceback": stack_text}
            logger.error(
                "The %s has not moved for %.0f s: it hangs", loop_name, silent_seconds, extra=extra
            )
        for loop_name in sorted(self._hanging_loops - hanging_loops):
            extra = {"action": "daemon.moves", "loop": loop_name}
            logger.warning("The %s moves again", loop_name, extra=extra)


def _stack_of(thread_id: int) -> str:
    """Return the stack of a thread, empty if the thread has ended."""
    frame = current_frames().get(thread_id)
    return "".join(traceback.format_stack(frame)) if frame is not None else ""
