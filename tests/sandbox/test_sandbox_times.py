"""Relations of time: spans around now, and days, weeks, months and years of the calendar."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest

from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.filter_relations import POSITIVE_RELATIONS, RELATIONS_BY_TYPE
from sgevents_core.sandbox.refused_calls import RefusedCallError

NOW = datetime(2026, 5, 13, 15, 30, tzinfo=timezone.utc)  # a Wednesday


@pytest.fixture(scope="module")
def days() -> Iterator[Sandbox]:
    """A site with due dates of tasks and times of playlists around now."""
    with Sandbox(project=False, clock=lambda: NOW) as site:
        for moment in (
            "2025-05-13 15:30:00",  # a year ago
            "2026-04-13 15:30:00",  # a month ago
            "2026-04-30 23:59:59",
            "2026-05-06 15:30:00",  # a week ago
            "2026-05-10 23:59:59",  # Sunday
            "2026-05-11 00:00:00",  # Monday
            "2026-05-12 15:30:00",  # yesterday, at this time
            "2026-05-13 14:30:00",  # an hour ago
            "2026-05-13 15:30:00",  # now
            "2026-05-13 16:30:00",  # in an hour
            "2026-05-14 00:00:00",
            "2026-05-17 23:59:59",  # Sunday
            "2026-06-01 00:00:00",
            "2027-01-01 00:00:00",
            None,
        ):
            stamp = moment and f"{moment[:10]}T{moment[11:]}Z"
            site.create("Task", {"content": "x", "due_date": moment and moment[:10]})
            site.create("Playlist", {"code": moment, "sg_date_and_time": stamp})
        yield site


@pytest.mark.parametrize(
    ("relation", "values", "first", "last"),
    [
        ("in_last", [1, "HOUR"], "2026-05-13 14:30:00", "2026-05-13 15:30:00"),
        ("in_last", [1, "DAY"], "2026-05-12 15:30:00", "2026-05-13 15:30:00"),
        ("in_last", [1, "WEEK"], "2026-05-06 15:30:00", "2026-05-13 15:30:00"),
        ("in_last", [1, "MONTH"], "2026-04-13 15:30:00", "2026-05-13 15:30:00"),
        ("in_last", [1, "YEAR"], "2025-05-13 15:30:00", "2026-05-13 15:30:00"),
        ("in_next", [1, "HOUR"], "2026-05-13 15:30:00", "2026-05-13 16:30:00"),
        ("in_next", [1, "YEAR"], "2026-05-13 15:30:00", "2027-01-01 00:00:00"),
        ("in_calendar_day", [0], "2026-05-13 14:30:00", "2026-05-13 16:30:00"),
        ("in_calendar_day", [-1], "2026-05-12 15:30:00", "2026-05-12 15:30:00"),
        ("in_calendar_week", [0], "2026-05-11 00:00:00", "2026-05-17 23:59:59"),
        ("in_calendar_week", [-1], "2026-05-06 15:30:00", "2026-05-10 23:59:59"),
        ("in_calendar_month", [0], "2026-05-06 15:30:00", "2026-05-17 23:59:59"),
        ("in_calendar_month", [1], "2026-06-01 00:00:00", "2026-06-01 00:00:00"),
        ("in_calendar_year", [0], "2026-04-13 15:30:00", "2026-06-01 00:00:00"),
        ("in_calendar_year", [1], "2027-01-01 00:00:00", "2027-01-01 00:00:00"),
        ("less_than", ["2026-04-30"], "2025-05-13 15:30:00", "2026-04-13 15:30:00"),
        ("between", ["2026-05-11", "2026-05-14"], "2026-05-11 00:00:00", "2026-05-14 00:00:00"),
        ("is", ["2026-05-11T00:00:00Z"], "2026-05-11 00:00:00", "2026-05-11 00:00:00"),
    ],
)
def test_relations_of_time(
    days: Sandbox, relation: str, values: list[Any], first: str, last: str
) -> None:
    """Relations of time include both ends; a week begins on Monday; days are those of UTC."""
    records_found = days.find("Playlist", [["sg_date_and_time", relation, values]], ["code"])
    expected = [
        code
        for row in days.find("Playlist", [], ["code"])
        if (code := row["code"]) and first <= code <= last
    ]
    assert [row["code"] for row in records_found] == expected
    negated = {positive: negative for negative, positive in POSITIVE_RELATIONS.items()}.get(
        relation
    )
    if negated in RELATIONS_BY_TYPE["date_time"]:
        others = days.find("Playlist", [["sg_date_and_time", negated, values]])
        assert len(others) == 15 - len(expected)


def test_relations_of_time_on_dates(days: Sandbox) -> None:
    """A field that holds dates is compared by days."""

    def due(relation: str, *values: Any) -> list[str]:
        return [
            task["due_date"]
            for task in days.find("Task", [["due_date", relation, *values]], ["due_date"])
        ]

    assert due("in_last", 1, "DAY") == ["2026-05-12", *["2026-05-13"] * 3]
    assert due("in_next", 1, "DAY") == [*["2026-05-13"] * 3, "2026-05-14"]
    assert due("in_calendar_day", 1) == ["2026-05-14"]
    assert due("greater_than", "2026-05-17") == ["2026-06-01", "2027-01-01"]


@pytest.mark.parametrize("values", [[1], ["x", "DAY"], [1, "FORTNIGHT"]])
def test_invalid_spans_of_time_are_refused(days: Sandbox, values: list[Any]) -> None:
    """A number and a known unit are required."""
    with pytest.raises(RefusedCallError, match="'in_last' 'relation'"):
        days.find("Task", [["due_date", "in_last", values]])


@pytest.mark.parametrize("values", [[2**70, "DAY"], [9_000, "YEAR"], [10**9, "HOUR"]])
def test_spans_out_of_the_calendar_are_refused(days: Sandbox, values: list[Any]) -> None:
    """A span that begins before the first year, or ends after the last, is refused as such."""
    with pytest.raises(RefusedCallError, match="is outside of the calendar"):
        days.find("Task", [["due_date", "in_next", values]])


def test_month_ends_are_kept() -> None:
    """A month after 31 January is the last day of February."""
    with Sandbox(
        project=False, clock=lambda: datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
    ) as site:
        site.create("Task", {"content": "x", "due_date": "2026-02-28"})
        site.create("Task", {"content": "y", "due_date": "2026-03-01"})
        records_found = site.find("Task", [["due_date", "in_next", 1, "MONTH"]], ["content"])
    assert [task["content"] for task in records_found] == ["x"]
