"""Gaps: late rows are appended when they show, newer ones never wait, ids that never come cost
little."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from simulated_feed import SimulatedFeed, follow
from simulated_site import SimulatedSite

from sgevents_core.site.notices import BacklogTimedOut, LateRowsFound
from sgevents_core.site.questions import Fetch, Look, Page

MINUTE = 60.0


def run_until(feed: SimulatedFeed, appended: int, longest: float = 600.0) -> None:
    """Follow until so many rows were appended."""
    until = feed.site.now + longest
    while len(feed.journal.rows) < appended:
        assert feed.site.now < until
        feed.turn(until)


def read_by_pages(feed: SimulatedFeed) -> Counter[int]:
    """How often each row was read by a page, other than as the row it is anchored on."""
    return Counter(
        row.id
        for call, answer in feed.answers
        if isinstance(call, Page)
        for row in answer.rows
        if row.id != call.anchor
    )


def test_a_late_row_comes_when_it_turns_up() -> None:
    """101, 103, 104 and then 102: appended in that order, 102 marked late, no page read again."""
    site = SimulatedSite(next_id=101)
    feed = follow(site, start=101)
    site.transaction(1)
    (late,) = site.transaction(1, delay=20)
    site.transaction(2)
    feed.run(60)
    assert late == 102
    assert feed.journal.ids == [101, 103, 104, 102]
    assert feed.journal.late_ids == [102]
    assert set(read_by_pages(feed).values()) == {1}


@pytest.mark.parametrize("size", [2, 3, 4, 10])
@pytest.mark.parametrize("missing", range(2, 10))
def test_a_late_row_at_every_place_of_a_page(size: int, missing: int) -> None:
    """Wherever in a page the gap is, at its end too, the row is found once and by a look."""
    site = SimulatedSite()
    feed = follow(site, page_size=size)
    site.transaction(missing - 1)
    site.transaction(1, delay=7)
    site.transaction(10 - missing)
    feed.run(60)
    assert feed.journal.ids == [*(i for i in range(1, 11) if i != missing), missing]
    assert feed.journal.late_ids == [missing]
    assert not [call for call in feed.calls if isinstance(call, Fetch)]


def test_newer_rows_do_not_wait_for_a_gap() -> None:
    """One gap before 5,000 fresh events costs at most three calls more than none."""
    calls = []
    for gap in (0, 1):
        site = SimulatedSite()
        feed = follow(site)
        site.transaction(1)
        feed.run(10)
        before = len(feed.calls)
        if gap:
            site.transaction(gap, None)
        site.transaction(5000)
        run_until(feed, 5001)
        feed.run(2)
        calls.append(len(feed.calls) - before)
        assert set(read_by_pages(feed).values()) == {1}
    assert calls[1] - calls[0] <= 3


def test_a_failed_transaction_is_one_range() -> None:
    """A hundred thousand ids that never come are one range and one line for people."""
    site = SimulatedSite()
    feed = follow(site)
    site.transaction(1)
    site.transaction(100_000, None)
    site.transaction(1)
    feed.run(10)
    assert [span.size for span, _ in feed.follower.known.hot] == [100_000]
    feed.run(400)
    assert not feed.follower.known.hot
    assert [n.text for n in feed.told(BacklogTimedOut)] == [
        "Timeout elapsed on backlog event ids 2 to 100001"
    ]
    detail = feed.told(BacklogTimedOut)[0].fields
    assert (detail["event_id"], detail["last_event_id"]) == (2, 100_001)
    assert 300 <= detail["age_s"] < 320


def test_one_id_that_never_comes_is_told_as_ever() -> None:
    """The sentence that studios look for in their logs names the id."""
    site = SimulatedSite()
    feed = follow(site, backlog_timeout=30)
    site.rows(1, 3)
    feed.run(60)
    texts = [notice.text for notice in feed.notices]
    assert texts == ["Timeout elapsed on backlog event id 2"]


def test_twenty_thousand_gaps_at_once() -> None:
    """Very many single gaps are looked for together, a page at a time, and all late rows come."""
    site = SimulatedSite()
    feed = follow(site, backlog_timeout=20)
    for place in range(20_000):
        site.transaction(1)
        site.transaction(1, 12 if place % 100 == 0 else None)
    site.transaction(1)
    run_until(feed, 20_001)
    assert len(feed.follower.known.hot) == 20_000
    assert feed.site.now < 12
    run_until(feed, 20_201, longest=120)
    feed.run(120)
    assert len(feed.journal.late_ids) == 200
    assert not feed.follower.known.hot
    looks = [call for call in feed.calls if isinstance(call, Look)]
    assert len(looks) < 50 * 8
    assert all(len(call.spans) <= 400 for call in looks)


def test_a_big_transaction_that_commits_late() -> None:
    """More late rows than fit a page are read one page after the other, in the order of ids."""
    site = SimulatedSite()
    feed = follow(site, page_size=50)
    site.transaction(1)
    site.transaction(333, delay=40)
    site.transaction(1)
    feed.run(70)
    assert feed.journal.ids == [1, 335, *range(2, 335)]
    assert not [call for call in feed.calls if isinstance(call, Fetch)]


def test_a_late_row_splits_its_range() -> None:
    """Rows that turn up in the middle of a range leave the rest of it waited for as before."""
    site = SimulatedSite()
    feed = follow(site)
    site.rows(1, 10)
    feed.run(30)
    site.rows(5)
    feed.run(30)
    assert [tuple(span) for span, _ in feed.follower.known.hot] == [(2, 4), (6, 9)]
    feed.run(270)
    assert [tuple(span) for span, _ in feed.follower.known.cold] == [(2, 4), (6, 9)]


def test_a_row_that_comes_late_by_twenty_minutes() -> None:
    """After its deadline nothing looks for a row any more, and an audit finds it."""
    site = SimulatedSite()
    feed = follow(site)
    site.transaction(1)
    site.transaction(1, delay=1200)
    site.transaction(1)
    feed.run(20 * MINUTE - 1)
    assert len(feed.told(BacklogTimedOut)) == 1
    feed.run(2 * MINUTE)
    assert feed.journal.ids == [1, 3, 2]
    assert feed.journal.late_ids == [2]
    assert [n.fields for n in feed.told(LateRowsFound)] == [{"rows": 1}]


def test_looks_get_rarer() -> None:
    """After a second, then after a quarter of the gap's age, at most a quarter of a minute."""
    site = SimulatedSite()
    feed = follow(site)
    site.rows(1, 3)
    times = []
    while not feed.told(BacklogTimedOut):
        before = len(feed.calls)
        feed.turn(float("inf"))
        if feed.calls[before:] and isinstance(feed.calls[-1], Look):
            times.append(feed.site.now)
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[0] == pytest.approx(1.0, abs=0.5)
    assert max(pauses) == pytest.approx(15.0, abs=0.5)
    assert sorted(pauses[:-3]) == pytest.approx(pauses[:-3], abs=0.5)
    assert len(times) < 45


def test_looks_do_not_hold_up_pages() -> None:
    """While rows keep coming, looks get their turn in between, and so do audits."""
    site = SimulatedSite()
    feed = follow(site, page_size=10)
    site.rows(1, 3)
    feed.run(5)
    for _ in range(120):
        site.transaction(100)
        feed.run(1)
    site.rows(2)
    feed.run(30)
    assert 2 in feed.journal.late_ids
    assert len(feed.journal.rows) >= 3000
    waiting = site.next_id - 1 - (feed.follower.state.frontier if feed.follower.state else 0)
    pages = sum(isinstance(call, Page) for call in feed.calls)
    assert waiting == 0 or pages >= 0.7 * len(feed.calls)


def test_gaps_across_a_restart() -> None:
    """What was missing before a restart is looked for at once after it, with the time it had."""
    site = SimulatedSite()
    feed = follow(site)
    site.transaction(1)
    site.transaction(1, delay=100)
    site.transaction(2, None)
    site.transaction(1)
    feed.run(60)
    feed.restart(down=3600)
    assert [tuple(span) for span, _ in feed.follower.known.hot] == [(2, 4)]
    feed.run(3)
    assert feed.journal.ids == [1, 5, 2]
    assert [tuple(span) for span, _ in feed.follower.known.hot] == [(3, 4)]
    feed.run(200)
    assert feed.follower.known.hot
    feed.run(100)
    assert not feed.follower.known.hot


def test_catching_up_does_not_wait_for_old_ids() -> None:
    """Days of rows with many gaps: one look proves an old id, and pages come without a pause."""
    site = SimulatedSite()
    for _ in range(3 * 24 * 12):
        site.now += 300
        site.transaction(20)
        site.transaction(3, None)
    began = site.now
    feed = follow(site)
    run_until(feed, len(site.visible), longest=60)
    pages = len(site.visible) / 499
    assert sum(isinstance(call, Page) for call in feed.calls) <= pages + 2
    feed.run(5)
    assert site.now - began < 60
    assert len(feed.follower.known.hot) <= 1
    gaps = len(feed.follower.known.cold) + len(feed.follower.known.hot)
    assert gaps == 3 * 24 * 12 - 1


def test_a_young_gap_met_while_catching_up_keeps_its_time() -> None:
    """Only what is old by the site's clock is given up after one look."""
    site = SimulatedSite()
    site.transaction(600)
    site.now += 3600
    site.transaction(1, delay=100)
    site.transaction(5)
    feed = follow(site)
    feed.run(150)
    assert feed.journal.late_ids == [601]
    assert not [call for call in feed.calls if isinstance(call, Fetch)]


def test_the_smallest_page() -> None:
    """With pages of two rows, one of them known, the feed still gets on and finds late rows."""
    site = SimulatedSite()
    feed = follow(site, page_size=2)
    for _ in range(10):
        site.transaction(3)
        site.transaction(1, delay=50)
        site.transaction(2, None)
        feed.run(1)
    feed.run(100)
    assert sorted(feed.journal.ids) == sorted(site.visible)
    assert set(feed.journal.late_ids) >= {4, 10, 16, 22, 28, 34, 40, 46, 52}
