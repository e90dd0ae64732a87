"""Places in the event log to begin at, and how people write them on a command line."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Literal, TypeAlias

from msgspec import Struct

from sgevents_core.errors import DurationError, MomentError
from sgevents_core.moments import parse_written_moment, to_local_time
from sgevents_core.settings.durations import parse_duration


class Ago(Struct, frozen=True):
    """A start that lies `seconds` before the daemon's first start."""

    seconds: float


Start: TypeAlias = Literal["now"] | int | datetime | Ago
"""Where to begin: now, the id of the first event handled, an aware datetime, a duration ago."""


def parse_start(start_text: str) -> Start:
    """Return where to begin: `now`, `12345`, `2026-01-31`, `2026-01-31T12:00+01:00` or `2h`.

    Raises:
        MomentError: It is none of these.
    """
    if start_text == "now":
        return "now"
    if start_text.isascii() and start_text.isdecimal() and int(start_text[:20]) > 0:
        return int(start_text[:20])  # no site has an id as long as that
    return parse_moment(start_text)


def parse_moment(moment_text: str, zone: tzinfo | None = None) -> datetime | Ago:
    """Return a moment: a date, a date and time, or `2h`.

    Args:
        moment_text: What a person wrote.
        zone: The time zone of a moment that names none; None for the host's own.

    Raises:
        MomentError: It is none of these.
    """
    try:
        return Ago(parse_duration(moment_text))
    except DurationError:
        pass  # it may be a date
    parsed_moment = parse_written_moment(moment_text)
    if parsed_moment is None:
        raise MomentError(text=moment_text)
    if parsed_moment.tzinfo is None and zone is not None:
        return parsed_moment.replace(tzinfo=zone)
    return to_local_time(parsed_moment)
