"""The failure policy: pure decisions about a failed callback, without clock or state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from sgevents_core.calling.outage import comes_from_client
from sgevents_core.calling.outcome import ErrorFacts
from sgevents_core.calling.transient import transient_failure
from sgevents_core.choices import OnError
from sgevents_core.errors import Retry
from sgevents_core.settings import parse_duration

Outcome: TypeAlias = Literal["retry"] | OnError

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 300.0
LONGEST_HOLD: Final = 86_400.0
"""The most seconds a plugin is held, whatever it asks for, since its other events wait too."""
SHORTEST_SHARE: Final = 0.6
"""The share of a wait that jitter leaves: ten attempts take at least five minutes."""


@dataclass(frozen=True, slots=True)
class FailureRules:
    """The failure policy of one callback.

    Args:
        on_error: What happens when no retry is left, or a retry makes no sense.
        max_attempts: The most calls for one event.
        pause_after: The number of events in a row given up after which its plugin is paused.
    """

    on_error: OnError = "dead-letter"
    max_attempts: int = 10
    pause_after: int = 20


class Verdict(NamedTuple):
    """The decision about a failure; `after` is the wait before a retry, in seconds."""

    outcome: Outcome
    after: float = 0.0


def facts_of(error: BaseException, now: float) -> ErrorFacts:
    """Return the relevant facts about an error; inspecting it may run a plugin's code.

    Args:
        error: What was raised.
        now: The time, in seconds since 1970.
    """
    if issubclass(type(error), Retry):
        return ErrorFacts(asks_retry=True, retry_after=_requested_wait(error))
    transient = transient_failure(error, now)
    if transient is None:
        return ErrorFacts()
    from_client = comes_from_client(error)
    return ErrorFacts(is_transient=True, retry_after=transient.after, is_from_client=from_client)


def judge(facts: ErrorFacts, attempt: int, rules: FailureRules, jitter: float) -> Verdict:
    """Decide what to do when a callback raised.

    Transient failures, and those where the plugin asks for it (`Retry`), are retried; a bug would
    raise the same again, so it is not. With `skip` the event matters less: only `Retry` is retried.

    Args:
        facts: The facts about what it raised.
        attempt: The number of the attempt, from 1.
        rules: The callback's failure policy.
        jitter: A random number between 0 and 1, so that retries do not all come at once.
    """
    is_transient = facts.is_transient and rules.on_error != "skip"
    if (facts.asks_retry or is_transient) and attempt < rules.max_attempts:
        return Verdict("retry", _retry_wait(facts, attempt, jitter))
    return Verdict(rules.on_error)


def _retry_wait(facts: ErrorFacts, attempt: int, jitter: float) -> float:
    """Return the wait before a retry: as long as the plugin asks, or longer each time.

    A wait asked for by an answer never shortens the usual one: "at once" would use up all attempts
    immediately.
    """
    if facts.asks_retry and facts.retry_after is not None:
        return facts.retry_after
    # The exponent is limited so that the power cannot overflow.
    longest = min(FIRST_WAIT * 2.0 ** min(attempt - 1, 20), LONGEST_WAIT)
    return max(longest * (SHORTEST_SHARE + jitter * (1 - SHORTEST_SHARE)), facts.retry_after or 0.0)


def _requested_wait(error: BaseException) -> float | None:
    """Return the wait that a `Retry` asks for; None if it is invalid: that must cost no event."""
    try:
        requested = getattr(error, "after", None)
        if requested is None:
            return None
        seconds = parse_duration(requested) if isinstance(requested, str) else float(requested)
    except BaseException:
        return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_HOLD)
