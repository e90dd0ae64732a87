"""The thread for the callbacks of a plugin with a timeout.

It takes one call at a time from the plugin's lane, which waits at most until the timeout. A
call that has not returned by then is given up; the thread hangs until it returns.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable
from itertools import islice, takewhile
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias

from sgevents_core.calling.describing import MAX_FRAMES, raised_error
from sgevents_core.calling.making import (
    CallRequest,
    Hung,
    append_filter_answer,
    do_nothing,
    outcome_of,
    run_call,
)
from sgevents_core.calling.outcome import CallOutcome
from sgevents_core.calling.store import StoreChanges
from sgevents_core.errors import CallbackTimeout
from sgevents_core.observe.event_loops import cancel_call
from sgevents_core.observe.invoking import invoke
from sgevents_core.observe.liveness import report_alive
from sgevents_core.observe.thread_frames import current_frames
from sgevents_core.settings import format_duration

LATE_LANE: Final = "\0late"
"""The lane name recorded for a call that no lane waits for any more."""
logger = logging.getLogger("sgevents.dispatch")

CANCEL_SECONDS: Final = 5.0
"""Seconds that an async call may take to end once it is cancelled."""
END_TIMEOUT: Final = 1.0
"""Seconds to wait for an idle thread to end."""

AttributeLane: TypeAlias = Callable[[int, str], None]
"""Called with a thread's ident and the lane whose call it makes."""


class PluginThread:
    """The executor of a plugin with time limits: a thread, started by the first call.

    Args:
        plugin_name: The plugin's name.
        lane_name: Its lane's name.
        attribute_lane: Called with the lane that the thread works for.

    `hung` is the call it hangs in; None while it can take a call. `returned` is called when a late
    call returns.
    """

    def __init__(self, plugin_name: str, lane_name: str, attribute_lane: AttributeLane) -> None:
        self.hung: Hung | None = None
        self.returned: Callable[[], None] = do_nothing
        self._plugin_name = plugin_name
        self._lane_name = lane_name
        self._attribute_lane = attribute_lane
        self._hung_lock = threading.Lock()
        self._has_returned = False
        self._requests: SimpleQueue[CallRequest | None] = SimpleQueue()
        self._outcomes: SimpleQueue[CallOutcome] = SimpleQueue()
        self._call_thread: threading.Thread | None = None

    def call(self, request: CallRequest, time_limit: float | None) -> CallOutcome:
        """Make a call, and return its outcome.

        Args:
            request: The call; the thread must not be hung.
            time_limit: The time limit in seconds; None for none. It counts from the call's last
                heartbeat; waiting for the store and describing an error are not charged.
        """
        call_thread = self._call_thread or self._start_thread()
        if time_limit is not None:
            time_limit = min(time_limit, threading.TIMEOUT_MAX)
        context = request.open_context()
        self._has_returned = False
        request.began_at, began_at = time.perf_counter(), time.monotonic()
        self._requests.put(request)
        remaining_seconds = time_limit
        while True:
            try:
                return self._outcomes.get(timeout=remaining_seconds)
            except Empty:
                charged_from = max(began_at, context.last_heartbeat) + context.seconds_waited
                remaining_seconds = (time_limit or 0.0) + charged_from - time.monotonic()
                if remaining_seconds <= 0.0:
                    hung_call = Hung(request, time_limit or 0.0)
                    return self._cancel(hung_call, call_thread) or self._give_up(
                        hung_call, call_thread
                    )
                report_alive(remaining_seconds)

    def close(self) -> None:
        """End the thread; one that hangs ends with the process."""
        self._requests.put(None)
        if self._call_thread is not None and self.hung is None:
            self._call_thread.join(END_TIMEOUT)

    def _start_thread(self) -> threading.Thread:
        self._call_thread = threading.Thread(
            target=self._run, name=f"plugin-{self._plugin_name}", daemon=True
        )
        self._call_thread.start()
        return self._call_thread

    def _cancel(self, hung_call: Hung, call_thread: threading.Thread) -> CallOutcome | None:
        """Cancel an async call; return its outcome, None if it does not end soon."""
        if not hung_call.request.callback.is_async or not cancel_call(
            call_thread.ident or 0, format_duration(hung_call.time_limit)
        ):
            return None
        report_alive(CANCEL_SECONDS)
        try:
            return self._outcomes.get(timeout=CANCEL_SECONDS)
        except Empty:
            return None

    def _give_up(self, hung_call: Hung, call_thread: threading.Thread) -> CallOutcome:
        thread_id = call_thread.ident or 0
        with self._hung_lock:
            is_late = not self._has_returned
            if is_late:
                self.hung = hung_call
                self._attribute_lane(
                    thread_id, LATE_LANE
                )  # before it can report that it has returned
        if not is_late:  # it returned at the last moment, and is being described
            return self._outcomes.get()
        return _timeout_outcome(hung_call, _format_stack(thread_id))

    def _run(self) -> None:
        self._attribute_lane(threading.get_ident(), self._lane_name)
        while (request := self._requests.get()) is not None:
            error = run_call(request, lambda: self.hung is None)
            with self._hung_lock:
                hung_call = self.hung
                self._has_returned = True
            outcome = outcome_of(request, error)
            del error  # its frames may hold the plugin's objects
            if hung_call is None:
                self._outcomes.put(outcome)
            else:
                self._report_late(hung_call, outcome)

    def _report_late(self, hung_call: Hung, outcome: CallOutcome) -> None:
        """Report that a late call has returned, and accept calls again."""
        request = hung_call.request
        self._attribute_lane(threading.get_ident(), self._lane_name)
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


def _timeout_outcome(hung_call: Hung, stack: str) -> CallOutcome:
    """Return the outcome of a call that is given up; its store takes no more changes."""
    request, services = hung_call.request, hung_call.request.services
    store_changes = None if request.context is None else request.context.end()
    kept_changes: StoreChanges | None = None if store_changes is None else {}
    seconds = time.perf_counter() - request.began_at
    timeout_error = CallbackTimeout(within=format_duration(hung_call.time_limit), stack=stack)
    raised = raised_error(timeout_error, services.redact)
    contact = services.contact
    site_unanswered = contact.is_waiting or contact.has_failed_since(time.monotonic() - seconds)
    return CallOutcome(
        seconds,
        error=raised,
        timed_out=True,
        store_changes=kept_changes,
        site_unanswered=site_unanswered,
    )


_OWN_CODE: Final = frozenset({invoke.__code__, append_filter_answer.__code__})


def _format_stack(thread_id: int) -> str:
    """Return the stack of a thread, from the plugin's first frame on; empty if it has ended."""
    innermost_frame = current_frames().get(thread_id)
    if innermost_frame is None:
        return ""
    plugin_frames = takewhile(
        lambda frame_position: frame_position[0].f_code not in _OWN_CODE,
        traceback.walk_stack(innermost_frame),
    )
    frames = [*islice(plugin_frames, MAX_FRAMES)]
    stack_summary = traceback.StackSummary.extract(reversed(frames))
    return "".join(["Where it stood (most recent call last):\n", *stack_summary.format()])


def worker_label(lane_name: str, worker_number: int) -> str:
    """Return the name, as a lane in the evidence, of a worker's thread in a lane.

    Args:
        lane_name: The lane's name.
        worker_number: The worker's number, from 1; 0 for the thread of a lane without workers.
    """
    return f"{lane_name}\0worker {worker_number}" if worker_number else lane_name


def ignore_lane(thread_id: int, lane_name: str) -> None:
    """Ignore which lane a thread works for."""
