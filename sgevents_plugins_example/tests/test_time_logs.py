"""The plugin time-logs, loaded as the daemon loads it, on the events of a sandbox site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from desk import Desk, task

from sgevents_core.sandbox.entity_schema import Field

Told = Callable[[], list[str]]
FIELD = "sg_time_logged"


@pytest.fixture
def timed_desk(desk: Desk) -> Desk:
    """A desk whose site has a field for the sum, and the plugin."""
    desk.site.add_field("Task", Field(FIELD, "number", "Time logged"))
    desk.enable("time-logs")
    return desk


def log(desk: Desk, on: dict[str, Any], minutes: int) -> dict[str, Any]:
    """Log time on a record."""
    return desk.create("TimeLog", entity=on, duration=minutes, user=desk.people["Anna"])


def test_sum_follows_every_change(timed_desk: Desk) -> None:
    """New logs, corrected ones, deleted ones and those that come back."""
    worked = task(timed_desk)
    first = log(timed_desk, worked, 60)
    log(timed_desk, worked, 30)
    timed_desk.catch_up()
    assert timed_desk.read(worked, FIELD) == 90
    for change, expected in (("correct", 75), ("delete", 30), ("revive", 75)):
        with timed_desk.site.transaction("anna") as work:
            if change == "correct":
                work.update("TimeLog", first["id"], {"duration": 45})
            elif change == "delete":
                work.delete("TimeLog", first["id"])
            else:
                work.revive("TimeLog", first["id"])
        timed_desk.catch_up()
        assert timed_desk.read(worked, FIELD) == expected, change


def test_moved_log_counts_where_it_is(timed_desk: Desk) -> None:
    """Both tasks are added up."""
    wrong, right = task(timed_desk), task(timed_desk)
    made = log(timed_desk, wrong, 60)
    timed_desk.catch_up()
    with timed_desk.site.transaction("anna") as work:
        work.update("TimeLog", made["id"], {"entity": right})
    timed_desk.catch_up()
    assert timed_desk.read(wrong, FIELD) == 0
    assert timed_desk.read(right, FIELD) == 60


def test_bid_that_is_exceeded_is_warned_of_once(timed_desk: Desk, told: Told) -> None:
    """When it is crossed, and not at every log after that."""
    worked = timed_desk.create("Task", content="anim", entity=timed_desk.shot, est_in_mins=60)
    for minutes in (60, 30, 30):
        log(timed_desk, worked, minutes)
        timed_desk.catch_up()
    assert told() == ["anim is 0.5 hours above its bid"]


def test_time_on_something_else_is_left_alone(timed_desk: Desk) -> None:
    """Only tasks have a bid."""
    log(timed_desk, timed_desk.shot, 60)
    assert not timed_desk.harness.catch_up().raise_errors().writes
