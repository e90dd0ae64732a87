"""Datetimes in the API's form, "2026-01-31T12:00:00Z", which sorts as text."""

from __future__ import annotations

import calendar
import re
from datetime import date, datetime, timedelta, timezone
from typing import Final

from sgevents_core.moments import api_timestamp, moment_of

_DATE_PATTERN: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_timestamp(timestamp: str) -> str | None:
    """Return `timestamp` as a timestamp of the API, or None if it is not a datetime.

    A date alone is its first second, and a time without a zone is UTC, as on a site. A space in
    place of the T, which sites write here and there, is not accepted.
    """
    moment = None if " " in timestamp else moment_of(timestamp)
    return None if moment is None else api_timestamp(moment)


def is_date(date_text: str) -> bool:
    """Return whether `date_text` is a date in the API's form, "2026-01-31"."""
    return bool(_DATE_PATTERN.fullmatch(date_text)) and moment_of(date_text) is not None


def shift_moment(start: datetime, unit_count: int, unit: str) -> datetime:
    """Return `start` moved by `unit_count` units: HOUR, DAY, WEEK, MONTH or YEAR.

    Raises:
        KeyError: The unit is not one of these.
    """
    if unit in ("MONTH", "YEAR"):
        return _months_later(start, unit_count * (12 if unit == "YEAR" else 1))
    return start + unit_count * _UNIT_LENGTHS[unit]


_UNIT_LENGTHS: Final = {
    "HOUR": timedelta(hours=1),
    "DAY": timedelta(days=1),
    "WEEK": timedelta(weeks=1),
}


def _months_later(start: datetime, month_count: int) -> datetime:
    year, month = divmod(start.year * 12 + start.month - 1 + month_count, 12)
    last_day = calendar.monthrange(year, month + 1)[1]
    return start.replace(year=year, month=month + 1, day=min(start.day, last_day))


def calendar_span(day: date, unit: str, offset: int) -> tuple[date, date]:
    """Return the first day of a calendar day, week, month or year and the first one after it.

    Args:
        day: The day at offset 0. Weeks begin on Monday.
        unit: "day", "week", "month" or "year".
        offset: How many units later; negative for earlier.
    """
    noon = datetime(day.year, day.month, day.day, tzinfo=timezone.utc)
    if unit == "week":
        noon -= timedelta(days=noon.weekday())
    elif unit == "month":
        noon = noon.replace(day=1)
    elif unit == "year":
        noon = noon.replace(month=1, day=1)
    shift_unit = unit.upper()
    first, after = (shift_moment(noon, count, shift_unit) for count in (offset, offset + 1))
    return first.date(), after.date()
