"""Decide how long a call that its plugin puts off is put off, and when that is enough. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sgevents_core.calling.judging import AttemptedCall
from sgevents_core.calling.outcome import RaisedError
from sgevents_core.settings import format_duration
from sgevents_core.state.deferred import DeferredCall
from sgevents_core.state.failures import Failure

SHORTEST_DEFER: Final = 1.0
"""Seconds that a call is put off at least: a plugin may not call itself without pause."""


def put_off(
    call: AttemptedCall,
    era: int,
    error: RaisedError,
    earlier: DeferredCall | None,
    *,
    defer_limit: float,
    current_time: float,
    first_at: float = 0.0,
) -> DeferredCall | None:
    """Return a call as it is put off; None if it has been put off for as long as it may be.

    The last time it is put off, it is made at the limit, so that it has a last chance.

    Args:
        call: The call.
        era: The era of its event.
        error: What it raised: a `Defer`.
        earlier: The call as it was put off before; None if this is the first time, or a batch.
        defer_limit: How long an event may be put off, in seconds.
        current_time: The time, in seconds since 1970.
        first_at: When a batch was put off first, in seconds since 1970; 0 if it was not.
    """
    first_at = (first_at or current_time) if earlier is None else earlier.first_at
    if current_time >= first_at + defer_limit:
        return None
    wait_seconds = max(error.facts.defer_after or 0.0, SHORTEST_DEFER)
    return DeferredCall(
        call.plugin,
        call.callback_name,
        era,
        call.event_id,
        call.seq,
        due_at=min(current_time + wait_seconds, first_at + defer_limit),
        first_at=first_at,
        attempts=call.attempt - 1,
        deferrals=1 if earlier is None else earlier.deferrals + 1,
        reason=reason_of(error),
    )


def reason_of(error: RaisedError) -> str:
    """Return the reason that a `Defer` gives, for people; empty if it gives none."""
    return error.line.removeprefix("Defer").removeprefix(": ")


def failure_at_limit(failure: Failure, error: RaisedError, defer_limit: float) -> Failure:
    """Return the dead letter of a call that was put off for as long as it may be.

    Args:
        failure: The failure.
        error: The `Defer` that the call raised.
        defer_limit: How long an event may be put off, in seconds.
    """
    reason_text = reason_of(error)
    limit_text = f"put off for {format_duration(defer_limit)}, its defer_limit"
    error_line = f"DeferLimitReached: {limit_text}{f': {reason_text}' if reason_text else ''}"
    return replace(failure, error=error_line, outcome="dead-letter")
