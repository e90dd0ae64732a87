"""The dates of tasks: start, due date and duration belong together, in working days."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from itertools import islice
from typing import Any, Final

MINUTES_PER_WORKDAY: Final = 480
"""Minutes of a working day, by the preferences."""

_LONGEST_DAYS: Final = 36_500
"""The largest number of days computed."""

IsWorkday = Callable[[date], bool]
"""Returns whether a day is worked."""


def reschedule_task(
    previous_values: Mapping[str, Any], written_values: Mapping[str, Any], is_workday: IsWorkday
) -> dict[str, Any]:
    """Return what a write of a task's dates changes besides what it writes.

    Two dates give the duration, a start and a duration the due date. A date that is cleared changes
    nothing else.

    Args:
        previous_values: The task's values before the write.
        written_values: The values written.
        is_workday: Returns whether a day is worked.
    """
    written_fields = {
        field_name
        for field_name in ("start_date", "due_date", "duration")
        if written_values.get(field_name)
    }
    start_date, due_date, duration = (
        written_values.get(field_name, previous_values.get(field_name))
        for field_name in ("start_date", "due_date", "duration")
    )
    if not written_fields or not start_date:
        return {}
    if "due_date" in written_fields or (
        "start_date" in written_fields and due_date and not duration
    ):
        working_minutes = _working_minutes(
            date.fromisoformat(start_date), date.fromisoformat(due_date), is_workday
        )
        return {} if working_minutes is None else {"duration": working_minutes}
    if duration:
        end_date = _last_workday(
            date.fromisoformat(start_date), -(-duration // MINUTES_PER_WORKDAY), is_workday
        )
        return {} if end_date is None else {"due_date": end_date.isoformat()}
    return {}


def _days_from(first_day: date) -> Iterator[date]:
    day_count = min(_LONGEST_DAYS, (date.max - first_day).days + 1)
    return (first_day + timedelta(days=day_number) for day_number in range(day_count))


def _working_minutes(first_day: date, last_day: date, is_workday: IsWorkday) -> int | None:
    if not 0 <= (last_day - first_day).days < _LONGEST_DAYS:
        return None
    return MINUTES_PER_WORKDAY * sum(
        map(is_workday, islice(_days_from(first_day), (last_day - first_day).days + 1))
    )


def _last_workday(first_day: date, workday_count: int, is_workday: IsWorkday) -> date | None:
    """Return the last of a number of working days."""
    return next(islice(filter(is_workday, _days_from(first_day)), workday_count - 1, None), None)
