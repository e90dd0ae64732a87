"""Datetimes in the API's form, "2026-01-31T12:00:00Z", which sorts as text."""

from __future__ import annotations

import calendar
import re
from datetime import date, datetime, timedelta, timezone
from typing import Final

from sgevents_core.moments import moment_of, stamp_of

_DATE_PATTERN: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_timestamp(timestamp: str) -> str | None:
    """Return `timestamp` as a timestamp of the API, or None if it is not a datetime.

    A date alone is its first second, and a time without a zone is UTC, as on a site. A space in
    place of the T, which sites write here and there, is not accepted.
    """
    moment = None if " " in timestamp else moment_of(timestamp)
    return None if moment is None else stamp_of(moment)


def is_date(date_text: str) -> bool:
    """Return whether `date_text` is a date in the API's form, "2026-01-31"."""
    return bool(_DATE_PATTERN.fullmatch(date_text)) and moment_of(date_text) is not None


def shift_moment(start_moment: datetime, unit_count: int, unit_name: str) -> datetime:
    """Return `start_moment` moved by `unit_count` units: HOUR, DAY, WEEK, MONTH or YEAR.

    Raises:
        KeyError: The unit is not one of these.
    """
    if unit_name in ("MONTH", "YEAR"):
        return _months_later(start_moment, unit_count * (12 if unit_name == "YEAR" else 1))
    return start_moment + unit_count * _UNIT_LENGTHS[unit_name]


_UNIT_LENGTHS: Final = {
    "HOUR": timedelta(hours=1),
    "DAY": timedelta(days=1),
    "WEEK": timedelta(weeks=1),
}


def _months_later(start_moment: datetime, month_count: int) -> datetime:
    target_year, target_month = divmod(
        start_moment.year * 12 + start_moment.month - 1 + month_count, 12
    )
    last_day = calendar.monthrange(target_year, target_month + 1)[1]
    return start_moment.replace(
        year=target_year, month=target_month + 1, day=min(start_moment.day, last_day)
    )


def calendar_span(current_day: date, unit_name: str, unit_offset: int) -> tuple[date, date]:
    """Return the first day of a calendar day, week, month or year and the first one after it.

    Args:
        current_day: The day at offset 0. Weeks begin on Monday.
        unit_name: "day", "week", "month" or "year".
        unit_offset: How many units later; negative for earlier.
    """
    first_noon = datetime(current_day.year, current_day.month, current_day.day, tzinfo=timezone.utc)
    if unit_name == "week":
        first_noon -= timedelta(days=first_noon.weekday())
    elif unit_name == "month":
        first_noon = first_noon.replace(day=1)
    elif unit_name == "year":
        first_noon = first_noon.replace(month=1, day=1)
    shift_unit = unit_name.upper()
    return shift_moment(first_noon, unit_offset, shift_unit).date(), shift_moment(
        first_noon, unit_offset + 1, shift_unit
    ).date()
