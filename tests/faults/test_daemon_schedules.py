"""Random schedules of the whole daemon, killed at any instruction: nothing lost, nothing twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from daemon_oracles import Verdict
from daemon_schedules import run_schedule
from reliability import Reliability

SCHEDULES = 300


@pytest.fixture(scope="module")
def verdicts(reliability: Reliability) -> Iterator[dict[int, Verdict]]:
    """What came of each schedule; all of them together are a row of the table."""
    made: dict[int, Verdict] = {}
    yield made
    if len(made) < SCHEDULES:
        return
    assert sum(one.crashes for one in made.values()) > SCHEDULES
    kinds = [kind for one in made.values() for kind, _ in one.wrong]
    reliability.row(
        "At every point, and at random",
        "Random schedules of site, daemon and people, in simulated time",
        "late and unused ids, outages, failing callbacks, pauses, replays, and a process that "
        "ends at any instruction",
        SCHEDULES,
        len(kinds) - kinds.count("repeated"),
        kinds.count("repeated"),
        allowed=SCHEDULES,
        window="at most one call per lane and end of the process",
    )


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_every_promise_holds_after_a_schedule(seed: int, verdicts: dict[int, Verdict]) -> None:
    """Whatever commits late, fails, is asked for or dies: each call once, in order, and counted."""
    verdicts[seed] = run_schedule(seed)
    wrong = verdicts[seed].wrong
    again = f"To see it again: python3 noxfile.py -s soak -- --seed {seed}"
    assert not wrong, "\n".join([again, *(f"{kind}: {text}" for kind, text in wrong)])


def test_a_schedule_is_the_same_for_the_same_seed() -> None:
    """What failed once fails again: a seed decides everything."""
    first, again = run_schedule(7), run_schedule(7)
    assert (first.rows, first.calls, first.crashes) == (again.rows, again.calls, again.crashes)
    assert first.hours == again.hours
