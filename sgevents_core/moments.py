"""Moments as sites write them, read and written in one place: timestamps of rows and values.

A site writes UTC, as `2026-01-31T12:00:00Z` or `2026-01-31 12:00:00 UTC`. Any other text that
denotes one moment is read as well, identically on every Python.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MAX_MOMENT_LENGTH: Final = 64
"""The largest number of characters in a moment."""
_DATE_PATTERN: Final = r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
_TIME_PATTERN: Final = (
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<part>[0-9]+))?)?"
)
_ZONE_PATTERN: Final = (
    r"(?P<zone>Z|UTC|GMT)?"
    r"(?P<offset>(?P<sign>[+-])(?P<hours>[0-9]{2})(?::?(?P<minutes>[0-9]{2}))?)?"
)
_MOMENT_PATTERN: Final = re.compile(
    f"{_DATE_PATTERN}(?:(?:T| +){_TIME_PATTERN} *{_ZONE_PATTERN})?", re.ASCII | re.IGNORECASE
)


def moment_of(value: object) -> datetime | None:
    """Return the aware datetime that `value` denotes, or None if it is not a moment.

    Args:
        value: Text, in UTC unless it names a zone; or a datetime, in local time if naive.
    """
    if isinstance(value, str):
        return _utc_moment(value) if len(value) <= _MAX_MOMENT_LENGTH else None
    if not isinstance(value, datetime):
        return None
    return to_local_time(value) if value.tzinfo is None else value


def seconds_of(value: object) -> int | None:
    """Return the moment that `value` denotes in whole seconds since 1970, or None."""
    moment = moment_of(value)
    return None if moment is None else math.floor((moment - EPOCH).total_seconds())


def to_local_time(moment: datetime) -> datetime:
    """Return `moment` in local time, or unchanged if it is out of the platform clock's range.

    A naive one is taken as local time, or as UTC if that fails.
    """
    try:
        return moment.astimezone()
    except (ValueError, OverflowError, OSError):
        return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def api_timestamp(moment: datetime) -> str:
    """Return a datetime, local if naive, in the API's form, which sorts as text."""
    utc_moment = to_local_time(moment)
    with suppress(OverflowError):
        utc_moment = utc_moment.astimezone(timezone.utc)
    # Not strftime: it pads no year below 1000 and is slower.
    return utc_moment.replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def meta_timestamp(moment: datetime) -> str:
    """Return a datetime in the form that a site uses for values in a row's `meta`."""
    return api_timestamp(moment).replace("T", " ").replace("Z", " UTC")


def parse_written_moment(moment_text: str) -> datetime | None:
    """Return the moment in `moment_text`, naive if it names no zone; None if it is not a moment.

    A date alone is its first second.
    """
    moment_match = _MOMENT_PATTERN.fullmatch(moment_text.strip())
    if moment_match is None:
        return None
    try:
        return _build_moment(moment_match.groupdict(default=""))
    except (ValueError, OverflowError):  # a month 13, an offset of 99 hours, the year 0
        return None


@lru_cache(maxsize=4096)
def _utc_moment(moment_text: str) -> datetime | None:
    moment = _usual_moment(moment_text) or parse_written_moment(moment_text)
    if moment is None:
        return None
    if moment.tzinfo is None:
        return moment.replace(tzinfo=timezone.utc)
    try:
        return moment.astimezone(timezone.utc)
    except OverflowError:  # the first or last hours of the calendar, in some time zone
        return None


def _usual_moment(moment_text: str) -> datetime | None:
    """Return the moment in text of the form of nearly every row; None if it has another form.

    0123456789012345678 9
    2026-01-31T12:00:00 Z

    It reads in a tenth of the time that any form takes.
    """
    has_usual_form = (
        len(moment_text) == 20
        and moment_text[4] == moment_text[7] == "-"
        and moment_text[13] == moment_text[16] == ":"
    )
    if not has_usual_form or moment_text[10] != "T" or moment_text[19] != "Z":
        return None
    try:
        return datetime.fromisoformat(moment_text[:19]).replace(tzinfo=timezone.utc)
    except ValueError:  # a leap second, 24:00, or not a moment: the slow way knows
        return None


def _build_moment(moment_fields: dict[str, str]) -> datetime:
    calendar_day = date(
        int(moment_fields["year"]), int(moment_fields["month"]), int(moment_fields["day"])
    )
    hour, minute, second = (int(moment_fields[name] or 0) for name in ("hour", "minute", "second"))
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):
        raise ValueError("no time of day")
    midnight = datetime(
        calendar_day.year, calendar_day.month, calendar_day.day, tzinfo=_time_zone_of(moment_fields)
    )
    # Added rather than set: 24:00 and the leap second 60 belong to the following minute or day.
    microsecond = int(f"{moment_fields['part']:0<6}"[:6])
    return midnight + timedelta(
        hours=hour, minutes=minute, seconds=second, microseconds=microsecond
    )


def _time_zone_of(moment_fields: dict[str, Any]) -> timezone | None:
    if not moment_fields["offset"]:
        return timezone.utc if moment_fields["zone"] else None
    utc_offset = timedelta(
        hours=int(moment_fields["hours"]), minutes=int(moment_fields["minutes"] or 0)
    )
    return timezone(-utc_offset if moment_fields["sign"] == "-" else utc_offset)


MAX_RETRY_AFTER: Final = 3600.0
"""The longest time that a `Retry-After` is respected, in seconds."""


def retry_after_seconds(header_value: str, current_time: float) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, bounded; None if it asks for none.

    Args:
        header_value: Seconds, or an HTTP date.
        current_time: Seconds since 1970.
    """
    try:
        return bounded_wait(float(header_value))
    except ValueError:
        pass
    try:
        return bounded_wait(parsedate_to_datetime(header_value).timestamp() - current_time)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def bounded_wait(seconds: float) -> float | None:
    """Return a wait that an answer asks for, limited to an hour; None if it is not a number."""
    return None if math.isnan(seconds) else min(max(seconds, 0.0), MAX_RETRY_AFTER)
