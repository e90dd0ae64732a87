"""Describe the outcome of calls that did not return from a worker process."""

from __future__ import annotations

import logging
import time

from sgevents_core.calling.making import CallRequest
from sgevents_core.calling.outcome import (
    CallDeath,
    CallOutcome,
    ErrorFacts,
    RaisedError,
    Unmade,
)
from sgevents_core.calling.store import StoreChanges
from sgevents_core.children.process import Child, ChildDeath
from sgevents_core.errors import CallbackTimeout
from sgevents_core.settings import format_duration

logger = logging.getLogger("sgevents.dispatch")


def death_outcome(request: CallRequest, child_death: ChildDeath, lane_name: str) -> CallOutcome:
    """Return the outcome of a call whose process has died."""
    services = request.services
    kept_changes = end_without_changes(request)
    services.contact.take_report(is_waiting=False)
    seconds = time.perf_counter() - request.began_at
    error = death_error("in this call", child_death)
    redacted_error = RaisedError(
        error.type_name, services.redact(error.line), services.redact(error.traceback)
    )
    logger.warning(
        "Worker process of lane %s died in %s of plugin %s on event %d: %s",
        lane_name,
        request.callback_name,
        request.plugin,
        request.event_id,
        services.redact(child_death.how),
        extra={
            "action": "worker.died",
            "lane": lane_name,
            "plugin": request.plugin,
            "callback": request.callback_name,
            "event_id": request.event_id,
        },
    )
    return CallOutcome(
        seconds,
        error=redacted_error,
        store_changes=kept_changes,
        death=CallDeath(
            services.redact(child_death.how),
            services.redact(child_death.traceback),
            is_proved=child_death.is_proved and child_death.is_of_call,
        ),
    )


def end_overdue_call(request: CallRequest, child: Child, time_limit: float) -> CallOutcome:
    """End the process of a call that exceeded its limit, and return the call's outcome."""
    services, contact = request.services, request.services.contact
    kept_changes, site_unanswered = end_without_changes(request), contact.is_waiting
    stack_text = child.stack()
    child.kill()
    child.wait()
    seconds = time.perf_counter() - request.began_at
    site_unanswered = site_unanswered or contact.has_failed_since(time.monotonic() - seconds)
    contact.take_report(is_waiting=False)
    timeout_error = CallbackTimeout(within=format_duration(time_limit), stack=stack_text)
    error_line = services.redact(f"CallbackTimeout: {timeout_error}")
    error_traceback = services.redact(f"{stack_text}{error_line}\n")
    return CallOutcome(
        seconds,
        error=RaisedError("CallbackTimeout", error_line, error_traceback),
        timed_out=True,
        worker_was_ended=True,
        store_changes=kept_changes,
        site_unanswered=site_unanswered,
    )


def end_without_changes(request: CallRequest) -> StoreChanges | None:
    """End a call; return no changes, or None if its store was not granted."""
    store_changes = None if request.context is None else request.context.end()
    return None if store_changes is None else {}


def death_error(place_text: str, child_death: ChildDeath) -> RaisedError:
    """Return the error for the callback or hook that was running when its process died."""
    error_line = f"ProcessDied: its worker process died {place_text}: {child_death.how}"
    return RaisedError("ProcessDied", error_line, child_death.traceback)


def unmade_outcome(error: RaisedError) -> CallOutcome:
    """Return the outcome of a call that could not be made, for now or until a person looks."""
    unmade: Unmade = "for now" if error.facts.asks_retry else "until resumed"
    return CallOutcome(was_called=False, error=error, unmade=unmade)


def not_called_error(reason: str) -> RaisedError:
    """Return the error of a call that was not made; it is tried again, whatever the policy."""
    error_line = f"WorkerNotReady: {reason}"
    return RaisedError("WorkerNotReady", error_line, "", ErrorFacts(asks_retry=True))
