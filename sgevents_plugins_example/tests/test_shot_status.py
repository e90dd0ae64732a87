"""The plugin shot-status: what a shot's status becomes, and when it is written."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from desk import Desk, set_status, task
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.testing import Harness
from sgevents_plugins_example.shot_status import ORDER, roll_up

Told = Callable[[], list[str]]
statuses = st.lists(st.sampled_from(ORDER), min_size=1)


@pytest.mark.parametrize(
    ("tasks", "shot"),
    [
        (["wtg"], "wtg"),
        (["wtg", "rdy"], "wtg"),
        (["rdy", "rdy"], "rdy"),
        (["wtg", "ip"], "ip"),
        (["wtg", "fin"], "ip"),
        (["ip", "fin"], "ip"),
        (["fin", "fin"], "fin"),
    ],
)
def test_shot_follows_its_tasks(tasks: list[str], shot: str) -> None:
    """A shot is as far as its least advanced task, and in progress once any work has begun."""
    assert roll_up(tasks) == shot


@given(statuses)
def test_order_of_tasks_does_not_matter(tasks: list[str]) -> None:
    """The same tasks in another order make the same shot."""
    assert roll_up(sorted(tasks)) == roll_up(tasks) == roll_up([*tasks, *tasks])


@given(statuses)
def test_shot_is_final_when_all_tasks_are(tasks: list[str]) -> None:
    """A shot is final exactly when all its tasks are."""
    assert (roll_up(tasks) == "fin") == (set(tasks) == {"fin"})


def test_status_nobody_placed_is_refused() -> None:
    """A status that the order does not name is an error that says what to do."""
    with pytest.raises(ValueError, match="no place for status 'hld': add it"):
        roll_up(["ip", "hld"])


def test_order_can_be_another() -> None:
    """A studio's own order is followed."""
    assert roll_up(["a", "d"], ["a", "b", "c", "d"]) == "c"


def test_status_is_written_to_the_shot(desk: Desk, told: Told) -> None:
    """A task that begins sets its shot in progress, and the last to end makes it final."""
    desk.enable("shot-status")
    tasks = [task(desk), task(desk)]
    set_status(desk, tasks[0], "ip")
    desk.catch_up()
    assert desk.read(desk.shot, "sg_status_list") == "ip"
    for one in tasks:
        set_status(desk, one, "fin")
    desk.catch_up()
    assert desk.read(desk.shot, "sg_status_list") == "fin"
    assert told() == ["BUN_010 is now ip", "BUN_010 is now fin"]


def test_the_same_again_writes_nothing(desk: Desk) -> None:
    """Where the shot is right already nothing is written, so no event comes of it."""
    desk.enable("shot-status")
    set_status(desk, task(desk), "ip")
    desk.catch_up()
    set_status(desk, task(desk, "fin"), "ip")
    desk.catch_up()
    assert desk.catch_up() == []
    last = desk.site.log.row(desk.site.log.highest_id)
    assert last.event_type == "Shotgun_Task_Change"


def test_status_without_a_place_is_refused(desk: Desk) -> None:
    """A task with a status that the settings do not name raises, and leaves the shot alone."""
    desk.enable("shot-status", order=["wtg", "ip", "fin"])
    one = task(desk)
    desk.catch_up()
    set_status(desk, one, "rdy")
    with pytest.raises(ValueError, match="'rdy'"):
        desk.catch_up()
    assert desk.read(desk.shot, "sg_status_list") == "wtg"


def test_task_of_something_else_is_left_alone(desk: Desk) -> None:
    """A task of an asset, and one that is retired by now, change nothing."""
    desk.enable("shot-status")
    asset = desk.create("Asset", code="Bunny")
    one = desk.create("Task", content="model", entity=asset, sg_status_list="ip")
    gone = task(desk, "ip")
    with desk.site.transaction("anna") as work:
        work.delete("Task", gone["id"])
    assert desk.catch_up() == ["on_change", "on_change"]
    assert desk.read(asset, "sg_status_list") == "wtg"
    assert desk.read(one, "sg_status_list") == "ip"
    assert desk.read(desk.shot, "sg_status_list") == "wtg"


def test_dry_run_writes_nothing(desk: Desk) -> None:
    """In a dry run the shot stays as it is."""
    with Harness("shot-status", site=desk.site, dry_run=True) as harness:
        task(desk, "ip")
        result = harness.catch_up().raise_errors()
    assert (result.called, result.writes) == (["on_change"], [])
    assert desk.read(desk.shot, "sg_status_list") == "wtg"
