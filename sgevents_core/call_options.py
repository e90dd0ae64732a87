"""The options of a callback besides its filter: its failure policy, its limits, its own transients.

`@match` and the registrar take them; this module checks them.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import timedelta
from typing import Final, TypeAlias, get_args

from sgevents_core.batching import Duration
from sgevents_core.choices import OnError
from sgevents_core.errors import DurationError
from sgevents_core.filters import WrongValueError

RetryOn: TypeAlias = type[BaseException] | Collection[type[BaseException]]
"""A class of errors, or several."""
OPTIONS: Final = (
    *("on_error", "timeout", "retry_on", "max_attempts"),
    *("batch", "by", "at_most", "size"),
)
"""The names of the options that `@match` and the registrar take."""


def checked_on_error(value: OnError | None) -> OnError | None:
    """Return `value` if it is a policy or None; otherwise raise WrongValueError."""
    policies = get_args(OnError)
    if value is None or value in policies:
        return value
    raise WrongValueError(
        f"on_error={value!r} is not a policy", f"Give one of: {', '.join(policies)}."
    )


def checked_timeout(value: Duration | None) -> float | None:
    """Return `value`, a duration, in seconds; raise WrongValueError."""
    if value is None:
        return None
    advice = 'Give seconds, or text such as "30s" or "5m"; at least "10ms".'
    seconds: object = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(value, str):
        from sgevents_core.settings.durations import parse_duration  # noqa: PLC0415 - seldom asked

        try:
            seconds = parse_duration(value)
        except DurationError as error:
            raise WrongValueError(f"timeout: {str(error).rstrip('.')}", advice) from None
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, (int, float))
        or not 0.01 <= seconds < math.inf
    ):
        raise WrongValueError(f"timeout={value!r} is no time to wait for", advice)
    return float(seconds)


def checked_retry_on(value: RetryOn | None) -> tuple[type[BaseException], ...]:
    """Return `value`, one class of errors or several, as a tuple; raise WrongValueError."""
    if value is None:
        return ()
    classes = (value,) if isinstance(value, type) else value
    advice = "Give a class of errors, or a tuple of them: retry_on=requests.HTTPError."
    if isinstance(classes, str) or not isinstance(classes, Collection):
        raise WrongValueError(f"retry_on={value!r} is no class of errors", advice)
    for error_class in classes:
        if not isinstance(error_class, type) or not issubclass(error_class, BaseException):
            raise WrongValueError(f"retry_on: {error_class!r} is no class of errors", advice)
    return tuple(classes)


def checked_max_attempts(value: int | None) -> int | None:
    """Return `value`, a number of calls from 1, or None; raise WrongValueError."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise WrongValueError(
        f"max_attempts={value!r} is no number of calls", "Give a whole number, at least 1."
    )
