"""What follows when a callback fails: pure decisions, no clock, no state."""

from __future__ import annotations

import errno
import math
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from sgevents_core.errors import Retry, SiteError
from sgevents_core.settings import parse_duration

Outcome: TypeAlias = Literal["retry", "dead-letter", "pause", "skip"]
OnError: TypeAlias = Literal["dead-letter", "pause", "skip"]

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 300.0
LONGEST_HOLD: Final = 86_400.0
"""Most seconds a plugin is held, whatever it asks for: it waits for all its other events too."""
_UNREACHABLE: Final = frozenset(
    {errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETUNREACH, errno.ENETDOWN}
)
_NETWORKING: Final = ("http.client", "ssl", "socket")
_NETWORK_MODULES: Final = ("shotgun_api3.lib.httplib2", "httplib2", "requests.", "urllib3.")
_NETWORK_NAMES: Final = ("Timeout", "ConnectionError", "ServerNotFoundError", "MaxRetryError")


@dataclass(frozen=True, slots=True)
class FailureRules:
    """The failure policy of one callback.

    Args:
        on_error: What happens when trying again does not help, or makes no sense.
        max_attempts: How often it is called for one event at most.
        pause_after: Events in a row it may give up before its plugin is paused.
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
    if isinstance(error, SiteError):
        return error.transient
    if isinstance(error, Retry | ConnectionError | TimeoutError):
        return True
    status = _asked(error, "errcode")  # shotgun_api3.ProtocolError
    if isinstance(status, int):
        return status >= 500 or status == 429
    module, name = str(type(error).__module__), type(error).__name__
    if module.startswith(_NETWORKING) or _asked(error, "errno") in _UNREACHABLE:
        return True
    if (module, name) == ("urllib.error", "URLError"):
        reason = _asked(error, "reason")
        return isinstance(reason, BaseException) and is_transient(reason)
    return module.startswith(_NETWORK_MODULES) and name.endswith(_NETWORK_NAMES)


def _wait(error: BaseException, attempt: int, jitter: float) -> float:
    asked = _asked(error, "after") if isinstance(error, Retry) else None
    if asked is not None:
        try:
            seconds = parse_duration(asked) if isinstance(asked, str) else float(asked)
        except Exception:  # a wrong wait must not make of a retry a lost event
            seconds = math.nan
        if not math.isnan(seconds):
            return min(max(seconds, 0.0), LONGEST_HOLD)
    longest = min(FIRST_WAIT * 2.0 ** min(attempt - 1, 20), LONGEST_WAIT)
    return longest * (0.5 + jitter / 2)


def _asked(error: BaseException, attribute: str) -> Any:
    """Return an attribute of what a plugin raised, which may be code of the plugin's too."""
    try:
        return getattr(error, attribute, None)
    except BaseException:
        return None
