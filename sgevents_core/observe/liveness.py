"""Which of the loops that do the daemon's work are alive, and which hang."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from threading import get_ident
from typing import Final

from sgevents_core.observe.observers import CallObserver, ObservedCall

logger = logging.getLogger("sgevents.daemon")

MARGIN: Final = 120.0
"""Seconds a loop may need for one turn; waiting for the database alone may take 30 s."""


class _Loop:
    """A loop that does the daemon's work: its last sign of life, and its thread."""

    __slots__ = ("pulse", "thread")

    def __init__(self) -> None:
        self.pulse: tuple[int, float | None] = (0, MARGIN)
        """The number of the sign, and the seconds allowed until the next; None for any time."""
        self.thread = 0


_loop_of_thread: Final[ContextVar[_Loop | None]] = ContextVar("sgevents_loop", default=None)


def alive(wait: float = 0.0) -> None:
    """Record a sign of life of the loop that this thread runs; do nothing in any other thread.

    Args:
        wait: How long it may wait now, in seconds.
    """
    loop = _loop_of_thread.get()
    if loop is not None:
        loop.pulse = (loop.pulse[0] + 1, wait + MARGIN)


def busy() -> None:
    """Note that this thread's loop calls a plugin's code, which may take any time.

    Without a timeout a callback has no limit: the loop counts as alive until its next `alive`.
    """
    loop = _loop_of_thread.get()
    if loop is not None:
        loop.pulse = (loop.pulse[0] + 1, None)


class SignsOfCalls(CallObserver):
    """An observer that counts a lane's loop as alive for as long as a call may take.

    It does what `busy` and `alive` do without calling them: around a call, each step is measured.
    """

    def began(self, call: ObservedCall, limit: float | None) -> None:
        """Give the loop the time that the call may take."""
        loop = _loop_of_thread.get()
        if loop is not None:
            loop.pulse = (loop.pulse[0] + 1, None if limit is None else limit + MARGIN)

    def ended(
        self, call: ObservedCall, began: float, seconds: float, error: BaseException | None
    ) -> None:
        """Give a sign of life: the loop has its thread back."""
        loop = _loop_of_thread.get()
        if loop is not None:
            loop.pulse = (loop.pulse[0] + 1, MARGIN)

    def passed(self, call: ObservedCall) -> None:
        """Give a sign of life, as after a call."""
        alive()


class Liveness:
    """The state of each loop: whether it makes progress.

    A loop calls `alive` at every turn, with how long it is about to wait, and `busy` before it
    calls a plugin. A loop that does neither for longer than it announced plus `MARGIN` hangs.

    Args:
        loops: Names of the loops, such as `feed` and `lane default`.
    """

    def __init__(self, loops: Iterable[str]) -> None:
        self._loops = {name: _Loop() for name in loops}
        self._seen: dict[str, tuple[int, float]] = {}
        self._hanging: frozenset[str] = frozenset()

    def run(self, loop: str, body: Callable[[], None]) -> None:
        """Run the body of a loop's thread, and record its signs of life meanwhile.

        Once the body has ended, nothing more is expected of the loop: whoever started it sees that.
        """
        self._loops[loop].thread = get_ident()
        before = _loop_of_thread.set(self._loops[loop])
        try:
            body()
        finally:
            busy()
            _loop_of_thread.reset(before)

    def hanging(self, now: float) -> frozenset[str]:
        """Return the names of the loops that hang; log each once, and once when it moves again.

        Call it often: the time that a loop has been silent counts from when that was first seen.

        Args:
            now: The monotonic clock, in seconds.
        """
        hanging = frozenset(loop for loop in self._loops if self._hangs(loop, now))
        self._log_changes(hanging, now)
        self._hanging = hanging
        return hanging

    def _hangs(self, loop: str, now: float) -> bool:
        turn, allowed = self._loops[loop].pulse
        seen, since = self._seen.get(loop, (None, now))
        if turn != seen or allowed is None:
            self._seen[loop] = (turn, now)
            return False
        return now - since > allowed

    def _log_changes(self, hanging: frozenset[str], now: float) -> None:
        for loop in sorted(hanging - self._hanging):
            silent = now - self._seen[loop][1]
            stack = _stack_of(self._loops[loop].thread)
            extra = {"action": "daemon.hung", "loop": loop, "traceback": stack}
            logger.error("The %s has not moved for %.0f s: it hangs", loop, silent, extra=extra)
        for loop in sorted(self._hanging - hanging):
            extra = {"action": "daemon.moves", "loop": loop}
            logger.warning("The %s moves again", loop, extra=extra)


def _stack_of(thread: int) -> str:
    """Return where a thread is, empty if it has ended."""
    frame = sys._current_frames().get(thread)  # there is no other way to see another thread
    return "".join(traceback.format_stack(frame)) if frame is not None else ""
