"""Random schedules of the whole daemon, killed at any instruction: nothing lost, nothing twice."""

from __future__ import annotations

import pytest
from daemon_schedules import run_schedule, schedules_run

SCHEDULES = 300


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_every_promise_holds_after_a_schedule(seed: int) -> None:
    """Whatever commits late, fails, is asked for or dies: each call once, in order, and counted."""
    wrong = run_schedule(seed).wrong
    again = f"To see it again: python3 noxfile.py -s soak -- --seed {seed}"
    assert not wrong, "\n".join([again, *(f"{kind}: {text}" for kind, text in wrong)])


def test_a_schedule_is_the_same_for_the_same_seed() -> None:
    """What failed once fails again: a seed decides everything."""
    first, again = run_schedule(7), run_schedule(7)
    assert (first.rows, first.calls, first.crashes) == (again.rows, again.calls, again.crashes)
    assert first.hours == again.hours
    assert schedules_run()["schedules"] >= 2
