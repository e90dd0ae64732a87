"""The dates of a task: start, due date and duration depend on each other, in working days."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.task_schedule import MINUTES_PER_WORKDAY, reschedule_task

WEEK = {"start_date": "2026-01-05", "due_date": "2026-01-09", "duration": 2400}
"""Monday to Friday."""


def weekdays(day: date) -> bool:
    """Return whether it is a day from Monday to Friday."""
    return day.weekday() < 5


@pytest.mark.parametrize(
    ("before", "written", "expected"),
    [
        ({}, {"start_date": "2026-01-05", "due_date": "2026-01-09"}, {"duration": 2400}),
        ({}, {"start_date": "2026-01-09", "due_date": "2026-01-12"}, {"duration": 960}),
        (WEEK, {"duration": 480}, {"due_date": "2026-01-05"}),
        (WEEK, {"duration": 500}, {"due_date": "2026-01-06"}),
        (WEEK, {"start_date": "2026-02-02"}, {"due_date": "2026-02-06"}),
        (WEEK, {"due_date": "2026-01-16"}, {"duration": 4800}),
        (WEEK, {"start_date": None}, {}),
        (WEEK, {"due_date": None}, {}),
        (WEEK, {"content": "x"}, {}),
        ({}, {"due_date": "2026-01-09"}, {}),
        ({}, {"duration": 480}, {}),
        ({}, {"start_date": "2026-01-05", "due_date": "2026-01-01"}, {}),
        ({}, {"start_date": "0001-01-01", "due_date": "9999-12-31"}, {}),
        ({}, {"start_date": "9999-12-01", "duration": 2**31 - 1}, {}),
    ],
)
def test_one_of_the_three_follows(
    before: dict[str, Any], written: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Two dates give the duration, a start and a duration the due date; nothing else changes."""
    assert reschedule_task(before, written, weekdays) == expected


@given(
    st.dates(date(1990, 1, 1), date(2060, 1, 1)).filter(weekdays),
    st.integers(1, 400),
)
def test_dates_give_the_duration(start: date, days: int) -> None:
    """The due date computed from a duration gives that duration again."""
    task = {"start_date": str(start), "duration": days * MINUTES_PER_WORKDAY}
    due = reschedule_task({}, task, weekdays)
    assert reschedule_task({}, {**task, **due}, weekdays) == {
        "duration": days * MINUTES_PER_WORKDAY
    }


def test_holidays_are_left_out(site: Sandbox) -> None:
    """Exceptions of the studio and of the task's project count; the log has the changed dates."""
    project = {"type": "Project", "id": 1}
    values = {"date": "2026-01-06", "working": False, "project": project}
    site.call("work_schedule_update", values)
    site.call("work_schedule_update", {"date": "2026-01-07", "working": False})
    task = site.create("Task", {"start_date": "2026-01-05", "duration": 960, "project": project})
    fields = ["start_date", "due_date", "duration"]
    assert list(site.find("Task", [["id", "is", task["id"]]], fields)[0].values())[2:] == [
        "2026-01-05",
        "2026-01-08",
        960,
    ]
    filters = [["entity", "is", task], ["attribute_name", "is", "due_date"]]
    assert len(site.find("EventLogEntry", filters)) == 1
    elsewhere = site.create("Task", {"start_date": "2026-01-05", "duration": 960})
    tasks_found = site.find("Task", [["id", "is", elsewhere["id"]]], ["due_date"])
    assert tasks_found[0]["due_date"] == "2026-01-06"
