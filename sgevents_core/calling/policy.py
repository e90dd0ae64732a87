"""What follows when a callback fails: pure decisions, no clock, no state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from sgevents_core.calling.passing import passing
from sgevents_core.choices import OnError
from sgevents_core.errors import Retry
from sgevents_core.settings import parse_duration

Outcome: TypeAlias = Literal["retry"] | OnError

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 300.0
LONGEST_HOLD: Final = 86_400.0
"""Most seconds a plugin is held, whatever it asks for: it waits for all its other events too."""
SHORTEST_PART: Final = 0.6
"""Of a wait, what jitter leaves: ten attempts are spread over five minutes at least."""


@dataclass(frozen=True, slots=True)
class FailureRules:
    """The failure policy of one callback.

    Args:
        on_error: What happens when trying again does not help, or makes no sense.
        max_attempts: How often it is called for one event at most.
        pause_after: Events in a row it may give up before its plugin is paused.
    """

    on_error: OnError = "dead-letter"
    max_attempts: int = 10
    pause_after: int = 20


class Verdict(NamedTuple):
    """What is done about a failure; `after` is the wait before a retry, in seconds."""

    outcome: Outcome
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Raised:
    """What matters of an error for what follows; everything else of it is for people.

    Args:
        asks: Whether the plugin asks to be called again, with `Retry`.
        passes: Whether the failure passes by itself.
        after: How many seconds are to be waited at least, None where nobody said.
    """

    asks: bool = False
    passes: bool = False
    after: float | None = None


def raised_of(error: BaseException, now: float) -> Raised:
    """Return what matters of an error; whatever is asked of it may be a plugin's code.

    Args:
        error: What was raised.
        now: Seconds since 1970.
    """
    if issubclass(type(error), Retry):
        return Raised(asks=True, after=_asked(error))
    found = passing(error, now)
    return Raised() if found is None else Raised(passes=True, after=found.after)


def judge(raised: Raised, attempt: int, rules: FailureRules, jitter: float) -> Verdict:
    """Decide what follows when a callback raised.

    A plugin that asks for it (`Retry`) and failures that pass by themselves are tried again; a bug
    raises the same every time, so it is not. `skip` says that the event does not matter that much:
    only `Retry` is tried again there.

    Args:
        raised: What it raised.
        attempt: Which attempt it was, from 1.
        rules: The callback's failure policy.
        jitter: A random number between 0 and 1, so that many retries do not come at once.
    """
    passes = raised.passes and rules.on_error != "skip"
    if (raised.asks or passes) and attempt < rules.max_attempts:
        return Verdict("retry", _wait(raised, attempt, jitter))
    return Verdict(rules.on_error)


def _wait(raised: Raised, attempt: int, jitter: float) -> float:
    """Return the wait before a retry: as the plugin says, or longer each time.

    An answer that asks for patience is waited for no shorter than otherwise: one that says "at
    once" would use up all attempts at once.
    """
    if raised.asks and raised.after is not None:
        return raised.after
    longest = min(FIRST_WAIT * 2.0 ** min(attempt - 1, 20), LONGEST_WAIT)
    return max(longest * (SHORTEST_PART + jitter * (1 - SHORTEST_PART)), raised.after or 0.0)


def _asked(error: BaseException) -> float | None:
    """Return the wait that a `Retry` asks for; a wrong one is none, and costs no event."""
    try:
        asked = getattr(error, "after", None)
        if asked is None:
            return None
        seconds = parse_duration(asked) if isinstance(asked, str) else float(asked)
    except BaseException:
        return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_HOLD)
