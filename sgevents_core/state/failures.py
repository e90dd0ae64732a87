"""Failed attempts of callbacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

KEPT_FAILURES: Final = 10_000
"""The number of failures, besides dead letters, that are kept whatever their age."""
FailureOutcome: TypeAlias = Literal[
    "", "retry", "defer", "dead-letter", "skip", "pause", "retried", "dismissed", "skipped"
]
"""The outcome of a failure, by the policy or later by a person; empty before it is judged.

A call that is put off has not failed: `defer` is never recorded."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt of a callback, possibly the last.

    Args:
        plugin: The plugin's name.
        callback: The callback's name, `module:qualname`.
        seq: The event's place in the journal.
        event_id: The event's id on the site.
        attempt: The number of the attempt, from 1.
        error: Type and message of the exception, secrets removed.
        traceback: The traceback, secrets removed.
        at: When, in seconds since 1970.
        outcome: See `FailureOutcome`.
    """

    plugin: str
    callback: str
    seq: int
    event_id: int
    attempt: int
    error: str
    traceback: str
    at: float
    outcome: FailureOutcome


class RecordedFailure(NamedTuple):
    """A recorded failure, whether it is a dead letter, and its number."""

    failure: Failure
    dead: bool
    number: int
