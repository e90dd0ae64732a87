"""A daemon whose lane has workers, killed at every point of its strands: nothing lost or twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from kill_bugs import BUGS
from killed_acts import DIVIDED_ACTS, WORKERS
from killed_days import Case, Days, days, kill_at_all
from reliability import Reliability

LIST = Path(__file__).with_name("fail_points_divided.txt")
POINTS = LIST.read_text("utf-8").splitlines()
OF_STRANDS = re.compile(
    r"^(?!.*(schema\.|leave_before|_defer: .*_strands$)).*("
    r"_strands$|divided_lane|strand\.|register: |callback: |(caller|lane|recovering|syncing"
    r"|retrying|replaying|carrying_out|deferred_errands)\.\w+: COMMIT)"
)
"""The points at which workers, strands and people's requests to them write or call.

Not among them is what is reached only if threads happen to meet: the schedules meet it.
"""
UPGRADE, MENDING = 1, 2


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    """The acts in a lane with workers, played once without a kill."""
    with days(tmp_path_factory.mktemp("days"), DIVIDED_ACTS) as made:
        yield made


def test_list_has_all_points_of_strands(played: Days) -> None:
    """A write that strands need and others do not is killed at too."""
    assert sorted(set(POINTS)) == list(POINTS), f"{LIST.name} is not sorted, or names a point twice"
    reached = {point for points in played.reached.values() for point in points}
    reached = set(filter(OF_STRANDS.search, reached))
    gone, new = sorted(set(POINTS) - reached), sorted(reached - set(POINTS))
    assert not gone, f"{LIST.name} names points that no act reaches any more: {gone}"
    assert not new, f"{LIST.name} lacks points that acts reach: {new}"


@pytest.mark.timeout(3600)
def test_kill_at_every_point_of_strands(played: Days, reliability: Reliability) -> None:
    """Killed at each of them, the daemon comes to the same as if it had not been.

    No call is lost, at most the one of each worker is made again, the order of each entity stays,
    stores count each event once, requests are carried out once.
    """
    kills, wrong = kill_at_all(played, POINTS, seed=7)
    assert not wrong, "\n".join(wrong)
    assert kills.kills == kills.points
    reliability.row(
        "At every point, and at random",
        "kill -9 at every fail point of a lane with workers",
        "before and after each write of its strands, each change of its register and each call "
        "that one of three workers makes",
        kills.kills,
        kills.lost,
        kills.repeated,
        allowed=kills.kills * WORKERS,
        window="at most one call per worker and kill",
    )


@pytest.mark.parametrize(
    ("bug", "act", "point"),
    [
        ("returned_before_the_call", UPGRADE, "before callback: lane"),
        ("one_slot_believed", UPGRADE, "after register: returned lane"),
        ("strand_records_not_written", MENDING, "after strand.leave_paused: COMMIT"),
        ("store_apart", UPGRADE, "after caller._succeed: COMMIT"),
    ],
)
def test_bugs_put_in_are_seen(played: Days, bug: str, act: int, point: str) -> None:
    """What would lose or repeat something at a kill does not pass."""
    assert BUGS[bug].__doc__
    assert any(played.kill(Case(act, point, hit), bug).wrong for hit in (1, 2, 5, 8, 13))


def test_any_strand_may_bring_its_event_first(played: Days) -> None:
    """A batch has the same events and comes to the same whichever of them is collected first."""
    result = played.kill(Case(UPGRADE, "none", 1), "last_event_collected_first")
    assert (result.killed, result.wrong) == (False, [])
