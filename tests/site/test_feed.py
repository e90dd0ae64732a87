"""The feed's thread with a real site and a real journal: what comes, what is told, what is lost."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sgevents_core.errors import SiteRefused, StaleWriter
from sgevents_core.journal.base import Entry, FeedChange
from sgevents_core.journal.sqlite import SqliteState
from sgevents_core.sandbox import Sandbox
from sgevents_core.settings import FeedSettings, Secret, SiteSettings
from sgevents_core.site import backlog, gaps, trouble
from sgevents_core.site import feed as feed_module
from sgevents_core.site.client import EventLog
from sgevents_core.site.feed import Feed
from sgevents_core.site.gaps import Notice

LONG = 20.0
EVERY_TROUBLE = (
    "status",
    "html",
    "garbage",
    "cut-json",
    "cut-body",
    "drop",
    "reset",
    "refused-key",
)


class Running:
    """A feed in its thread, and a reader of what it writes."""

    def __init__(self, site: Sandbox, folder: Path, key: str = "demo-key", **feed: Any) -> None:
        self.notices: list[Notice] = []
        self._changed = threading.Event()
        self.reader = SqliteState(folder)
        self.state = SqliteState(folder)
        where = SiteSettings(
            url=site.url, script_name="sgevents", api_key=Secret(key, "a test"), timeout=5.0
        )
        usual = {"start": 1, "poll_interval": 0.02, "idle_interval": 0.04}
        self.feed = Feed(
            EventLog(where),
            self.state,
            FeedSettings(**{**usual, **feed}),
            self._changed.set,
            self._tell,
        )
        self.thread = threading.Thread(target=self.feed.run)
        self.thread.start()

    def _tell(self, notice: Notice) -> None:
        self.notices.append(notice)
        self._changed.set()

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds."""
        end = time.monotonic() + LONG
        while not condition():
            assert time.monotonic() < end
            self._changed.wait(0.005)
            self._changed.clear()

    def entries(self) -> list[Entry]:
        """What is in the journal."""
        return self.reader.read(0, 100_000)

    def ids(self) -> list[int]:
        """The ids in the journal, in its order."""
        return [entry.event_id for entry in self.entries()]

    def until_complete(self, site: Sandbox) -> None:
        """Wait until all that shows on the site is in the journal."""
        self.until(lambda: sorted(self.ids()) == site.log.visible_ids())

    def close(self) -> None:
        """End it."""
        self.feed.stop()
        self.thread.join(LONG)
        assert not self.thread.is_alive()
        self.reader.close()


Start = Callable[..., Running]


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A sandbox without a project."""
    with Sandbox(project=False) as running:
        yield running


@pytest.fixture
def start(
    site: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Start]:
    """Starts feeds of the site that try again soon; ends them."""
    monkeypatch.setattr(trouble, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(trouble, "LONGEST_WAIT", 0.05)
    monkeypatch.setattr(backlog, "FIRST_LOOK", 0.05)
    monkeypatch.setattr(gaps, "FIRST_LOOK", 0.05)
    monkeypatch.setattr(feed_module, "BETWEEN_REFUSALS", 0.01)
    caplog.set_level(logging.INFO, "sgevents")
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(closing(Running(site, tmp_path, **options)))


def logged(caplog: pytest.LogCaptureFixture, action: str) -> list[logging.LogRecord]:
    """The records logged under an action."""
    return [record for record in caplog.records if vars(record).get("action") == action]


def events(site: Sandbox, number: int) -> list[int]:
    """Write so many events to the log, and return their ids."""
    return [site.event("Studio_Row", description=f"row {place}") for place in range(number)]


def test_rows_arrive(site: Sandbox, start: Start) -> None:
    """What is there and what comes is journalled in the order of ids, whole."""
    events(site, 3)
    running = start()
    running.until_complete(site)
    more = events(site, 3)
    running.until_complete(site)
    entries = running.entries()
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert running.ids()[3:] == more
    rows = site.event_rows(*running.ids())
    for entry, row in zip(entries, rows, strict=True):
        body = msgspec.json.decode(entry.body)
        assert (body["id"], body["event_type"]) == (entry.event_id, entry.event_type)
        assert body["created_at"] == row["created_at"]
        assert not entry.late


def test_a_late_row_arrives_late(site: Sandbox, start: Start) -> None:
    """A row that commits after newer ones is appended behind them and marked."""
    events(site, 2)
    late = site.late(2)
    events(site, 2)
    running = start()
    running.until(lambda: len(running.ids()) == 4)
    late.commit()
    running.until_complete(site)
    assert running.ids() == [1, 2, 5, 6, 3, 4]
    assert [entry.late for entry in running.entries()] == [False] * 4 + [True] * 2


def test_a_start_at_now_is_kept_at_once(site: Sandbox, start: Start) -> None:
    """Where a feed begins is committed before anything comes: a kill does not move it."""
    events(site, 5)
    running = start(start="now")
    running.until(running.reader.load_feed)
    running.close()
    more = events(site, 2)
    again = start(start="now")
    again.until(lambda: again.ids() == more)


def test_a_restart_goes_on(site: Sandbox, start: Start) -> None:
    """A second process goes on where the first one ended; nothing comes twice."""
    events(site, 700)
    first = start(page_size=50)
    first.until(lambda: len(first.ids()) > 100)
    first.close()
    site.burn(10)
    events(site, 30)
    second = start(page_size=50)
    second.until_complete(site)
    assert second.ids() == site.log.visible_ids()


def test_pages_are_no_longer_than_the_sites(tmp_path: Path) -> None:
    """Where a site gives less than is asked for, its full pages are known as full."""
    with Sandbox(project=False, page_size=10) as small:
        events(small, 95)
        with closing(Running(small, tmp_path, page_size=500, idle_interval=60.0)) as running:
            running.until_complete(small)
            reads = small.counts.calls("read")
    assert reads <= 95 / 9 + 2


def test_rest(site: Sandbox, start: Start) -> None:
    """When the last page is read the feed says that it is idle."""
    events(site, 3)
    running = start(idle_interval=60.0, poll_interval=30.0)
    running.until(running.feed.idle.is_set)
    assert len(running.ids()) == 3
    assert running.feed.state is not None
    assert running.feed.state.frontier == 3


# Trouble with the site


def test_an_outage_is_told_once_and_once_when_it_is_over(
    site: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """However often the site is tried: one warning, one line when it answers, and nothing lost."""
    running = start()
    events(site, 2)
    running.until_complete(site)
    with site.outage():
        running.until(lambda: running.feed._trouble.times >= 5)
        assert len(logged(caplog, "site.failed")) == 1
        assert logged(caplog, "site.answers") == []
        events(site, 2)
    running.until_complete(site)
    (failed,) = logged(caplog, "site.failed")
    assert failed.levelno == logging.WARNING
    assert "cannot be reached" in failed.getMessage()
    running.until(lambda: logged(caplog, "site.answers"))
    assert len(logged(caplog, "site.answers")) == 1
    assert running.ids() == [1, 2, 3, 4]


def test_a_lasting_outage_is_told_once_more(
    site: Sandbox, start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while it is an error, once."""
    monkeypatch.setattr(trouble, "LASTING", 0.03)
    site.go_down()
    running = start()
    running.until(lambda: logged(caplog, "site.lasting"))
    running.until(lambda: running.feed._trouble.times >= 8)
    site.come_back()
    running.until(lambda: logged(caplog, "site.answers"))
    assert [record.levelno for record in logged(caplog, "site.lasting")] == [logging.ERROR]
    assert len(logged(caplog, "site.failed")) == 1


@pytest.mark.parametrize("start_at", ["now", 1])
def test_a_site_that_is_down_at_the_start_is_waited_for(
    site: Sandbox, start: Start, start_at: Any
) -> None:
    """Only wrong credentials end a start; a site that does not answer is tried again."""
    site.go_down()
    running = start(start=start_at)
    running.until(lambda: running.feed._trouble.times >= 5)
    assert running.reader.load_feed() is None
    site.come_back()
    running.until(running.reader.load_feed)
    more = events(site, 2)
    running.until(lambda: running.ids() == more)
    assert running.feed.error is None


def test_every_kind_of_trouble_while_events_come(
    site: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """The site misbehaves in every way at once: each row comes once, and no key is logged."""
    for kind in EVERY_TROUBLE:
        site.faults.add(kind, probability=0.05)
    running = start(page_size=7)
    for _ in range(12):
        late = site.late(1)
        events(site, 10)
        site.burn(1)
        running.until(lambda: len(running.ids()) > 0)
        late.commit()
    running.until_complete(site)
    assert site.faults.injected() >= 5
    assert len(running.ids()) == len(set(running.ids())) == 132
    for record in caplog.records:
        assert "demo-key" not in record.getMessage()
        assert "demo-key" not in str(vars(record))


@pytest.mark.parametrize("start_at", ["now", 1])
def test_wrong_credentials_end_the_start(site: Sandbox, start: Start, start_at: Any) -> None:
    """At the first start a key that is refused three times ends the feed with the reason."""
    running = start(key="wrong-key", start=start_at)
    running.thread.join(LONG)
    assert isinstance(running.feed.error, SiteRefused)
    assert "wrong-key" not in str(running.feed.error)
    assert running.reader.load_feed() is None


def test_one_refusal_at_the_start_is_tried_again(site: Sandbox, start: Start) -> None:
    """A site that refuses once or twice may have had other reasons."""
    events(site, 1)
    site.faults.add("refused-key", calls=2)
    running = start()
    running.until_complete(site)
    assert running.feed.error is None


def test_credentials_refused_later_are_waited_for(
    site: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """Once the feed has begun, a refused key is trouble like any other, after a restart too."""
    events(site, 1)
    running = start()
    running.until_complete(site)
    site.revoke_script("sgevents")
    running.until(lambda: running.feed._trouble.times >= 5)
    running.close()
    again = start()
    again.until(lambda: again.feed._trouble.times >= 5)
    assert again.thread.is_alive()
    site.add_script("sgevents", "demo-key")
    events(site, 1)
    again.until_complete(site)
    assert again.feed.error is None
    assert "Scripts page" in logged(caplog, "site.failed")[0].getMessage()


def test_counts_refused_are_told_once_and_ids_compared(
    site: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """A script that may not count is told of once; what comes after its deadline is found."""
    site.faults.add("api-error", method="summarize", message="no permission to summarize")
    events(site, 1)
    late = site.late(1)
    events(site, 1)
    running = start(backlog_timeout=0.02)
    running.until(lambda: any(n.action == "feed.timeout_elapsed" for n in running.notices))
    late.commit()
    running.until_complete(site)
    (refused,) = logged(caplog, "feed.counts_refused")
    assert "no permission to summarize" in refused.getMessage()
    assert running.ids() == [1, 3, 2]
    running.until(lambda: any(n.action == "feed.audit_late" for n in running.notices))
    assert logged(caplog, "site.failed") == []


def test_looks_that_fail_hold_up_nothing(
    site: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """While counting fails, rows go on coming; that it fails is told once."""
    site.faults.add("status", method="summarize")
    events(site, 1)
    running = start(backlog_timeout=0.02)
    running.until(lambda: site.faults.injected("status") >= 1)
    for _ in range(5):
        events(site, 3)
        running.until_complete(site)
    assert len(logged(caplog, "site.failed")) == 1


# Trouble with the journal


def test_a_full_disk_loses_nothing(
    site: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be written is read again until it can; told once, and once when it is over."""
    running = start(page_size=20)
    events(site, 2)
    running.until_complete(site)
    database = running.state._db._db
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    events(site, 300)
    running.until(lambda: running.feed._trouble_writing.times >= 4)
    assert len(running.ids()) < 302
    database.execute("PRAGMA max_page_count = 1000000")
    running.until_complete(site)
    assert running.ids() == list(range(1, 303))
    running.until(lambda: logged(caplog, "feed.written"))
    (record,) = logged(caplog, "feed.not_written")
    assert record.levelno == logging.ERROR
    assert "full" in record.getMessage()
    assert "Nothing is lost" in record.getMessage()
    assert len(logged(caplog, "feed.written")) == 1
    assert logged(caplog, "site.failed") == logged(caplog, "site.answers") == []
    assert running.feed.error is None


def test_what_is_not_written_is_not_told(
    site: Sandbox, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People hear of an id that is given up when that is committed, and once."""
    append = SqliteState.append
    refusals = iter([True] * 4)

    def refusing(self: SqliteState, end: int, rows: Any, change: FeedChange) -> int:
        if any(not missing.hot for missing in change.put) and next(refusals, False):
            with self._db.told():
                raise sqlite3.OperationalError("disk I/O error")
        return append(self, end, rows, change)

    monkeypatch.setattr(SqliteState, "append", refusing)
    events(site, 1)
    site.burn(1)
    events(site, 1)
    running = start(backlog_timeout=0.02)
    running.until(lambda: running.notices)
    assert next(refusals, None) is None
    record = running.reader.load_feed()
    assert record is not None
    assert [missing.hot for missing in record.missing] == [False]
    assert [notice.action for notice in running.notices] == ["feed.timeout_elapsed"]


def test_another_writer_ends_the_feed(site: Sandbox, start: Start) -> None:
    """A journal that somebody else has appended to is left to them."""
    events(site, 1)
    running = start()
    running.until_complete(site)
    record = running.reader.load_feed()
    assert record is not None
    entry = running.entries()[0]
    with closing(sqlite3.connect(running.state._db._path)) as other:
        values = (2, 1, 99, entry.event_type, entry.created, 0, entry.body)
        other.execute("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        other.commit()
    events(site, 1)
    running.thread.join(LONG)
    assert isinstance(running.feed.error, StaleWriter)
    assert running.ids() == [1, 99]


def test_a_mistake_of_the_feed_itself_ends_it_with_a_reason(
    site: Sandbox, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody has thought of is logged with its traceback and ends the daemon in order."""

    def fail(*_: Any) -> None:
        raise RuntimeError("unthought of")

    running = start()
    running.until(running.reader.load_feed)
    monkeypatch.setattr(SqliteState, "append", fail)
    events(site, 1)
    running.thread.join(LONG)
    assert "RuntimeError: unthought of" in str(running.feed.error)
    (record,) = logged(caplog, "feed.failed")
    assert record.exc_info
