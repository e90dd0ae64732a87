"""Rows that vanish and come back, wrong clocks, logs that are older, empty or restored."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from commanding import installed_here
from fault_scene import Scene
from forked_runs import Launcher
from reliability import GROUPS, Reliability

from sgevents_core.sandbox import Sandbox

GROUP = GROUPS[1]
FEED = 'poll_interval = "20ms"\nbacklog_timeout = "{timeout}"\nstart = 1\n'
DAILY_AUDIT = "from sgevents_core.site import audits\naudits.DAY = 1\n"
"""Lets the audit that compares ids, which comes once a day, come every second."""
CLOCK = """
import pathlib, time
true_time, hours = time.time, pathlib.Path({file!r})
time.time = lambda: true_time() + 3600 * float(hours.read_text() or 0)
"""
"""Lets the process's clock be wrong by as many hours as a file says."""


def test_hidden_rows_that_were_handled(scene: Scene, reliability: Reliability) -> None:
    """They are noticed and cost nothing."""
    scene.daemon.feed = FEED.format(timeout="100ms")
    run = scene.start()
    owed = scene.events(20)
    scene.wait_for(owed)
    scene.site.hide(owed[5:10])
    owed += scene.events(5)
    scene.wait_told("feed.vanished")
    measured = scene.finish(run, owed)
    reliability.row(GROUP, "Handled rows are hidden", "5 of 20 rows vanish", 5, *measured)


def test_newest_row_hidden(scene: Scene, reliability: Reliability) -> None:
    """The feed goes on from the highest row that it knows and still sees."""
    scene.daemon.feed = FEED.format(timeout="1m")
    run = scene.start()
    owed = scene.events(3)
    for _ in range(3):
        scene.wait_for(owed)
        scene.site.hide([owed[-1]])
        owed += scene.events(2)
    measured = scene.finish(run, owed)
    reliability.row(
        GROUP, "The newest row is hidden", "the row at which the next page begins", 3, *measured
    )


def test_all_known_rows_hidden(scene: Scene, reliability: Reliability) -> None:
    """A project is retired, and none of the rows read shows: what comes then is handed out."""
    scene.daemon.feed = FEED.format(timeout="1m")
    run = scene.start()
    owed = scene.events(30)
    scene.wait_for(owed)
    scene.site.hide(owed)
    owed += scene.events(5)
    measured = scene.finish(run, owed)
    reliability.row(GROUP, "All rows read so far are hidden", "30 of 30 rows", 30, *measured)


def test_rows_shown_again(scene: Scene, reliability: Reliability) -> None:
    """What was handled is not handled again; what was never seen is, when it shows."""
    scene.daemon.feed = FEED.format(timeout="100ms")
    owed = scene.events(20)
    scene.site.hide(owed[:2])
    run = scene.start()
    scene.wait_for(owed[2:])
    scene.site.hide(owed[5:10])
    scene.wait_told("feed.vanished")
    scene.site.show()
    owed += scene.events(5)
    measured = scene.finish(run, owed)
    reliability.row(
        GROUP,
        "Hidden rows are shown again",
        "5 rows that were handled, 2 that were never seen",
        7,
        *measured,
    )


@pytest.mark.parametrize(
    ("fault", "timeout", "found"),
    [
        ("One row is hidden while another appears late", "1m", "a look finds it"),
        (
            "One row is hidden while another appears after its deadline",
            "100ms",
            "a count sees no difference; the daily comparison of ids finds it",
        ),
    ],
)
def test_one_hidden_while_one_comes(
    scene: Scene, reliability: Reliability, fault: str, timeout: str, found: str
) -> None:
    """As many rows show as before: the late one is found all the same."""
    scene.daemon.feed = FEED.format(timeout=timeout)
    run = scene.start(before=DAILY_AUDIT)
    owed = scene.events(10)
    late = scene.site.late()
    owed += scene.events(10)
    scene.wait_for(owed)
    if timeout != "1m":
        scene.wait_told("feed.timeout_elapsed")
    with scene.site.database.lock:
        scene.site.hide([owed[3]])
        owed += late.commit()
    measured = scene.finish(run, owed)
    reliability.row(GROUP, fault, found, 1, *measured)


def test_wrong_clock(scene: Scene, tmp_path: Path, reliability: Reliability) -> None:
    """The host's clock decides nothing: wrong from the start, or jumping while the daemon runs."""
    hours = tmp_path / "hours"
    hours.write_text("-9")
    scene.daemon.feed = FEED.format(timeout="300ms")
    scene.install("mike", 'if ctx.attempt == 1: raise ConnectionError("once")')
    run = scene.start(before=CLOCK.format(file=str(hours)))
    owed = scene.events(5)
    scene.wait_for(owed)
    forgotten = scene.site.late()
    owed += scene.events(1)
    scene.wait_told("feed.timeout_elapsed")
    hours.write_text("12")
    owed += [*scene.events(1), *forgotten.commit()]
    scene.wait_for(owed)
    for jump in ("-30", "0", "5", "-5", "0"):
        late = scene.site.late()
        owed += scene.events(2)
        scene.wait_for(owed)
        hours.write_text(jump)
        owed += [*late.commit(), *scene.events(2)]
        scene.wait_for(owed)
    scene.until(lambda: len(scene.daemon.events_of("mike")) == 2 * len(owed), "mike is called")
    measured = scene.finish(run, owed)
    assert scene.letters() == []
    assert sorted(set(scene.daemon.events_of("mike"))) == sorted(owed)
    reliability.row(
        GROUP,
        "The host's clock is wrong and jumps",
        "9 hours behind at the start, then jumps by 5 to 42 hours, both ways",
        7,
        *measured,
    )


@pytest.mark.parametrize(
    ("fault", "change"),
    [("Daylight saving time begins", datetime(2026, 3, 29, 1, tzinfo=timezone.utc)),
     ("Daylight saving time ends", datetime(2026, 10, 25, 1, tzinfo=timezone.utc))],
)  # fmt: skip
def test_daylight_saving_time(
    tmp_path: Path,
    launching: Launcher,
    reliability: Reliability,
    fault: str,
    change: datetime,
) -> None:
    """An hour that is left out or comes twice where the daemon runs changes nothing."""
    now = [change - timedelta(minutes=40)]
    (tmp_path / "hours").write_text(
        str((now[0] - datetime.now(timezone.utc)).total_seconds() / 3600)
    )
    with Sandbox(project=False, clock=lambda: now[0]) as site:
        scene = Scene(tmp_path, site, launching)
        scene.daemon.feed = FEED.format(timeout="1m")
        owed: list[int] = []
        try:
            clock = CLOCK.format(file=str(tmp_path / "hours"))
            run = scene.start(before=clock, TZ="Europe/Berlin")
            for _ in range(8):
                late = site.late()
                owed += scene.events(3)
                scene.wait_for(owed)
                now[0] += timedelta(minutes=10)
                (tmp_path / "hours").write_text(
                    str((now[0] - datetime.now(timezone.utc)).total_seconds() / 3600)
                )
                owed += late.commit()
            measured = scene.finish(run, owed)
        finally:
            scene.close()
    reliability.row(
        GROUP,
        fault,
        "rows and late rows from 40 minutes before to 40 after, in the time zone Europe/Berlin",
        1,
        *measured,
    )


def test_site_restored(tmp_path: Path, launching: Launcher, reliability: Reliability) -> None:
    """Nothing is taken until a person says where to go on; then ids that come again are events."""
    now = [datetime.now(timezone.utc) - timedelta(minutes=5)]
    with Sandbox(project=False, clock=lambda: now[0]) as site:
        scene = Scene(tmp_path, site, launching)
        scene.daemon.feed = FEED.format(timeout="1m")
        try:
            run = scene.start()
            owed = scene.events(10)
            scene.wait_for(owed)
            now[0] += timedelta(minutes=1)
            site.rewind(6)
            again = scene.events(2)
            assert again == [7, 8]
            scene.wait_told("feed.rewound")
            assert scene.daemon.events_of("zulu") == owed
            with installed_here(scene.daemon) as sgevents:
                assert sgevents("feed", "reset", "--from", 7).code == 0
            scene.until(lambda: len(scene.daemon.events_of("zulu")) == 12, "both are handled")
            again += scene.events(5)
            scene.until(lambda: len(scene.daemon.events_of("zulu")) == 17, "all are handled")
            measured = scene.finish(run, owed + again)
        finally:
            scene.close()
    reliability.row(
        GROUP,
        "The site is restored from a backup",
        "the log goes back by 4 ids, which are used again for other events",
        1,
        *measured,
    )


def test_empty_log(scene: Scene, reliability: Reliability) -> None:
    """A site without a single event is followed from its first one on."""
    scene.daemon.feed = FEED.format(timeout="1m").replace("start = 1", 'start = "now"')
    run = scene.start()
    scene.until(lambda: scene.site.counts.calls("read", "EventLogEntry") >= 3, "it has begun")
    measured = scene.finish(run, scene.events(5))
    reliability.row(
        GROUP, "The log is empty", "a site that has no event when the daemon starts", 1, *measured
    )


def test_lagging_replica(scene: Scene, reliability: Reliability) -> None:
    """Answers from the past make nothing happen again, and nothing is concluded from them."""
    scene.daemon.feed = FEED.format(timeout="1m")
    run = scene.start()
    owed = scene.events(40)
    scene.wait_for(owed)
    for _ in range(3):
        stale = scene.site.faults.add("lagging-replica", rows=20, calls=4)
        owed += scene.events(5)
        scene.until(lambda: stale.injected == 4, "old answers are given")  # noqa: B023 - called within the loop
        scene.wait_for(owed)
    measured = scene.finish(run, owed)
    assert scene.site.faults.injected("lagging-replica") == 12
    reliability.row(
        GROUP,
        "A replica of the site lags behind",
        "answers from a log that is 20 rows old",
        12,
        *measured,
    )
