"""Far behind: ranges of ids asked for at the same time, taken in order, none of them on trust."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from simulated_feed import SimulatedFeed, follow
from simulated_site import SimulatedSite

from sgevents_core.site.follower import Follower
from sgevents_core.site.follower_values import Rules
from sgevents_core.site.notices import LogRewound
from sgevents_core.site.questions import Answer, Call, Newest, Page, PageRange
from sgevents_core.site.read_ahead import Connections

PAGE = 20
HOUR = 3600.0


def behind(*transactions: int, **rules: Any) -> SimulatedFeed:
    """A feed that has read one page of a site; numbers are of rows, below 0 of burnt ids."""
    site = SimulatedSite()
    for rows in transactions:
        site.transaction(abs(rows), 0.0 if rows > 0 else None)
    feed = follow(site, page_size=PAGE, **rules)
    while not feed.journal.rows:
        feed.turn(HOUR)
    return feed


def catch_up(feed: SimulatedFeed) -> list[Call]:
    """Follow until all that shows is taken; return what was asked for it."""
    before = len(feed.calls)
    while feed.follower.state is None or feed.follower.state.frontier < max(feed.site.visible):
        feed.turn(HOUR)
    assert feed.journal.ids == sorted(feed.site.visible)
    assert feed.journal.late_ids == []
    return [call for call in feed.calls[before:] if isinstance(call, Page | PageRange | Newest)]


def next_range(follower: Follower, now: float = 10.0) -> PageRange:
    """The range that is to be taken next."""
    call = follower.next_call(now)
    assert isinstance(call, PageRange)
    return call


# What is asked for


@pytest.mark.parametrize("connections", [1, 2, 4])
def test_as_many_ranges_as_connections(connections: int) -> None:
    """They follow one another without a gap, up to the highest id that was seen."""
    feed = behind(2000, connections=connections)
    calls = catch_up(feed)
    ranges = [call for call in calls if isinstance(call, PageRange)]
    if connections == 1:
        assert ranges == []
        return
    assert feed.follower.connections == connections
    assert [call.first for call in ranges[1:]] == [call.last + 1 for call in ranges[:-1]]
    assert all(call.last - call.first + 3 == call.limit == PAGE for call in ranges)
    assert ranges[-1].last <= 2000
    assert len(calls) - len(ranges) <= 4


def test_each_range_asks_for_a_known_row() -> None:
    """So that each answer shows of which log it is."""
    feed = behind(2000)
    follower = feed.follower
    call = next_range(follower)
    assert {range_.anchor for range_ in follower.ranges_ahead} == {PAGE}
    assert call.anchor_at == feed.site.visible[PAGE]


def test_a_log_that_was_caught_up_with_is_asked_as_ever() -> None:
    """No call more than with one connection, in an hour of single events."""
    calls = []
    for connections in (1, 4):
        feed = behind(3000, connections=connections)
        catch_up(feed)
        before = len(feed.calls)
        for _ in range(60):
            feed.site.transaction()
            feed.run(60)
        assert not any(isinstance(call, PageRange | Newest) for call in feed.calls[before:])
        calls.append(len(feed.calls) - before)
    assert abs(calls[0] - calls[1]) <= calls[0] / 50


def test_a_burst_of_a_few_pages_is_read_in_pages() -> None:
    """Ranges that would not fill are not worth asking for."""
    feed = behind(3 * PAGE)
    assert not any(isinstance(call, PageRange) for call in catch_up(feed))


def test_gaps_have_a_row_above_them() -> None:
    """Ids that a range leaves out at its end are missing once a row above them is taken."""
    feed = behind(30, -15, 400, -3, 600)
    catch_up(feed)
    gaps = [
        tuple(span)
        for kind in (feed.follower.known.hot, feed.follower.known.cold)
        for span, _ in kind
    ]
    assert gaps == [(31, 45), (446, 448)]


def test_a_hole_costs_a_few_calls() -> None:
    """An empty range is asked again alone, by a page, which goes beyond any hole."""
    whole = len(catch_up(behind(4000)))
    holed = len(catch_up(behind(2000, -100_000, 2000)))
    assert holed <= whole + 12


def test_a_log_of_which_little_shows() -> None:
    """Ranges grow until their rows fill answers."""
    site = SimulatedSite()
    for _ in range(500):
        site.transaction(1)
        site.transaction(50, None)
    feed = follow(site, page_size=PAGE)
    assert len(catch_up(feed)) < 2 * 500 / PAGE


# How answers are taken


def taken(feed: SimulatedFeed, call: PageRange, *ids: int) -> None:
    """Let the site answer a range with these rows besides the known one."""
    rows = tuple(feed.site.row(id_) for id_ in (call.anchor, *ids))
    feed.follower.take_answer(call, Answer(rows), 10.0)


def test_behind_a_full_answer_the_remainder_is_read_first() -> None:
    """The ranges above it are given up, whatever they hold."""
    feed = behind(2000)
    call = next_range(feed.follower)
    rows = tuple(feed.site.row(id_) for id_ in (PAGE, *range(PAGE + 1, PAGE + 10)))
    feed.follower.take_answer(call, Answer(rows, reach=PAGE + 9), 10.0)
    assert feed.follower.next_call(10.0) == Page(PAGE + 8, PAGE, PAGE + 9)
    assert feed.follower.ranges_ahead == ()


def test_an_empty_range_is_asked_again_alone() -> None:
    """A replica that lags shows nothing; what the next range shows is not taken before."""
    feed = behind(2000)
    taken(feed, next_range(feed.follower))
    assert feed.follower.next_call(10.0) == Page(PAGE - 1, PAGE, PAGE)
    assert feed.follower.ranges_ahead == ()


def test_a_failure_discards_everything_above() -> None:
    """What comes next is the page behind what was taken."""
    feed = behind(2000)
    follower = feed.follower
    call = next_range(follower)
    taken(feed, call, *range(call.first, call.last + 1))
    follower.take_failure(next_range(follower), 11.0)
    assert follower.next_call(12.0) == Page(call.last - 1, PAGE, call.last)
    assert follower.ranges_ahead == ()


@pytest.mark.parametrize("answer", ["without the known row", "with another time"])
def test_an_answer_of_another_log_is_not_taken(answer: str) -> None:
    """Neither its rows nor those of the ranges above it."""
    feed = behind(2000)
    follower = feed.follower
    call = next_range(follower)
    rows = [feed.site.row(id_) for id_ in (PAGE, PAGE + 1, PAGE + 2)]
    rows[0] = replace(rows[0], at=rows[0].at - 7)
    given = rows[1:] if answer == "without the known row" else rows
    result = follower.take_answer(call, Answer(tuple(given)), 10.0)
    assert result.rows == []
    assert follower.ranges_ahead == ()
    told = [type(notice) for notice in result.notices]
    assert told == ([] if answer == "without the known row" else [LogRewound])


def test_young_gaps_are_settled_in_ranges_too() -> None:
    """Rows above them wait, and everything above is asked for again."""
    feed = follow(SimulatedSite(tells_date=True), page_size=PAGE, settle=5.0)
    feed.site.transaction(2 * PAGE)
    late = feed.site.transaction(3, 3.0)
    feed.site.transaction(500)
    while sorted(feed.journal.ids) != sorted(feed.site.visible) or late[0] not in feed.journal.ids:
        feed.turn(HOUR)
    assert feed.journal.late_ids == []


# How many


def test_trouble_means_fewer_connections() -> None:
    """Half as many after each failure; one more at a time, ever later, while all goes well."""
    connections = Connections(8)
    seen = []
    for _ in range(4):
        connections.failed()
        seen.append(connections.now)
    assert seen == [4, 2, 1, 1]
    answers = 0
    while connections.now < 2:
        connections.succeeded(0.2)
        answers += 1
    assert answers == 64
    while connections.now < 8:
        connections.succeeded(0.2)
    assert connections.now == 8


def test_a_site_that_slows_down_is_asked_less() -> None:
    """A slow site as such is not: only one that takes far longer than it did."""
    connections = Connections(4)
    for _ in range(50):
        connections.succeeded(3.0)
    assert connections.now == 4
    for _ in range(3):
        connections.succeeded(20.0)
    assert connections.now == 1
    fast = Connections(4)
    for took in (0.01, 0.05, 0.9, 0.02, 0.6):
        fast.succeeded(took)
    assert fast.now == 4


def test_the_setting_is_the_most() -> None:
    """One connection stays one."""
    one = Connections(1)
    for _ in range(100):
        one.succeeded(0.1)
    assert one.now == 1
    assert Follower(Rules(connections=3)).connections == 3
