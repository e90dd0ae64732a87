"""The whole daemon against a site whose log has holes: what it hands out, and what it asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site without records and events."""
    with Sandbox(project=False) as running:
        yield running


def daemon_of(site: Sandbox, folder: Path, feed: str) -> RunningDaemon:
    """A daemon with one plugin."""
    folder.mkdir(exist_ok=True)
    made = RunningDaemon(folder, site)
    made.feed = f"start = 1\n{feed}"
    made.install_writer("alpha")
    return made


def reads_for(folder: Path, *, gap: bool) -> int:
    """How often a site is read until the last of 5,000 events behind a gap, or none, is handled."""
    with Sandbox(project=False) as site:
        first = site.event("Studio_First")
        if gap:
            site.burn(1)
        fresh = [site.event("Studio_Fresh") for _ in range(5000)]
        slow = 'poll_interval = "60s"\nidle_interval = "60s"\npage_size = 500\n'
        daemon = daemon_of(site, folder, slow)
        with daemon.running() as process:
            wait_until(lambda: daemon.calls_noted() >= 5001, what="all are handled")
            reads = site.counts.calls("read", "EventLogEntry")
            assert daemon.stop(process) == 0
        assert daemon.events_of("alpha") == [first, *fresh]
        return reads


def test_events_behind_a_gap_are_handled_at_once(tmp_path: Path) -> None:
    """5,000 fresh events wait for no gap, and no page is read twice because of one."""
    without = reads_for(tmp_path / "without", gap=False)
    behind = reads_for(tmp_path / "behind", gap=True)
    assert without <= 5001 / 499 + 2
    assert behind <= without + 3


def test_a_late_row_comes_when_it_turns_up(tmp_path: Path, site: Sandbox) -> None:
    """101, 103, 104, and then 102: that is the order of the calls."""
    site.burn(100)
    first = site.event("Studio_A")
    late = site.late(1)
    after = [site.event("Studio_A") for _ in range(2)]
    daemon = daemon_of(site, tmp_path, "")
    daemon.feed = 'start = 101\npoll_interval = "50ms"\n'
    with daemon.running() as process:
        daemon.wait_for(after, "alpha")
        late.commit()
        daemon.wait_for(late.ids, "alpha")
        assert daemon.stop(process) == 0
    assert daemon.events_of("alpha") == [first, *after, *late.ids] == [101, 103, 104, 102]


def test_rows_hidden_and_shown_stop_and_repeat_nothing(tmp_path: Path, site: Sandbox) -> None:
    """The newest row and another vanish and come back, and one comes late meanwhile."""
    daemon = daemon_of(site, tmp_path, 'poll_interval = "50ms"\nbacklog_timeout = "1s"\n')
    rows = [site.event("Studio_A") for _ in range(5)]
    late = site.late(1)
    rows.append(site.event("Studio_A"))
    with daemon.running() as process:
        daemon.wait_for(rows, "alpha")
        wait_until(lambda: daemon.tells("feed.timeout_elapsed"), what="the late one is given up")
        site.hide([rows[-1], rows[2]])
        late.commit()
        rows.append(site.event("Studio_A"))
        daemon.wait_for([*rows, *late.ids], "alpha")
        site.show()
        rows.append(site.event("Studio_A"))
        daemon.wait_for(rows, "alpha")
        assert daemon.stop(process) == 0
    got = daemon.events_of("alpha")
    assert sorted(got) == sorted([*rows, *late.ids])
    assert not daemon.tells("feed.rewound")
