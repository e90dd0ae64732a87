"""A site that answers small questions only, or fails on some: the rest goes on, at its pace."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import pairwise

import pytest
from simulated_feed import SimulatedFeed, follow
from simulated_site import SimulatedSite

from sgevents_core.site.backlog import LONGEST_BETWEEN_LOOKS
from sgevents_core.site.notices import BacklogTimedOut, EventSetAside, LogRewound
from sgevents_core.site.questions import ASIDE, Call, Count, Ids, Look, Newest, Page, Recent

MINUTE = 60.0
HOUR = 3600.0


def busiest_minute(feed: SimulatedFeed, kinds: tuple[type, ...] = ASIDE, since: float = 0) -> int:
    """The most calls of some kinds in any minute."""
    times = [at for at, call in feed.asked_at if isinstance(call, kinds) and at >= since]
    return max(
        (bisect_left(times, at + MINUTE) - place for place, at in enumerate(times)), default=0
    )


def until_there(feed: SimulatedFeed, id_: int, longest: float) -> float:
    """Run until an id is in the journal; return the seconds that took."""
    began = feed.site.now
    while id_ not in feed.journal.ids:
        feed.turn(began + longest)
        assert feed.site.now < began + longest, "it did not come"
    return feed.site.now - began


def with_gaps(site: SimulatedSite, gaps: int, **rules: float) -> SimulatedFeed:
    """A feed that waits for so many single ids: 2, 4, 6 and so on."""
    feed = follow(site, **rules)
    for _ in range(gaps):
        site.transaction(1)
        site.transaction(1, None)
    site.transaction(1)
    feed.run(5)
    return feed


@pytest.mark.parametrize("most", [300, 50, 7, 1])
def test_a_late_row_among_many_gaps_is_found_soon(most: int) -> None:
    """Where the site refuses to be asked for so many ids, it is asked for fewer."""
    site = SimulatedSite(most_named=most)
    feed = with_gaps(site, 300)
    site.rows(302)
    assert until_there(feed, 302, 5 * MINUTE) < (20 if most > 10 else 2 * 300 / most + 20)
    feed.run(20)
    failed = [call for call in feed.calls if isinstance(call, Look) and site.fails(call)]
    assert len(failed) < 25
    assert busiest_minute(feed) <= 60


def test_the_size_that_works_is_remembered() -> None:
    """Larger questions are tried again, ever more seldom: the site may have been in trouble."""
    site = SimulatedSite(most_named=50)
    feed = with_gaps(site, 300, backlog_timeout=HOUR)
    feed.run(HOUR)
    looks = [call for call in feed.calls if isinstance(call, Look)]
    failed = [place for place, call in enumerate(looks) if site.fails(call)]
    assert len(failed) < len(looks) / 20
    site.most_named = None
    feed.run(HOUR)
    assert max(len(call.spans) for call in feed.calls if isinstance(call, Look)) > 200


@pytest.mark.parametrize("gaps", [1, 300])
def test_an_id_that_the_site_fails_on_holds_up_no_other(gaps: int) -> None:
    """It is looked for by itself, and on record by name; a late row beside it comes soon."""
    site = SimulatedSite()
    feed = with_gaps(site, gaps)
    site.rows(2)
    site.unreadable = {2}
    feed.run(MINUTE)
    if gaps > 1:
        site.rows(100)
        assert until_there(feed, 100, 5 * MINUTE) < 30
    feed.run(8 * MINUTE)
    (told,) = feed.told(EventSetAside)
    assert told.event == "2"
    assert [span for span, _ in feed.follower.known.hot] == [(2, 2)]
    assert busiest_minute(feed) <= 60
    site.unreadable.clear()
    feed.run(20 * MINUTE)
    assert 2 in feed.journal.ids
    assert feed.journal.aside == {}


def test_an_outage_makes_no_question_smaller() -> None:
    """Where nothing is answered, what fails says nothing of how much was asked."""
    feed = with_gaps(SimulatedSite(), 300)
    feed.failing = 1.0
    feed.run(20 * MINUTE)
    feed.failing = 0.0
    before = len(feed.calls)
    feed.run(20)
    sizes = [len(call.spans) for call in feed.calls[before:] if isinstance(call, Look)]
    assert max(sizes) == 300
    assert feed.told(EventSetAside) == []


@pytest.mark.parametrize("longest", [100, 7, 1])
def test_pages_get_shorter_where_long_ones_fail(longest: int) -> None:
    """A site that gives no page of 500 rows is read in pages that it gives."""
    site = SimulatedSite(longest_page=longest if longest > 1 else 2)
    feed = follow(site)
    site.transaction(3000 if longest > 1 else 60)
    until_there(feed, 3000 if longest > 1 else 60, HOUR)
    assert feed.journal.late_ids == []
    pages = [call for call in feed.calls if isinstance(call, Page)]
    failed = [call for call in pages if site.fails(call)]
    assert len(failed) < len(pages) / 4 + 12


@pytest.mark.parametrize("bad", [{5}, {5, 6}, {5, 7}, {4, 5, 6, 7}, set(range(5, 40))])
@pytest.mark.parametrize("page_size", [2, 500])
def test_a_row_that_the_site_cannot_give_stops_no_page(bad: set[int], page_size: int) -> None:
    """All others are taken without it; it is waited for, named, and taken when it comes right."""
    site = SimulatedSite(unreadable=set(bad))
    feed = follow(site, page_size=page_size)
    site.transaction(60)
    until_there(feed, 60, HOUR)
    feed.run(10 * MINUTE)
    assert sorted(feed.journal.ids) == [id_ for id_ in range(1, 61) if id_ not in bad]
    if len(bad) < 10:
        assert {notice.event for notice in feed.told(EventSetAside)} == set(map(str, bad))
    site.unreadable.clear()
    feed.run(HOUR)
    assert sorted(feed.journal.ids) == list(range(1, 61))
    assert feed.journal.aside == {}


def test_the_newest_row_that_the_site_cannot_give_costs_few_calls() -> None:
    """While nothing comes above it, it is asked for at the usual pace."""
    site = SimulatedSite()
    feed = follow(site)
    site.transaction(5)
    feed.run(5)
    site.transaction(1)
    site.unreadable = {6}
    feed.run(10 * MINUTE)
    before = len(feed.calls)
    feed.run(10 * MINUTE)
    assert len(feed.calls) - before < 3 * 10 * MINUTE
    site.transaction(1)
    assert until_there(feed, 7, 5 * MINUTE) < MINUTE


def test_audits_ask_less_where_the_site_counts_no_more() -> None:
    """Counts, comparisons and fetches get smaller; what came late is found all the same."""
    site = SimulatedSite(most_counted=1500, longest_page=60, most_named=300, tells_date=True)
    feed = follow(site, backlog_timeout=20)
    for _ in range(40):
        site.transaction(100)
        feed.run(30)
    late = site.transaction(90, delay=4 * MINUTE)
    site.transaction(1)
    feed.run(3 * HOUR)
    assert sorted(feed.journal.ids) == sorted(site.visible)
    assert set(late) <= set(feed.journal.late_ids)
    assert feed.follower.state is not None
    assert feed.follower.state.proved_id == site.next_id - 1
    assert any(isinstance(call, Count) and call.span.size > 1000 for call in feed.calls)
    assert busiest_minute(feed) <= 60


def test_audits_go_on_beside_looks_that_fail() -> None:
    """A look that the site always fails on keeps nobody from proving the rest complete."""
    site = SimulatedSite(tells_date=True)
    feed = with_gaps(site, 3, backlog_timeout=120)
    site.rows(2, 4, 6)
    site.unreadable = {2, 4, 6}
    feed.run(10 * MINUTE)
    counts = [at for at, call in feed.asked_at if isinstance(call, Count | Ids)]
    assert len(counts) >= 6
    assert max(later - at for at, later in pairwise(counts)) < 3 * MINUTE


def test_the_log_is_recognised_by_fewer_ids_where_more_are_refused() -> None:
    """A hidden newest row stops nothing, also where 200 ids cannot be asked for at once."""
    site = SimulatedSite(most_named=20)
    feed = follow(site)
    for _ in range(300):
        site.transaction(1)
        site.transaction(1, None)
    feed.run(5 * MINUTE)
    site.hide(599)
    site.transaction(1)
    assert until_there(feed, 601, 5 * MINUTE) < MINUTE
    assert feed.told(LogRewound) == []
    asked = [len(call.spans) for call in feed.calls if isinstance(call, Recent)]
    assert asked
    assert min(asked) <= 20


def test_a_start_reads_shorter_pages_where_long_ones_are_refused() -> None:
    """It begins at the newest row, and what is missing below it is waited for."""
    site = SimulatedSite(tells_date=True)
    site.transaction(400)
    site.transaction(1, delay=30)
    site.transaction(400)
    feed = follow(site, start="now")
    refused: list[Call] = []
    while feed.follower.state is None:
        call = feed.follower.next_call(feed.monotonic)
        assert isinstance(call, Newest)
        if call.limit > 100:
            refused.append(call)
            feed.follower.take_failure(call, feed.monotonic, is_answering=True)
        else:
            feed.follower.take_answer(call, site.answer(call), feed.monotonic)
    assert len(refused) == 3
    feed.run(MINUTE)
    assert feed.journal.ids == [401]


# The pace


def test_fifty_thousand_missing_ids() -> None:
    """Looks and audits are at most 60 calls a minute, whatever is missing; late rows still come.

    Each id is given up after a look that is later than its deadline, and in few warnings.
    """
    site = SimulatedSite(tells_date=True)
    feed = follow(site)
    for _ in range(50_000):
        site.transaction(1)
        site.transaction(1, None)
    site.transaction(1)
    until_there(feed, 100_001, 5 * MINUTE)
    began = feed.site.now
    site.transaction(1, delay=3)
    site.transaction(1)
    assert until_there(feed, 100_002, MINUTE) < 3 + LONGEST_BETWEEN_LOOKS
    site.rows(50_000)
    assert until_there(feed, 50_000, 10 * MINUTE) < 4 * MINUTE
    feed.run(12 * MINUTE)
    assert busiest_minute(feed, since=began) <= 60
    assert len(feed.follower.known.hot) == 0
    told = feed.told(BacklogTimedOut)
    assert sum(notice.ids for notice in told) == 49_999
    assert len(told) < 200
    given_up = Counter(first for first, _, _ in feed.oracle.given_up)
    assert set(given_up.values()) == {1}


@pytest.mark.parametrize(("gaps", "warnings"), [(1, 1), (4, 4), (5, 5), (6, 1), (5000, 13)])
def test_gaps_given_up_together_are_told_together(gaps: int, warnings: int) -> None:
    """A few are told one by one; of many one warning says how many, and which are the first."""
    feed = with_gaps(SimulatedSite(), gaps, backlog_timeout=30)
    feed.run(5 * MINUTE)
    told = [notice.text for notice in feed.told(BacklogTimedOut)]
    assert len(told) <= warnings
    if gaps < 6:
        assert told == [f"Timeout elapsed on backlog event id {2 * n}" for n in range(1, gaps + 1)]
    elif gaps == 6:
        assert told == [
            "Timeout elapsed on backlog event 6 ids between 2 and 12: 2, 4, 6, 8, 10"
            " and 1 more range"
        ]


def test_pages_come_at_the_usual_pace_for_minutes_of_quiet() -> None:
    """After a quiet spell an event waits as long as in a busy time; at night pages get fewer."""
    site = SimulatedSite()
    feed = follow(site)
    site.transaction(1)
    feed.run(3 * MINUTE)
    assert len([call for call in feed.calls if isinstance(call, Page)]) > 2.7 * MINUTE
    before = len(feed.calls)
    feed.run(10 * MINUTE)
    before, calls = len(feed.calls), len(feed.calls) - before
    assert calls > 10 * MINUTE / 5
    feed.run(10 * MINUTE)
    pages = [call for call in feed.calls[before:] if isinstance(call, Page)]
    assert 10 * MINUTE / 5.3 < len(pages) <= 10 * MINUTE / 5
    site.transaction(1)
    feed.run(6)
    assert 2 in feed.journal.ids
    before = len(feed.calls)
    feed.run(MINUTE)
    assert len(feed.calls) - before > 50
