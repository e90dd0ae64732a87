"""Make one call: run the callback's filter if needed, then the callback, and return the outcome.

Every call of a callback is made here, for live events, repeated calls, dry runs and tests; an
`Executor` decides in which thread or process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sgevents_core.calling.context import CallContext, Services
from sgevents_core.calling.describing import raised_error
from sgevents_core.calling.failure_rule import failure_rule_of
from sgevents_core.calling.outcome import CallMessage, CallOutcome
from sgevents_core.calling.store import StoreChanges
from sgevents_core.errors import CallbackTimeout
from sgevents_core.events import Event
from sgevents_core.observe.current_call import CurrentCall
from sgevents_core.observe.invoking import invoke
from sgevents_core.plugins.callback import Callback
from sgevents_core.settings import format_duration


class EventSource(Protocol):
    """The row of an event, with its place in the feed and in the journal."""

    @property
    def era(self) -> int:
        """The feed's era of the event."""

    @property
    def seq(self) -> int:
        """The event's place in the journal; 0 if it is not in the journal."""

    @property
    def event_id(self) -> int:
        """The event's id."""

    @property
    def body(self) -> bytes:
        """The event's row as JSON."""


@dataclass(slots=True)
class CallRequest:
    """One call to make in this process.

    Args:
        callback: The callback; it accepts the event's type.
        event: The event.
        source: The event's row.
        services: The services of its plugin's calls.
        attempt: The number of the attempt, from 1.
        runs_filter: Whether to run the callback's filter first: it is a plugin's code too.
        context: The callback's `ctx`, once the call is made.
        began_at: When the call began, by `time.perf_counter`.
        was_called: Whether the callback itself was called.
    """

    callback: Callback
    event: Event
    source: EventSource
    services: Services
    attempt: int = 1
    runs_filter: bool = False
    context: CallContext | None = None
    began_at: float = 0.0
    was_called: bool = False

    @property
    def plugin(self) -> str:
        """The plugin's name."""
        return self.callback.plugin

    @property
    def callback_name(self) -> str:
        """The callback's name."""
        return self.callback.name

    @property
    def event_id(self) -> int:
        """The event's id."""
        return self.source.event_id

    @property
    def created(self) -> float:
        """When the event was created, in seconds since 1970; 0 if that is not known."""
        return 0.0

    @property
    def seq(self) -> int:
        """The event's place in the journal; 0 if it is not in the journal."""
        return self.source.seq

    @property
    def number_in_lane(self) -> int | None:
        """The callback's index among all of its lane; None for a call that a person requested."""
        return None

    def message(self, body: bytes) -> CallMessage:
        """Return the call as a plain value, for another process.

        Args:
            body: The event's row as JSON; empty if the process has it.
        """
        source, callback = self.source, self.callback
        return CallMessage(
            callback.plugin,
            callback.name,
            source.era,
            source.seq,
            source.event_id,
            body,
            self.attempt,
            self.runs_filter,
        )

    def open_context(self) -> CallContext:
        """Return the callback's `ctx`; it lives until the call is over."""
        context = self.context = CallContext(
            self.services, self.event, self.callback.name, self.attempt, era=self.source.era
        )
        return context

    def release_store(self) -> None:
        """Let other calls use the plugin's store, once this call was judged."""
        if self.context is not None:
            self.context.release_store()


@dataclass(frozen=True, slots=True)
class Hung:
    """A call that exceeded its time limit and has not returned.

    Args:
        request: The call.
        time_limit: Its time limit, in seconds.
    """

    request: CallRequest
    time_limit: float

    @property
    def reason(self) -> str:
        """Why the plugin is held, for people."""
        name, event_id = self.request.callback_name, self.request.event_id
        limit = format_duration(self.time_limit)
        return f"{name} has not returned within {limit} from event {event_id}; held until it does"


class Executor(Protocol):
    """Where the calls of a plugin are made, one after another.

    `returned` is called, from any thread, when a call that had been given up has returned.
    """

    returned: Callable[[], None]

    @property
    def hung(self) -> Hung | None:
        """The call that is hanging in this executor; None while it can take a call."""

    def call(self, request: CallRequest, time_limit: float | None) -> CallOutcome:
        """Make a call, and return its outcome.

        Args:
            request: The call; the executor must not be hung.
            time_limit: The time limit in seconds; None for none.
        """

    def close(self) -> None:
        """End the executor after its current call; a hanging call ends with the process."""


def make_call(request: CallRequest, time_limit: float | None = None) -> CallOutcome:
    """Make a call in this thread, and return its outcome.

    Args:
        request: The call.
        time_limit: Not used: this thread cannot leave a call.
    """
    request.began_at = time.perf_counter()
    return outcome_of(request, run_call(request))


class LaneThread:
    """The executor of plugins without time limits: the lane's own thread."""

    __slots__ = ("returned",)

    hung: None = None
    call = staticmethod(make_call)

    def __init__(self) -> None:
        self.returned: Callable[[], None] = do_nothing

    def close(self) -> None:
        """Do nothing: the thread belongs to the lane."""


def run_call(
    request: CallRequest, is_in_time: Callable[[], bool] | None = None
) -> BaseException | None:
    """Run the filter, if requested, and the callback in this thread; return what was raised.

    If the filter did not return `is_in_time`, its result is ignored and the callback is not called.
    """
    callback, source = request.callback, request.source
    context = request.context
    if context is None:  # as open_context does, without another call
        context = request.context = CallContext(
            request.services, request.event, callback.name, request.attempt, source.era
        )
    current_call = CurrentCall(callback.plugin, callback.name, source.event_id)
    if request.runs_filter:
        filter_answers: list[bool] = []
        error = invoke(current_call, append_filter_answer, request, filter_answers)
        if error is not None or not filter_answers[0] or not (is_in_time is None or is_in_time()):
            return error
    request.was_called = True
    return invoke(current_call, callback.function, request.event, context)


def append_filter_answer(request: CallRequest, filter_answers: list[bool]) -> None:
    """Append to `filter_answers` whether the callback's filter wants the event."""
    filter_answers.append(bool(request.callback.matches(request.event)))


def outcome_of(request: CallRequest, error: BaseException | None) -> CallOutcome:
    """Return the outcome of a call; in the thread that made it.

    Args:
        request: The call, which is over.
        error: The exception that it raised.
    """
    seconds = time.perf_counter() - request.began_at
    services, context = request.services, request.context
    store_changes = None if context is None else context.end()
    write_count = services.take_writes() if services.uses_site else 0
    if error is None:
        ignored = "" if context is None else context.ignored
        return CallOutcome(
            seconds,
            request.was_called,
            None,
            False,
            store_changes,
            write_count,
            ignored=ignored,
        )
    services.event_records.forget_event(request.event_id)  # another attempt reads it again
    began_at = time.monotonic() - (time.perf_counter() - request.began_at)
    raised = raised_error(error, services.redact, failure_rule_of(request))
    kept_changes: StoreChanges | None = None if store_changes is None else {}
    timed_out = type(error) is CallbackTimeout  # cancelled, and it has ended
    contact = services.contact
    site_unanswered = contact.has_failed_since(began_at) or (timed_out and contact.is_waiting)
    return CallOutcome(
        seconds, request.was_called, raised, timed_out, kept_changes, write_count, site_unanswered
    )


def do_nothing() -> None:
    """Do nothing: the default for an executor's `returned`."""
