"""While the feed is far behind, a process of its own follows the log, whatever becomes of it."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from odd_site import OddSite, odd_site, text_of
from running_feed import Running, feed_settings, logged
from site_records import settings as site_settings
from waiting import wait_until

from sgevents_core.children.feed_process import FeedProcess
from sgevents_core.errors import StateInUse
from sgevents_core.settings import Settings, StateSettings
from sgevents_core.site import handing_over, read_ahead, trouble
from sgevents_core.state.feed_values import FeedRecord, FeedState
from sgevents_core.state.lock import StateLock
from sgevents_core.state.requests import Request
from sgevents_core.state.sqlite.database import DATABASE

ROWS = 1500
PAGE = 20
FEED = {"page_size": PAGE, "backlog_timeout": 0.3}


@pytest.fixture(name="site")
def long_log() -> Iterator[OddSite]:
    """A site with many rows, all of them years old, a gap now and then and one long hole."""
    with odd_site() as site:
        numbers = [id_ if id_ < ROWS // 2 else id_ + 700 for id_ in range(1, ROWS + 1)]
        site.rows = {id_: text_of(id_) for id_ in numbers if id_ % 50}
        yield site


_REQUEST = Request(
    1, "parked", "", {"decision": "drop", "era": 1, "numbers": [1]}, "somebody", 0, {}
)
"""A request to the feed that changes nothing."""


class Apart:
    """A feed with a process of its own, and what the process did.

    Args:
        site: The site.
        folder: The state's folder.
    """

    def __init__(self, site: OddSite, folder: Path) -> None:
        self.site = site
        self._folder = folder
        self._exit_stack = ExitStack()
        state_lock = self._exit_stack.enter_context(closing(StateLock(folder)))
        self.process = FeedProcess(
            Settings(
                path=folder / "sgevents.toml",
                site=site_settings(site.url),
                state=StateSettings(path=folder),
                feed=feed_settings(**FEED),
            ),
            state_lock,
        )
        self._exit_stack.callback(self.process.close)

    def start(self, *, is_prepared: bool = True) -> Running:
        """Start the feed, once its process is ready."""
        if is_prepared:
            self.process.prepare()
            wait_until(lambda: self.process.is_ready)
        running = Running(self.site, self._folder, catch_up_process=self.process, **FEED)  # type: ignore[arg-type]  # keys of one table
        self._exit_stack.callback(running.close)
        return running

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        running = self.process._running
        return None if running is None else running.process.pid

    def close(self) -> None:
        """End everything."""
        self._exit_stack.close()


@pytest.fixture(name="apart")
def feed_apart(
    site: OddSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Apart]:
    """A feed that is soon far behind."""
    monkeypatch.setattr(read_ahead, "MANY_IDS", 10 * PAGE)
    monkeypatch.setattr(handing_over, "BETWEEN_STINTS", 0.0)
    monkeypatch.setattr(trouble, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(trouble, "LONGEST_WAIT", 0.05)
    caplog.set_level(logging.INFO, "sgevents")
    with closing(Apart(site, tmp_path)) as made:
        yield made


def at_id(site: OddSite, event_id: int, act: Callable[[], None], times: int = 1) -> list[int]:
    """Act as soon as a row with this id or a higher one is asked for, before the answer.

    Returns:
        A list that has one item for each time.
    """
    done: list[int] = []

    def watch(found: list[int], params: Mapping[str, Any]) -> bool:
        is_next = any(
            one.get("logical_operator") == "or" for one in params["filters"]["conditions"]
        )
        if is_next and found and found[-1] >= event_id and len(done) < times:
            done.append(found[-1])
            act()
        return False

    site.fails = watch
    return done


def is_complete(running: Running, site: OddSite) -> bool:
    """Whether every row is in the journal, once and in order."""
    ids = running.ids()
    assert ids == sorted(set(ids))
    return ids == sorted(site.rows)


def test_process_follows_the_log_and_ends(
    apart: Apart, site: OddSite, caplog: pytest.LogCaptureFixture
) -> None:
    """Every row once and in order, read by a process that is gone once the feed has caught up."""
    pids: list[int | None] = []
    at_id(site, ROWS // 2, lambda: pids.append(apart.pid))
    running = apart.start()
    running.until(lambda: is_complete(running, site))
    running.until(running.feed.idle.is_set)
    assert pids[0] is not None
    assert apart.pid is None
    assert not Path(f"/proc/{pids[0]}").exists()
    assert logged(caplog, "feed.process_ended") == []
    counts = running.feed.counts
    assert (counts.rows, counts.late_rows, counts.has_more) == (len(site.rows), 0, False)
    assert counts.polls["page"] >= ROWS / PAGE
    site.rows[5000] = text_of(5000)
    running.until(lambda: is_complete(running, site))


def test_feed_reads_by_itself_until_the_process_is_ready(
    apart: Apart, site: OddSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts the process when it finds that it is far behind, and does not wait for it."""
    monkeypatch.setattr(FeedProcess, "is_ready", False)
    pids: list[int | None] = []
    at_id(site, ROWS // 2, lambda: pids.append(apart.pid))
    running = apart.start(is_prepared=False)
    running.until(lambda: is_complete(running, site))
    running.until(running.feed.idle.is_set)
    assert pids[0] is not None
    assert apart.pid is None


def test_process_that_is_not_needed_is_ended(apart: Apart, site: OddSite) -> None:
    """One that was started early, for a log that might have been long, ends with the first rest."""
    site.rows = {1: text_of(1)}
    running = apart.start()
    running.until(running.feed.idle.is_set)
    assert apart.pid is None
    assert running.ids() == [1]


@pytest.mark.parametrize("times", [1, 4])
def test_killed_process_loses_and_repeats_nothing(
    apart: Apart, site: OddSite, caplog: pytest.LogCaptureFixture, times: int
) -> None:
    """The feed continues where the last commit left the log, and says what happened."""
    killed: set[int] = set()

    def kill() -> None:
        if apart.pid is not None and apart.pid not in killed:
            killed.add(apart.pid)
            os.kill(apart.pid, signal.SIGKILL)

    at_id(site, 300, kill, times=times)
    running = apart.start()
    running.until(lambda: is_complete(running, site))
    assert killed
    for ended in logged(caplog, "feed.process_ended"):
        assert "killed by SIGKILL" in ended.getMessage()


def test_process_that_does_not_move_is_replaced_by_the_feed(
    apart: Apart, site: OddSite, caplog: pytest.LogCaptureFixture
) -> None:
    """It is killed after the longest time that a step may take."""

    def stop() -> None:
        assert apart.pid is not None
        os.kill(apart.pid, signal.SIGSTOP)

    apart.process._longest_silence = 0.5
    at_id(site, 300, stop)
    running = apart.start()
    running.until(lambda: is_complete(running, site))
    (ended,) = logged(caplog, "feed.process_ended")
    assert "does not move" in ended.getMessage()


def test_failing_site_is_left_to_the_feed(
    apart: Apart, site: OddSite, caplog: pytest.LogCaptureFixture
) -> None:
    """The process gives up at the first failure; the feed retries, and reports the trouble."""
    failures: list[int] = []

    def fail(found: list[int], _params: Mapping[str, Any]) -> bool:
        is_failing = bool(found) and found[-1] > 400 and len(failures) < 12
        if is_failing:
            failures.append(found[-1])
        return is_failing

    site.fails = fail
    running = apart.start()
    running.until(lambda: is_complete(running, site))
    assert logged(caplog, "site.failed")
    assert logged(caplog, "feed.process_ended") == []


def test_journal_that_cannot_be_written_is_left_to_the_feed(
    apart: Apart, site: OddSite, caplog: pytest.LogCaptureFixture
) -> None:
    """A commit that fails ends the stint; the feed reports it, and goes on once it can write."""
    running = apart.start()
    running.until(lambda: len(running.ids()) > 60)
    with closing(sqlite3.connect(running.folder / DATABASE, isolation_level=None)) as connection:
        connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON journal WHEN NEW.event_id > 600"
            " BEGIN SELECT RAISE(ABORT, 'no space'); END"
        )
        running.until(lambda: logged(caplog, "feed.not_written"))
        connection.execute("DROP TRIGGER refuse")
    running.until(lambda: is_complete(running, site))
    assert logged(caplog, "feed.process_ended") == []


def test_late_row_is_found(apart: Apart, site: OddSite) -> None:
    """A gap that the process has noticed is looked for by the process or, after it, by the feed."""
    late_row = 50
    at_id(site, ROWS // 2, lambda: site.rows.update({late_row: text_of(late_row)}))
    running = apart.start()
    running.until(lambda: sorted(running.ids()) == sorted(site.rows))
    (late,) = [entry for entry in running.entries() if entry.late]
    assert late.event_id == late_row


def test_request_of_a_person_ends_the_stint(apart: Apart, site: OddSite) -> None:
    """The feed carries it out at once, whatever is left to read, and then goes on."""
    running = apart.start()
    running.until(lambda: len(running.ids()) > 100)
    running.feed.decide(_REQUEST)
    running.until(lambda: not running.feed._person_requests)
    running.until(lambda: is_complete(running, site))


def test_stop_ends_the_process_at_once(apart: Apart, site: OddSite) -> None:
    """A feed that is told to stop leaves no process behind, and nothing is written any more."""
    running = apart.start()
    running.until(lambda: len(running.ids()) > 100)
    running.feed.stop()
    running.thread.join()
    assert apart.pid is None
    end = running.reader.end()
    assert end == running.reader.end() < len(site.rows)


def test_scripts_are_known_before_their_rows(apart: Apart, site: OddSite) -> None:
    """The daemon looks their names up before the rows that show them are committed."""
    script = {"type": "ApiUser", "id": 7, "name": "rollup 1.0"}
    site.rows[800] = text_of(800, user=script)
    running = apart.start()
    shown: list[tuple[tuple[int, str], bool]] = []

    class Lookup:
        def look(self, row_scripts: Any, _ask: object) -> None:
            shown.extend((one, 800 in running.ids()) for one in row_scripts)

    running.feed._event_log._scripts = Lookup()
    running.until(lambda: is_complete(running, site))
    assert shown == [((7, "rollup 1.0"), False)]


@pytest.mark.parametrize(
    ("start", "last_answer", "is_expected"),
    [
        ("now", None, False),
        (1, None, True),
        ("now", 5.0, False),
        ("now", 7 * 86_400.0, True),
    ],
)
def test_start_that_expects_a_long_log_starts_the_process_at_once(
    apart: Apart,
    monkeypatch: pytest.MonkeyPatch,
    start: Any,
    last_answer: float | None,
    is_expected: bool,
) -> None:
    """A first start at an earlier event, or one after a downtime; no other."""
    process = apart.process
    feed = structs.replace(process._settings.feed, start=start)
    monkeypatch.setattr(process, "_settings", structs.replace(process._settings, feed=feed))
    host_time = 1_750_000_000.0
    feed_record = (
        None
        if last_answer is None
        else FeedRecord(FeedState(answered=host_time - last_answer), [], [])
    )
    process.prepare_early(feed_record, host_time)
    assert (apart.pid is not None) is is_expected


def test_state_is_taken_while_the_process_lives(tmp_path: Path) -> None:
    """Whoever wants the state after a daemon was killed waits until its feed writes no more."""
    with closing(StateLock(tmp_path)) as state_lock:
        share = state_lock.share()
    try:
        with pytest.raises(StateInUse):
            StateLock(tmp_path)
    finally:
        os.close(share)
    StateLock(tmp_path).close()


DAEMON = """
    import sys, time
    from pathlib import Path
    from sgevents_core.children.feed_process import FeedProcess
    from sgevents_core.settings import Secret, Settings, SiteSettings, StateSettings
    from sgevents_core.state.lock import StateLock

    folder = Path(sys.argv[1])
    process = FeedProcess(
        Settings(
            path=folder / "sgevents.toml",
            site=SiteSettings(url="http://127.0.0.1:1", script_name="a", api_key=Secret("key")),
            state=StateSettings(path=folder),
        ),
        StateLock(folder),
    )
    process.prepare()
    while not process.is_ready:
        time.sleep(0.01)
    print(process._running.process.pid, flush=True)
    sys.stdin.read()
"""


def test_process_ends_with_a_killed_daemon(tmp_path: Path) -> None:
    """A daemon killed by `kill -9` leaves no process of the feed, and its state is free."""
    command = [sys.executable, "-c", textwrap.dedent(DAEMON), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        pid = int(daemon.stdout.readline())
        daemon.kill()
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    StateLock(tmp_path).close()
