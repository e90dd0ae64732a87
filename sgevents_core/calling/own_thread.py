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
from itertools import islice, takewhile
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias

from sgevents_core.calling.describing import MOST_FRAMES, raised_error
from sgevents_core.calling.making import CallRequest, Hung, do_nothing, outcome_of, run, run_filter
from sgevents_core.calling.outcome import CallOutcome
from sgevents_core.calling.store import StoreChanges
from sgevents_core.errors import CallbackTimeout
from sgevents_core.observe.invoking import invoke
from sgevents_core.observe.liveness import report_alive
from sgevents_core.settings import format_duration

LATE: Final = "\0late"
"""As the lane in the evidence: a call that no lane waits for any more."""
logger = logging.getLogger("sgevents.dispatch")

ENDS_WITHIN: Final = 1.0
"""Seconds to wait for an idle thread to end."""

Hear: TypeAlias = Callable[[int, str], None]
"""Called with a thread's ident and the lane whose call it makes."""


class OwnThread:
    """The executor of a plugin with time limits: a thread, started by the first call.

    Args:
        plugin: The plugin's name.
        lane: Its lane's name.
        hear: Called with the lane that the thread works for.

    `hung` is the call it hangs in; None while it can take a call. `returned` is called when a late
    call returns.
    """

    def __init__(self, plugin: str, lane: str, hear: Hear) -> None:
        self.hung: Hung | None = None
        self.returned: Callable[[], None] = do_nothing
        self._plugin = plugin
        self._lane = lane
        self._hear = hear
        self._lock = threading.Lock()
        self._has_returned = False
        self._requests: SimpleQueue[CallRequest | None] = SimpleQueue()
        self._outcomes: SimpleQueue[CallOutcome] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def call(self, request: CallRequest, limit: float | None) -> CallOutcome:
        """Make a call, and return what it came to.

        Args:
            request: The call; the thread must not be hung.
            limit: The time limit in seconds; None for none. It counts from the call's last
                heartbeat; waiting for the store and describing an error are not charged.
        """
        thread = self._thread or self._start()
        if limit is not None:
            limit = min(limit, threading.TIMEOUT_MAX)
        context = request.open_context()
        self._has_returned = False
        request.began, began = time.perf_counter(), time.monotonic()
        self._requests.put(request)
        remaining = limit
        while True:
            try:
                return self._outcomes.get(timeout=remaining)
            except Empty:
                since = max(began, context.last_heartbeat) + context.seconds_waited
                remaining = (limit or 0.0) + since - time.monotonic()
                if remaining <= 0.0:
                    return self._give_up(Hung(request, limit or 0.0), thread)
                report_alive(remaining)

    def close(self) -> None:
        """End the thread; one that hangs ends with the process."""
        self._requests.put(None)
        if self._thread is not None and self.hung is None:
            self._thread.join(ENDS_WITHIN)

    def _start(self) -> threading.Thread:
        self._thread = threading.Thread(
            target=self._run, name=f"plugin-{self._plugin}", daemon=True
        )
        self._thread.start()
        return self._thread

    def _give_up(self, hung: Hung, thread: threading.Thread) -> CallOutcome:
        ident = thread.ident or 0
        with self._lock:
            is_late = not self._has_returned
            if is_late:
                self.hung = hung
                self._hear(ident, LATE)  # before it can report that it has returned
        if not is_late:  # it returned at the last moment, and is being described
            return self._outcomes.get()
        return _timed_out(hung, _stack_of(ident))

    def _run(self) -> None:
        self._hear(threading.get_ident(), self._lane)
        while (request := self._requests.get()) is not None:
            error = run(request, lambda: self.hung is None)
            with self._lock:
                hung = self.hung
                self._has_returned = True
            outcome = outcome_of(request, error)
            del error  # its frames may hold the plugin's objects
            if hung is None:
                self._outcomes.put(outcome)
            else:
                self._report_late(hung, outcome)

    def _report_late(self, hung: Hung, outcome: CallOutcome) -> None:
        """Report that a late call has returned, and accept calls again."""
        request = hung.request
        self._hear(threading.get_ident(), self._lane)
        logger.warning(
            "%s of plugin %s has returned from event %d after %.1f s%s: too late to count; the "
            "plugin continues",
            request.callback_name,
            request.plugin,
            request.event_id,
            outcome.seconds,
            "" if outcome.error is None else f" with {outcome.error.line}",
            extra={
                "action": "callback.returned_late",
                "plugin": request.plugin,
                "callback": request.callback_name,
                "event_id": request.event_id,
                "duration_ms": round(outcome.seconds * 1000, 3),
            },
        )
        self.hung = None
        self.returned()


def _timed_out(hung: Hung, stack: str) -> CallOutcome:
    """Return the outcome of a call that is given up; its store takes no more changes."""
    request, services = hung.request, hung.request.services
    changes = None if request.context is None else request.context.end()
    kept: StoreChanges | None = None if changes is None else {}
    seconds = time.perf_counter() - request.began
    error = CallbackTimeout(within=format_duration(hung.within), stack=stack)
    raised = raised_error(error, services.redact)
    contact = services.contact
    unanswered = contact.waits or contact.has_failed_since(time.monotonic() - seconds)
    return CallOutcome(
        seconds, error=raised, timed_out=True, store_changes=kept, site_unanswered=unanswered
    )


_OURS: Final = frozenset({invoke.__code__, run_filter.__code__})


def _stack_of(thread: int) -> str:
    """Return the stack of a thread, from the plugin's first frame on; empty if it has ended."""
    innermost = sys._current_frames().get(thread)  # the only way to see another thread
    if innermost is None:
        return ""
    own = takewhile(lambda at: at[0].f_code not in _OURS, traceback.walk_stack(innermost))
    frames = [*islice(own, MOST_FRAMES)]
    stack = traceback.StackSummary.extract(reversed(frames))
    return "".join(["Where it stood (most recent call last):\n", *stack.format()])


def worker_label(lane: str, worker: int) -> str:
    """Return the name, as a lane in the evidence, of a worker's thread in a lane.

    Args:
        lane: The lane's name.
        worker: The worker's number, from 1; 0 for the thread of a lane without workers.
    """
    return f"{lane}\0worker {worker}" if worker else lane


def heard_by_nobody(thread: int, lane: str) -> None:
    """Ignore which lane a thread works for."""
