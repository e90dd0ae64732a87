"""The dates of tasks: start, due date and duration belong together, in working days."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from itertools import islice
from typing import Any, Final

MINUTES_PER_WORKDAY: Final = 480
"""The minutes of a working day, as in the preferences."""

_LONGEST_DAYS: Final = 36_500
"""The largest number of days computed."""

IsWorkday = Callable[[date], bool]
"""Returns whether a day is worked."""


def reschedule_task(
    previous: Mapping[str, Any], written: Mapping[str, Any], is_workday: IsWorkday
) -> dict[str, Any]:
    """Return the dates or duration that change as a result of writing a task's dates.

    Two dates give the duration, a start and a duration the due date. A date that is cleared changes
    nothing else.

    Args:
        previous: The task's values before the write.
        written: The values written.
        is_workday: Returns whether a day is worked.
    """
    names = ("start_date", "due_date", "duration")
    start, due, duration = (written.get(name, previous.get(name)) for name in names)
    is_written = {name: bool(written.get(name)) for name in names}
    if not any(is_written.values()) or not start:
        return {}
    start_date = date.fromisoformat(start)
    if is_written["due_date"] or (is_written["start_date"] and due and not duration):
        minutes = _working_minutes(start_date, date.fromisoformat(due), is_workday)
        return {} if minutes is None else {"duration": minutes}
    if duration:
        workday_count = -(-duration // MINUTES_PER_WORKDAY)
        end_date = _last_workday(start_date, workday_count, is_workday)
        return {} if end_date is None else {"due_date": end_date.isoformat()}
    return {}


def _days_from(first_day: date) -> Iterator[date]:
    day_count = min(_LONGEST_DAYS, (date.max - first_day).days + 1)
    return (first_day + timedelta(days=day_number) for day_number in range(day_count))


def _working_minutes(first_day: date, last_day: date, is_workday: IsWorkday) -> int | None:
    day_count = (last_day - first_day).days + 1
    if not 0 < day_count <= _LONGEST_DAYS:
        return None
    return MINUTES_PER_WORKDAY * sum(map(is_workday, islice(_days_from(first_day), day_count)))


def _last_workday(first_day: date, workday_count: int, is_workday: IsWorkday) -> date | None:
    """Return the last of a number of working days."""
    return next(islice(filter(is_workday, _days_from(first_day)), workday_count - 1, None), None)
