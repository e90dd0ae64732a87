"""The judge of calls: what an outcome means for a plugin, as pure decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sgevents_core.state.failures import Failure, FailureOutcome

if TYPE_CHECKING:
    from sgevents_core.calling.outcome import RaisedError


class AttemptedCall(Protocol):
    """A call that was attempted: which callback, which event, which attempt."""

    @property
    def plugin(self) -> str:
        """The plugin's name."""

    @property
    def callback_name(self) -> str:
        """The callback's name."""

    @property
    def seq(self) -> int:
        """The event's place in the journal."""

    @property
    def event_id(self) -> int:
        """The event's id."""

    @property
    def attempt(self) -> int:
        """The number of the attempt, from 1."""


def failure_of(
    call: AttemptedCall, error: RaisedError, at: float, outcome: FailureOutcome = ""
) -> Failure:
    """Return the record of a failed call.

    Args:
        call: The call.
        error: What it raised.
        at: When, in seconds since 1970.
        outcome: What the failure policy decided; empty before it has.
    """
    return Failure(
        plugin=call.plugin,
        callback=call.callback_name,
        seq=call.seq,
        event_id=call.event_id,
        attempt=call.attempt,
        error=error.line,
        traceback=error.traceback,
        at=at,
        outcome=outcome,
    )
