"""The daemon killed at every point around its writes and calls: nothing lost, nothing twice."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kill_bugs import BUGS
from killed_days import Case, Days, days, kill_at_all
from reliability import Reliability

LIST = Path(__file__).with_name("fail_points.txt")
POINTS = LIST.read_text("utf-8").splitlines()
UPGRADE, MENDING, REPLAYS = 1, 2, 3
KINDS = {
    "a statement": "before catching_up.commit_step: INSERT INTO journal_pages",
    "a COMMIT": "after caller._succeed: COMMIT",
    "the lane's word": "after register: begun lane",
    "the word of a plugin on its own": "before register: returned apart",
    "a callback": "before callback: lane",
    "a call that a person asked for": "after callback: request",
    "a hook": "before callback: hook",
    "a file": "before file: replace lane-default.register.new",
    "a backup": "after backup._write_copy: backup",
    "a connection": "after resources.open_resources: close",
}
"""One point of each kind."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    """The acts, played once without a kill."""
    with days(tmp_path_factory.mktemp("days")) as made:
        yield made


def test_list_has_all_points(played: Days) -> None:
    """A write that is new is killed at too; one that is gone has taken its promise with it."""
    assert sorted(set(POINTS)) == list(POINTS), f"{LIST.name} is not sorted, or names a point twice"
    reached = {point for points in played.reached.values() for point in points}
    gone, new = sorted(set(POINTS) - reached), sorted(reached - set(POINTS))
    assert not gone, f"{LIST.name} names points that no act reaches any more: {gone}"
    assert not new, f"{LIST.name} lacks points that acts reach: {new}"


@pytest.mark.timeout(3600)
def test_kill_at_every_point(played: Days, reliability: Reliability) -> None:
    """Killed at each of them, the daemon comes to the same as if it had not been.

    No call is lost, at most the one in hand is made again, with the same key and the next attempt;
    the order stays, stores count each event once, requests are carried out once.
    """
    kills, wrong = kill_at_all(played, POINTS, seed=7)
    assert not wrong, "\n".join(wrong)
    assert kills.kills == kills.points
    reliability.row(
        "At every point, and at random",
        "kill -9 at every fail point",
        "before and after each write, each change of a register, each file and each call of a "
        "plugin",
        kills.kills,
        kills.lost,
        kills.repeated,
        allowed=kills.kills,
        window="at most one call per kill",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_point_really_kills(played: Days, kind: str) -> None:
    """The process ends by SIGKILL, and the point is the last thing it reached."""
    case = played.cases(KINDS[kind])[0]
    assert played.end_at(case) == -signal.SIGKILL
    assert played.last_reached() == case.point


@pytest.mark.parametrize(
    ("bug", "act", "point"),
    [
        ("returned_before_the_call", UPGRADE, "before callback: lane"),
        ("nothing_noted", UPGRADE, "before callback: lane"),
        ("cursor_before_the_call", UPGRADE, "before callback: lane"),
        ("store_apart", UPGRADE, "after caller._succeed: COMMIT"),
        ("collected_apart", UPGRADE, "after batch_caller._collect: COMMIT"),
        ("ended_apart", MENDING, "after batch_caller._record_with_store: COMMIT"),
        ("answer_apart", REPLAYS, "after replaying._record_call: COMMIT"),
        ("frontier_before_the_rows", UPGRADE, KINDS["a statement"]),
        ("two_transactions", UPGRADE, "before schema._apply_migrations: INSERT INTO joined"),
    ],
)
def test_bugs_put_in_are_seen(played: Days, bug: str, act: int, point: str) -> None:
    """What would lose or repeat something at a kill does not pass."""
    assert BUGS[bug].__doc__
    assert any(played.kill(Case(act, point, hit), bug).wrong for hit in (1, 2, 5))


def test_plugin_that_stops_again_while_it_catches_up_is_called_again(played: Days) -> None:
    """Held for another retry, its register must not say that it is done with the event."""
    for point in ("before strand.catch_up: COMMIT", "before register: clear apart"):
        for hit in (1, 2):
            result = played.kill(Case(UPGRADE, point, hit))
            assert (result.killed, result.wrong) == (True, [])


def test_replay_counts_in_the_store_once(played: Days) -> None:
    """Killed behind any commit of a replay, it goes on with the next callback."""
    for point in (
        "after replaying._record_call: COMMIT",
        "before replaying._record_progress: COMMIT",
    ):
        for hit in (1, 2, 3):
            result = played.kill(Case(REPLAYS, point, hit))
            assert (result.killed, result.wrong) == (True, [])
