"""The dates of tasks: start, due date and duration belong together, in working days."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from itertools import islice
from typing import Any, Final

A_DAY: Final = 480
"""Minutes of a working day, by the preferences."""

_LONGEST: Final = 36_500
"""The largest number of days computed."""

Works = Callable[[date], bool]
"""Returns whether a day is worked."""


def rescheduled(
    before: Mapping[str, Any], written: Mapping[str, Any], works: Works
) -> dict[str, Any]:
    """Return what a write of a task's dates changes besides what it writes.

    Two dates give the duration, a start and a duration the due date. A date that is cleared changes
    nothing else.

    Args:
        before: The task's values before the write.
        written: The values written.
        works: Returns whether a day is worked.
    """
    wrote = {name for name in ("start_date", "due_date", "duration") if written.get(name)}
    start, due, duration = (
        written.get(name, before.get(name)) for name in ("start_date", "due_date", "duration")
    )
    if not wrote or not start:
        return {}
    if "due_date" in wrote or ("start_date" in wrote and due and not duration):
        minutes = _minutes(date.fromisoformat(start), date.fromisoformat(due), works)
        return {} if minutes is None else {"duration": minutes}
    if duration:
        end = _end(date.fromisoformat(start), -(-duration // A_DAY), works)
        return {} if end is None else {"due_date": end.isoformat()}
    return {}


def _days(first: date) -> Iterator[date]:
    span = min(_LONGEST, (date.max - first).days + 1)
    return (first + timedelta(days=number) for number in range(span))


def _minutes(first: date, last: date, works: Works) -> int | None:
    if not 0 <= (last - first).days < _LONGEST:
        return None
    return A_DAY * sum(map(works, islice(_days(first), (last - first).days + 1)))


def _end(first: date, days: int, works: Works) -> date | None:
    """Return the last of a number of working days."""
    return next(islice(filter(works, _days(first)), days - 1, None), None)
