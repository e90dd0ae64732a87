"""The failure policy: pure decisions about a failed callback, without clock or state."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

from sgevents_core.calling.outage import comes_from_client
from sgevents_core.calling.outcome import ErrorFacts
from sgevents_core.calling.transient import answered_wait, transient_failure
from sgevents_core.choices import OnError
from sgevents_core.errors import Defer, Retry
from sgevents_core.settings import parse_duration

Outcome: TypeAlias = Literal["retry", "defer"] | OnError

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 300.0
LONGEST_HOLD: Final = 86_400.0
"""The most seconds a plugin is held, whatever it asks for, since its other events wait too."""
DEFAULT_DEFER: Final = 60.0
"""Seconds after which an event comes again whose `Defer` asks for something that is no time."""
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
    """The decision about a failure; `wait_seconds` is the wait before a retry, in seconds."""

    outcome: Outcome
    wait_seconds: float = 0.0


FailureRule: TypeAlias = Callable[[BaseException], bool | None]
"""A plugin's own rule: whether a failure passes by itself; None for the rules of all plugins."""


def facts_of(
    error: BaseException, current_time: float, own_rule: FailureRule | None = None
) -> ErrorFacts:
    """Return the facts about an error that decide retries; inspecting it may run plugin code.

    Args:
        error: The exception.
        current_time: The time, in seconds since 1970.
        own_rule: The rule of the callback and its plugin, if they have one.
    """
    if issubclass(type(error), Retry):
        return ErrorFacts(asks_retry=True, retry_after=_requested_wait(error, LONGEST_HOLD))
    if issubclass(type(error), Defer):
        wait_seconds = _requested_wait(error, math.inf)
        return ErrorFacts(defer_after=DEFAULT_DEFER if wait_seconds is None else wait_seconds)
    own_verdict = None if own_rule is None else own_rule(error)
    if own_verdict is False:
        return ErrorFacts()
    transient_verdict = transient_failure(error, current_time)
    if transient_verdict is None and not own_verdict:
        return ErrorFacts()
    wait_seconds = (
        answered_wait(error, current_time)
        if transient_verdict is None
        else transient_verdict.wait_seconds
    )
    return ErrorFacts(
        is_transient=True,
        retry_after=wait_seconds,
        is_from_client=comes_from_client(error),
        is_listed=bool(own_verdict),
    )


def judge(
    error_facts: ErrorFacts, attempt_number: int, failure_rules: FailureRules, jitter: float
) -> Verdict:
    """Decide what to do when a callback raised.

    Transient failures, and those where the plugin asks for it (`Retry`), are retried; a bug would
    raise the same again, so it is not. With `skip` the event matters less: only what the plugin
    itself wants to be retried is.

    Args:
        error_facts: The facts about the exception.
        attempt_number: The number of the attempt, from 1.
        failure_rules: The callback's failure policy.
        jitter: A random number between 0 and 1, so that retries do not all come at once.
    """
    if error_facts.defer_after is not None:
        return Verdict("defer")
    is_wanted = error_facts.asks_retry or error_facts.is_listed
    is_transient = error_facts.is_transient and failure_rules.on_error != "skip"
    if (is_wanted or is_transient) and attempt_number < failure_rules.max_attempts:
        return Verdict("retry", _retry_wait(error_facts, attempt_number, jitter))
    return Verdict(failure_rules.on_error)


def _retry_wait(error_facts: ErrorFacts, attempt_number: int, jitter: float) -> float:
    """Return the wait before a retry: as long as the plugin asks, or longer each time.

    A wait that a server requests never shortens the usual one: "at once" would use up all attempts
    immediately.
    """
    if error_facts.asks_retry and error_facts.retry_after is not None:
        return error_facts.retry_after
    # The exponent is limited so that the power cannot overflow.
    longest_wait = min(FIRST_WAIT * 2.0 ** min(attempt_number - 1, 20), LONGEST_WAIT)
    return max(
        longest_wait * (SHORTEST_SHARE + jitter * (1 - SHORTEST_SHARE)),
        error_facts.retry_after or 0.0,
    )


def _requested_wait(error: BaseException, longest_wait: float) -> float | None:
    """Return the wait that an error asks for; None if it is invalid: that must cost no event."""
    try:
        requested_wait = getattr(error, "after", None)
        if requested_wait is None:
            return None
        if isinstance(requested_wait, timedelta):
            requested_wait = requested_wait.total_seconds()
        seconds = (
            parse_duration(requested_wait)
            if isinstance(requested_wait, str)
            else float(requested_wait)
        )
    except BaseException:
        return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), longest_wait)
