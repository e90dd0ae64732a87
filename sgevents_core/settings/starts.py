"""Places in the event log to begin at, and how people write them on a command line."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct

from sgevents_core.errors import DurationError, MomentError
from sgevents_core.moments import local, written_moment
from sgevents_core.settings.durations import parse_duration


class Ago(Struct, frozen=True):
    """A start that lies `seconds` before the daemon's first start."""

    seconds: float


Start: TypeAlias = Literal["now"] | int | datetime | Ago
"""Where to begin: now, the id of the first event handled, an aware datetime, a duration ago."""


def start_of(text: str) -> Start:
    """Return where to begin: `now`, `12345`, `2026-01-31`, `2026-01-31T12:00+01:00` or `2h`.

    Raises:
        MomentError: It is none of these.
    """
    if text == "now":
        return "now"
    if text.isascii() and text.isdecimal() and int(text[:20]) > 0:
        return int(text[:20])  # no site has an id as long as that
    return moment_of(text)


def moment_of(text: str) -> datetime | Ago:
    """Return a moment: a date, a date and time (the host's own zone if it names none), or `2h`.

    Raises:
        MomentError: It is none of these.
    """
    try:
        return Ago(parse_duration(text))
    except DurationError:
        pass  # it may be a date
    moment = written_moment(text)
    if moment is None:
        raise MomentError(text=text)
    return local(moment)
