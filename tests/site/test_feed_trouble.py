"""The feed's thread in trouble, with the site and with the journal: what is told, what is lost."""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest
from running_feed import Start, events, logged
from waiting import PATIENCE

from sgevents_core.errors import SiteRefused, SiteUnreachable, StaleWriter
from sgevents_core.sandbox import Sandbox
from sgevents_core.site import trouble
from sgevents_core.site.health import Standing
from sgevents_core.site.notices import BacklogTimedOut, LateRowsFound
from sgevents_core.site.questions import Look, Page
from sgevents_core.site.ranges import Span
from sgevents_core.state.feed_values import FeedChange
from sgevents_core.state.sqlite.database import DATABASE
from sgevents_core.state.sqlite.feed_writing import SqliteFeedWriter

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


def test_an_outage_is_told_once_and_once_when_it_is_over(
    site: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """However often the site is tried: one warning, one line when it answers, and nothing lost."""
    running = start()
    events(site, 2)
    running.until_complete(site)
    with site.outage():
        running.until(lambda: running.feed._trouble.failure_count >= 5)
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


def test_site_is_asked_as_soon_as_somebody_has_to_know(site: Sandbox, start: Start) -> None:
    """However long the feed would rest otherwise, a doubt is over at once."""
    running = start(poll_interval=600.0, idle_interval=600.0)
    events(site, 1)
    running.until_complete(site)
    health = running.feed.health
    running.until(running.feed.idle.is_set)
    for is_down in (False, True, False):
        if is_down:
            site.go_down()
        asked = time.monotonic()
        health.want()
        running.until(lambda: not health.is_wanted)
        assert health.is_down == is_down
        if is_down:
            assert health.standing(asked) is Standing.DOWN
            site.come_back()
            running.until(lambda: not health.is_down)
            assert health.standing(asked) is Standing.OVER
            running.until(running.feed.idle.is_set)
    assert health.outages == 1


@pytest.mark.parametrize(("after", "least"), [(None, 0.0), (7.0, 7.0), (3600.0, 300.0)])
def test_answer_that_asks_for_patience_is_heeded(after: float | None, least: float) -> None:
    """`Retry-After` keeps the feed from asking, for some minutes at most."""
    error = SiteUnreachable(url="https://x", reason="429", after=after)
    wait = trouble.Trouble(trouble.SITE).record_failure(error)
    assert least <= wait <= max(least, trouble.FIRST_WAIT)


def test_a_lasting_outage_is_told_once_more(
    site: Sandbox, start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while it is an error, once."""
    monkeypatch.setattr(trouble, "LASTING_SECONDS", 0.03)
    site.go_down()
    running = start()
    running.until(lambda: logged(caplog, "site.lasting"))
    running.until(lambda: running.feed._trouble.failure_count >= 8)
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
    running.until(lambda: running.feed._trouble.failure_count >= 5)
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
    """A key that is refused three times at the first start ends the feed with the reason."""
    running = start(key="wrong-key", start=start_at)
    running.thread.join(PATIENCE)
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
    """Once the site has answered, a key that is revoked is trouble like any other."""
    events(site, 1)
    running = start()
    running.until_complete(site)
    site.revoke_script("sgevents")
    running.until(lambda: running.feed._trouble.failure_count >= 5)
    assert running.thread.is_alive()
    site.add_script("sgevents", "demo-key")
    events(site, 1)
    running.until_complete(site)
    assert running.feed.error is None
    assert "Scripts page" in logged(caplog, "site.failed")[0].getMessage()


@pytest.mark.parametrize("moved", [False, True])
def test_wrong_credentials_end_a_later_start_too(site: Sandbox, start: Start, moved: bool) -> None:
    """Whether or not there is a state, and the site's name is the one it knows; nothing is lost."""
    events(site, 1)
    running = start()
    running.until_complete(site)
    running.close()
    if moved:
        with closing(sqlite3.connect(running.folder / DATABASE)) as db:
            db.execute("UPDATE feed SET state = json_set(state, '$.site', 'elsewhere'), sum = NULL")
            db.commit()
    more = events(site, 2)
    again = start(key="wrong-key")
    again.thread.join(PATIENCE)
    assert isinstance(again.feed.error, SiteRefused)
    third = start()
    third.until_complete(site)
    assert third.ids() == [1, *more]


def test_only_refusals_in_a_row_end_a_start(site: Sandbox, start: Start) -> None:
    """A site that is unreachable in between says nothing of the key."""
    events(site, 1)
    for kind in ("refused-key", "status") * 4:
        site.faults.add(kind, method="read", calls=1)
    running = start()
    running.until_complete(site)
    assert running.feed.error is None


def test_counts_refused_are_told_once_and_ids_compared(
    site: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """A script that may not count is told of once; what comes after its deadline is found."""
    site.faults.add("api-error", method="summarize", message="no permission to summarize")
    events(site, 1)
    late = site.late(1)
    events(site, 1)
    running = start(backlog_timeout=0.02)
    running.until(lambda: any(isinstance(n, BacklogTimedOut) for n in running.notices))
    late.commit()
    running.until_complete(site)
    (refused,) = logged(caplog, "feed.counts_refused")
    assert "no permission to summarize" in refused.getMessage()
    assert running.ids() == [1, 3, 2]
    running.until(lambda: any(isinstance(n, LateRowsFound) for n in running.notices))
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


def test_an_outage_that_a_look_meets_first(
    site: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is asked first in an outage, there is one warning, and one line when it is over."""
    events(site, 1)
    running = start()
    running.until_complete(site)
    running.close()
    feed, look, page = running.feed, Look((Span(1, 1),), 20, 0.0), Page(0, 20, None)
    error = SiteUnreachable(url=site.url, reason="down")
    for call in (look, page, look, page):
        feed._note_failure(call, error)
    for call in (page, look, page):
        feed._note_answer(call)
    assert len(logged(caplog, "site.failed")) == len(logged(caplog, "site.answers")) == 1
    feed._note_failure(look, error)
    feed._note_answer(page)
    feed._note_answer(look)
    assert len(logged(caplog, "site.failed")) == len(logged(caplog, "site.answers")) == 2


def test_the_beginning_of_a_journal_is_told(
    site: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a new journal begins is said once, so that a lost state does not go unnoticed."""
    last = events(site, 3)[-1]
    for _ in range(2):
        running = start(start="now")
        running.until(running.reader.load_feed)
        running.until(lambda: logged(caplog, "feed.began"))
        running.close()
    (record,) = logged(caplog, "feed.began")
    assert vars(record)["event_id"] == last


# Trouble with the journal


def test_a_full_disk_loses_nothing(
    site: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be written is read again until it can; told once, and once when it is over."""
    running = start(page_size=20)
    events(site, 2)
    running.until_complete(site)
    assert isinstance(running.state, SqliteFeedWriter)
    database = running.state._database._connection
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    events(site, 300)
    running.until(lambda: running.feed._journal_trouble.failure_count >= 4)
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
    append = SqliteFeedWriter.append
    refusals = iter([True] * 4)

    def refusing(self: SqliteFeedWriter, end: int, rows: Any, change: FeedChange) -> int:
        if any(not missing.hot for missing in change.put) and next(refusals, False):
            with self._database.translate_errors():
                raise sqlite3.OperationalError("disk I/O error")
        return append(self, end, rows, change)

    monkeypatch.setattr(SqliteFeedWriter, "append", refusing)
    events(site, 1)
    site.burn(1)
    events(site, 1)
    running = start(backlog_timeout=0.02)
    running.until(lambda: running.notices)
    assert next(refusals, None) is None
    record = running.reader.load_feed()
    assert record is not None
    assert [missing.hot for missing in record.missing] == [False]
    assert [type(notice) for notice in running.notices] == [BacklogTimedOut]


def test_another_writer_ends_the_feed(site: Sandbox, start: Start) -> None:
    """A journal that somebody else has appended to is left to them."""
    events(site, 1)
    running = start()
    running.until_complete(site)
    record = running.reader.load_feed()
    assert record is not None
    entry = running.entries()[0]
    with closing(sqlite3.connect(running.folder / DATABASE)) as other:
        values = (2, 1, 99, entry.event_type, entry.created, 0, entry.body)
        other.execute("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL)", values)
        other.commit()
    events(site, 1)
    running.thread.join(PATIENCE)
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
    monkeypatch.setattr(SqliteFeedWriter, "append", fail)
    events(site, 1)
    running.thread.join(PATIENCE)
    assert "RuntimeError: unthought of" in str(running.feed.error)
    (record,) = logged(caplog, "feed.failed")
    assert record.exc_info
