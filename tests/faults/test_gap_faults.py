"""Ids that are missing in the log: never there, late, very many, old, across restarts."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from fault_scene import Scene
from forked_runs import Launcher
from reliability import GROUPS, Reliability

from sgevents_core.sandbox import Sandbox

GROUP = GROUPS[0]
MANY_LOOKS = """
from sgevents_core.site import sizes
sizes.CALLS_PER_MINUTE = 600.0
"""
RARE_LOOKS = """
from sgevents_core.site import backlog, follower as gaps
backlog.FIRST_LOOK = gaps.FIRST_LOOK = {seconds}
"""


@pytest.mark.parametrize(
    ("fault", "ids"),
    [("One id is missing", 1), ("100,000 ids are missing in one range", 100_000)],
)
def test_ids_that_never_come(scene: Scene, reliability: Reliability, fault: str, ids: int) -> None:
    """What is above is handed out at once; the ids are waited for, and then it is said so."""
    scene.daemon.feed = 'poll_interval = "50ms"\nbacklog_timeout = "300ms"\nstart = 1\n'
    before = scene.events(5)
    run = scene.start()
    scene.wait_for(before)
    burnt = scene.site.burn(ids)
    above = scene.events(5)
    scene.wait_for(above)
    scene.wait_told("feed.timeout_elapsed")
    (told,) = [one for one in scene.daemon.told() if one["action"] == "feed.timeout_elapsed"]
    assert (told["event_id"], told["last_event_id"]) == (burnt[0], burnt[-1])
    measured = scene.finish(run, before + above)
    assert scene.daemon.events_of("zulu") == before + above
    reliability.row(GROUP, fault, "a failed transaction; its rows never appear", 1, *measured)


def test_twenty_thousand_gaps_at_once(scene: Scene, reliability: Reliability) -> None:
    """Rows between them are handed out at once, and those that show late as they come."""
    first = scene.events(1)  # so that all others are from now
    ids = scene.site.fill(40_000)
    scene.site.hide(ids[::2])
    scene.daemon.feed = 'poll_interval = "20ms"\nbacklog_timeout = "5m"\nstart = 1\n'
    run = scene.start(before=RARE_LOOKS.format(seconds=1.0) + MANY_LOOKS)
    owed = [*first, *ids[1::2]]
    scene.wait_for(owed)
    assert scene.daemon.events_of("zulu") == owed
    late = ids[::80]
    scene.site.show(late)
    measured = scene.finish(run, [*owed, *late])
    reliability.row(
        GROUP,
        "20,000 single ids are missing at once",
        "every other row of 40,000 is missing, and 500 of those appear late",
        20_000,
        *measured,
    )


def test_late_row_at_every_position(scene: Scene, reliability: Reliability) -> None:
    """It is handed out when it shows, and nothing above it waited for it."""
    scene.daemon.feed = 'poll_interval = "10ms"\nbacklog_timeout = "1m"\nstart = 1\n'
    run = scene.start()
    owed: list[int] = []
    for position in range(8):
        below = scene.events(position)
        late = scene.site.late()
        above = scene.events(7 - position) or scene.events(1)
        scene.wait_for(below + above)
        assert set(late.ids).isdisjoint(scene.daemon.events_of("alpha"))
        scene.wait_for(late.commit())
        owed += below + above + list(late.ids)
    measured = scene.finish(run, owed)
    assert scene.daemon.events_of("zulu") == owed
    reliability.row(
        GROUP,
        "A row appears late",
        "at each of the 8 positions in a log of 8 rows",
        8,
        *measured,
    )


def test_late_row_after_its_deadline(scene: Scene, reliability: Reliability) -> None:
    """It is no longer waited for, and an audit finds it."""
    scene.daemon.feed = 'poll_interval = "20ms"\nbacklog_timeout = "100ms"\nstart = 1\n'
    run = scene.start()
    owed = scene.events(2)
    late = [scene.site.late() for _ in range(3)]
    owed += scene.events(2)
    scene.wait_told("feed.timeout_elapsed")
    owed += [id_ for work in late for id_ in work.commit()]
    measured = scene.finish(run, owed)
    assert scene.times_told("feed.audit_late") >= 1
    reliability.row(
        GROUP,
        "A row appears after its deadline",
        "committed when it was no longer waited for; an audit finds it",
        3,
        *measured,
    )


def test_gaps_at_the_first_start(scene: Scene, reliability: Reliability) -> None:
    """Started `now`: what was written before and shows after the start is handed out."""
    scene.daemon.feed = 'poll_interval = "20ms"\nbacklog_timeout = "1m"\nstart = "now"\n'
    scene.events(5)
    late = [scene.site.late() for _ in range(3)]
    scene.events(5)
    run = scene.start()
    scene.until(lambda: scene.site.counts.calls("read", "EventLogEntry") >= 3, "it has begun")
    assert scene.daemon.noted() == []
    owed = [id_ for work in late for id_ in work.commit()]
    measured = scene.finish(run, owed)
    reliability.row(
        GROUP,
        "Ids are already missing at the first start",
        "three open transactions; the daemon starts with `now`",
        3,
        *measured,
    )


def test_gaps_across_a_restart(scene: Scene, reliability: Reliability) -> None:
    """Ids that are missing stay waited for while the daemon is down, however their rows come."""
    scene.daemon.feed = 'poll_interval = "20ms"\nbacklog_timeout = "1m"\nstart = 1\n'
    run = scene.start()
    owed = scene.events(2)
    late = [scene.site.late() for _ in range(3)]
    owed += scene.events(2)
    scene.wait_for(owed)
    assert run.stop() == 0
    owed += late[0].commit()  # while it is down
    run = scene.start()
    scene.wait_for(owed)
    owed += late[1].commit()  # after the start
    scene.wait_for(owed)
    run.kill()
    owed += late[2].commit()
    measured = scene.finish(scene.start(), owed)
    reliability.row(
        GROUP,
        "Ids are missing across a restart",
        "rows that appear while the daemon is down, after its start and after a kill",
        3,
        *measured,
    )


def test_gaps_while_catching_up(
    tmp_path: Path, launching: Launcher, reliability: Reliability
) -> None:
    """Ids missing for three days get one look, not five minutes each."""
    days = [3]

    def clock() -> datetime:
        return datetime.now(timezone.utc) - timedelta(days=days[0])

    with Sandbox(project=False, clock=clock) as site:
        scene = Scene(tmp_path, site, launching)
        scene.daemon.feed = 'poll_interval = "20ms"\nbacklog_timeout = "5m"\nstart = 1\n'
        owed: list[int] = []
        for _ in range(50):
            owed += scene.events(1)
            site.burn(2)
        owed += scene.events(1)
        days[0] = 0
        owed += scene.events(10)
        try:
            run = scene.start()
            scene.wait_told("feed.timeout_elapsed")
            (told,) = [
                one for one in scene.daemon.told() if one["action"] == "feed.timeout_elapsed"
            ]
            assert told["ids"] == 100
            measured = scene.finish(run, owed)
        finally:
            scene.close()
    assert scene.daemon.events_of("zulu") == owed
    reliability.row(
        GROUP,
        "Old ids are missing while the daemon catches up with days of events",
        "transactions that failed three days ago; none is waited for",
        50,
        *measured,
    )


def test_settle_keeps_the_order(scene: Scene, reliability: Reliability) -> None:
    """Newer events are held back for a late row; one that never comes holds them only so long."""
    scene.daemon.feed = (
        'poll_interval = "20ms"\nbacklog_timeout = "1m"\nsettle = "20s"\nstart = 1\n'
    )
    run = scene.start()
    owed = scene.events(1)
    scene.wait_for(owed)
    for _ in range(4):
        late = scene.site.late()
        newer = scene.events(2)
        calls = scene.site.counts.calls("read", "EventLogEntry")
        scene.until(lambda: scene.site.counts.calls("read", "EventLogEntry") > calls + 1)  # noqa: B023 - called within the loop
        assert scene.daemon.events_of("zulu") == owed
        owed += [*late.commit(), *newer]
        scene.wait_for(owed)
    measured = scene.finish(run, owed)
    assert scene.daemon.events_of("zulu") == owed
    reliability.row(
        GROUP,
        "A row appears late, and `settle` holds the newer ones back",
        "rows that appear within `settle`; all are handled in id order",
        4,
        *measured,
    )


def test_gap_costs_at_most_three_reads_more(
    tmp_path: Path, launching: Launcher, reliability: Reliability
) -> None:
    """5,000 events behind a gap are read as they are without one, and each once."""
    reads = []
    for burnt in (0, 1):
        with Sandbox(project=False) as site:
            scene = Scene(tmp_path / str(burnt), site, launching)
            scene.daemon.feed = 'poll_interval = "1m"\nstart = 1\n'
            owed = scene.events(1)
            site.burn(burnt)
            owed += scene.events(5_000)
            try:
                run = scene.start(before=RARE_LOOKS.format(seconds=10.0))
                scene.wait_for(owed)
                reads.append(site.counts.calls("read", "EventLogEntry"))
                measured = scene.finish(run, owed)
            finally:
                scene.close()
    assert reads[1] <= reads[0] + 3
    reliability.row(
        GROUP,
        "One id is missing below 5,000 fresh events",
        "a failed transaction; at most 3 more reads than without it",
        1,
        *measured,
    )
