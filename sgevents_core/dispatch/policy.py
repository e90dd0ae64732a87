"""What follows when a callback fails: pure decisions, no clock, no state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from sgevents_core.errors import DurationError, Retry
from sgevents_core.settings import parse_duration

Outcome: TypeAlias = Literal["retry", "dead-letter", "pause", "skip"]
OnError: TypeAlias = Literal["dead-letter", "pause", "skip"]

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 300.0
_NETWORK_MODULES: Final = ("shotgun_api3.lib.httplib2", "httplib2", "requests.", "urllib3.")
_NETWORK_NAMES: Final = ("Timeout", "ConnectionError", "ServerNotFoundError", "MaxRetryError")


@dataclass(frozen=True, slots=True)
class FailureRules:
    """The failure policy of one callback.

    Args:
        on_error: What happens when trying again does not help, or makes no sense.
        max_attempts: How often it is called for one event at most.
        pause_after: Events in a row it may fail on before its plugin is paused.
    """

    on_error: OnError = "dead-letter"
    max_attempts: int = 5
    pause_after: int = 20


class Verdict(NamedTuple):
    """What is done about a failure; `after` is the wait before a retry, in seconds."""

    outcome: Outcome
    after: float = 0.0


def judge(error: BaseException, attempt: int, rules: FailureRules, jitter: float) -> Verdict:
    """Decide what follows when a callback raised.

    A plugin that asks for it (`Retry`) and errors that pass by themselves are tried again; a bug
    raises the same every time, so it is not. `skip` says that the event does not matter that much:
    only `Retry` is tried again there.

    Args:
        error: What it raised.
        attempt: Which attempt it was, from 1.
        rules: The callback's failure policy.
        jitter: A random number between 0 and 1, so that many retries do not come at once.
    """
    asked = isinstance(error, Retry)
    passing = is_transient(error) and rules.on_error != "skip"
    if (asked or passing) and attempt < rules.max_attempts:
        return Verdict("retry", _wait(error, attempt, jitter))
    return Verdict(rules.on_error)


def is_transient(error: BaseException) -> bool:
    """Return whether an error is the network's or the site's, and may be gone the next time."""
    if isinstance(error, Retry | ConnectionError | TimeoutError):
        return True
    status = getattr(error, "errcode", None)  # shotgun_api3.ProtocolError
    if isinstance(status, int):
        return status >= 500 or status == 429
    kind = type(error)
    if kind.__module__.startswith(("http.client", "ssl")):
        return True
    return kind.__module__.startswith(_NETWORK_MODULES) and kind.__name__.endswith(_NETWORK_NAMES)


def _wait(error: BaseException, attempt: int, jitter: float) -> float:
    asked = error.after if isinstance(error, Retry) else None
    if asked is not None:
        try:
            return parse_duration(asked) if isinstance(asked, str) else max(float(asked), 0.0)
        except (DurationError, TypeError, ValueError):
            pass  # a wrong wait must not turn a retry into a lost event: the usual one does
    longest = min(FIRST_WAIT * 2.0 ** min(attempt - 1, 20), LONGEST_WAIT)
    return longest * (0.5 + jitter / 2)
