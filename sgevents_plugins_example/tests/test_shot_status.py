"""What a shot's status becomes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgevents_plugins_example.shot_status import ORDER, roll_up

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
