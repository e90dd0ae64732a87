"""The thread for the callbacks of a plugin with a timeout.

It takes one call at a time from the plugin's lane, which waits at most for the timeout. A call that
has not returned by then is given up; the thread hangs until it returns.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice, takewhile
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple, TypeAlias

from sgevents_core.calling.context import CallContext, Services
from sgevents_core.calling.describing import MOST_FRAMES, describe
from sgevents_core.errors import CallbackTimeout
from sgevents_core.events import Event
from sgevents_core.observe.calling import invoke
from sgevents_core.observe.current import CurrentCall
from sgevents_core.plugins.callback import Callback
from sgevents_core.settings import format_duration

LATE: Final = "\0late"
"""As the lane of last words: a call that no lane waits for any more."""
logger = logging.getLogger("sgevents.dispatch")

ENDS_WITHIN: Final = 1.0
"""Seconds to wait for an idle thread to end."""

Hear: TypeAlias = Callable[[int, str], None]
"""Called with a thread's ident and the lane whose call it makes."""


class ThreadTurn(NamedTuple):
    """One call of one callback.

    Args:
        callback: The callback.
        event: The event.
        context: Its `ctx`.
        services: What the calls of its plugin share.
        event_id: The event's id.
        asks: Whether to run the callback's filter first.
    """

    callback: Callback
    event: Event
    context: CallContext
    services: Services
    event_id: int
    asks: bool = True


class Outcome(NamedTuple):
    """The outcome of a call: what it raised, and whether its filter wanted the event."""

    error: BaseException | None
    wanted: bool = True


@dataclass(frozen=True, slots=True)
class Hung:
    """A call that exceeded its timeout and has not returned.

    Args:
        turn: The call.
        within: Its timeout, in seconds.
        began: When it began, in monotonic seconds.
    """

    turn: ThreadTurn
    within: float
    began: float

    @property
    def reason(self) -> str:
        """Why the plugin is held, for people."""
        name, event_id = self.turn.callback.name, self.turn.event_id
        within = format_duration(self.within)
        return f"{name} has not returned within {within} from event {event_id}; held until it does"


class OwnThread:
    """A plugin's thread, started by the first call.

    Args:
        plugin: The plugin's name.
        lane: Its lane's name.
        hear: Called with the lane that the thread works for.

    `hung` is the call it hangs in; None while it can take a call. `writes` counts the plugin's
    writes to the site in this thread. `returned` is called when a late call returns.
    """

    def __init__(self, plugin: str, lane: str, hear: Hear) -> None:
        self.hung: Hung | None = None
        self.writes = 0
        self.returned: Callable[[], None] = _nothing
        self._plugin = plugin
        self._lane = lane
        self._hear = hear
        self._lock = threading.Lock()
        self._turns: SimpleQueue[ThreadTurn | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def call(self, turn: ThreadTurn, within: float | None) -> Outcome:
        """Make a call, and return its outcome.

        Args:
            turn: The call; the thread must not be hung.
            within: The timeout in seconds; None for no timeout.

        Returns:
            The outcome; its error is a CallbackTimeout if the call did not return in time.
        """
        thread = self._thread or self._start()
        began = time.monotonic()
        if within is not None:
            within = min(within, threading.TIMEOUT_MAX)
        self._turns.put(turn)
        try:
            return self._outcomes.get(timeout=within)
        except Empty:
            return self._given_up(Hung(turn, within or 0.0, began), thread)

    def close(self) -> None:
        """End the thread; one that hangs ends with the process."""
        self._turns.put(None)
        if self._thread is not None and self.hung is None:
            self._thread.join(ENDS_WITHIN)

    def _start(self) -> threading.Thread:
        self._thread = threading.Thread(
            target=self._run, name=f"plugin-{self._plugin}", daemon=True
        )
        self._thread.start()
        return self._thread

    def _given_up(self, hung: Hung, thread: threading.Thread) -> Outcome:
        ident = thread.ident or 0
        with self._lock:
            if not self._outcomes.empty():  # it returned at the last moment
                return self._outcomes.get()
            self.hung = hung
            self._hear(ident, LATE)  # before it can report that it has returned
        stack = _stack_of(ident)
        within = format_duration(hung.within)
        return Outcome(CallbackTimeout(within=within, stack=stack))

    def _run(self) -> None:
        self._hear(threading.get_ident(), self._lane)
        while (turn := self._turns.get()) is not None:
            outcome = made(turn, lambda: self.hung is None)
            self.writes = turn.services.writes
            with self._lock:
                hung = self.hung
                if hung is None:
                    self._outcomes.put(outcome)
            if hung is not None:
                self._came_late(hung, outcome.error)

    def _came_late(self, hung: Hung, error: BaseException | None) -> None:
        """Report that a late call has returned, and accept calls again."""
        turn = hung.turn
        self._hear(threading.get_ident(), self._lane)
        said = "" if error is None else f" with {describe(error, turn.services.redact)[0]}"
        after = time.monotonic() - hung.began
        logger.warning(
            "%s of plugin %s has returned from event %d after %.1f s%s: too late to count; the "
            "plugin goes on",
            turn.callback.name,
            turn.callback.plugin,
            turn.event_id,
            after,
            said,
            extra={
                "action": "callback.returned_late",
                "plugin": turn.callback.plugin,
                "callback": turn.callback.name,
                "event_id": turn.event_id,
                "duration_ms": round(after * 1000, 3),
            },
        )
        self.hung = None
        self.returned()


def _always() -> bool:
    return True


def made(turn: ThreadTurn, in_time: Callable[[], bool] = _always) -> Outcome:
    """Make a call in this thread, and return its outcome.

    If the filter did not return `in_time`, its result is ignored and the callback is not called.
    """
    callback = turn.callback
    current = CurrentCall(callback.plugin, callback.name, turn.event_id)
    if turn.asks:  # a filter is a plugin's code
        wants: list[bool] = []
        error = invoke(current, _ask, turn, wants)
        if error is not None:
            return Outcome(error)
        if not (wants[0] and in_time()):
            return Outcome(None, wanted=False)
    return Outcome(invoke(current, callback.function, turn.event, turn.context))


def _ask(turn: ThreadTurn, wants: list[bool]) -> None:
    wants.append(bool(turn.callback.matches(turn.event)))


_OURS: Final = frozenset({invoke.__code__, _ask.__code__})


def _stack_of(thread: int) -> str:
    """Return the stack of a thread, from the plugin's first frame on; empty if it has ended."""
    innermost = sys._current_frames().get(thread)  # the only way to see another thread
    if innermost is None:
        return ""
    own = takewhile(lambda at: at[0].f_code not in _OURS, traceback.walk_stack(innermost))
    frames = [*islice(own, MOST_FRAMES)]
    stack = traceback.StackSummary.extract(reversed(frames))
    return "".join(["Where it stood (most recent call last):\n", *stack.format()])


def heard_by_nobody(thread: int, lane: str) -> None:
    """Ignore which lane a thread works for."""


def _nothing() -> None:
    pass
