"""Rows that come late by the thousand are parked until a person decides, and never asked twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from simulated_feed import SimulatedFeed, follow
from simulated_site import SimulatedSite

from sgevents_core.site.follower import Follower
from sgevents_core.site.known import Hole
from sgevents_core.site.notices import BacklogTimedOut, LogRewound, RowsParked, RowsVanished
from sgevents_core.site.questions import Count, Fetch, Ids, Look
from sgevents_core.site.ranges import Span

MINUTE = 60.0
HOUR = 3600.0


def granted(rows: int, hours: float = 3.0) -> SimulatedFeed:
    """A feed that is shown so many rows hours after their time, beside rows 1 and the last."""
    site = SimulatedSite(tells_date=True)
    feed = follow(site, idle_interval=120)
    site.transaction(1)
    site.transaction(rows, delay=hours * HOUR)
    site.transaction(1)
    feed.run(hours * HOUR)
    site.transaction(1)
    feed.run(2.1 * HOUR)
    return feed


def parked(feed: SimulatedFeed) -> list[tuple[int, int]]:
    """The ranges that are parked."""
    return [(span.first, span.last) for span, _ in feed.follower.known.parked]


def handle(feed: SimulatedFeed) -> None:
    """Decide as `sgevents feed parked handle` does, between two calls of the feed."""
    state, known = feed.follower.state, feed.follower.known
    assert state is not None
    spans = [span for span, _ in known.parked]
    known.handle_parked(spans, Hole(feed.site.clock, state.observed))
    commit(feed)


def drop(feed: SimulatedFeed) -> None:
    """Decide as `sgevents feed parked drop` does."""
    feed.follower.known.drop_parked([span for span, _ in feed.follower.known.parked])
    commit(feed)


def commit(feed: SimulatedFeed) -> None:
    """Write the decision and make the follower anew."""
    change = feed.follower.take_changes()
    assert change is not None
    feed.journal.append([], change)
    feed.follower = Follower(feed.rules, feed.journal.load())


def test_a_thousand_old_rows_are_appended() -> None:
    """Up to a thousand rows older than an hour in one audit are like any late rows."""
    feed = granted(1000)
    assert feed.journal.late_ids == list(range(2, 1002))
    assert feed.told(RowsParked) == []


def test_more_than_a_thousand_are_parked() -> None:
    """One more, and none of them is appended; somebody is told how many, and which."""
    feed = granted(1001)
    assert feed.journal.ids == [1, 1003, 1004]
    assert parked(feed) == [(2, 1002)]
    (notice,) = feed.told(RowsParked)
    assert notice.fields == {"rows": 1001, "event_id": 2, "last_event_id": 1002}
    assert "sgevents feed parked handle" in notice.text
    assert not any(isinstance(call, Fetch) for call in feed.calls)


def test_how_old_rows_are_is_told_by_the_log_itself() -> None:
    """A site that does not tell its clock has rows, and these have times."""
    site = SimulatedSite(tells_date=False)
    feed = follow(site)
    hidden = site.transaction(1001, delay=3 * HOUR)
    for _ in range(30):
        site.transaction(3)
        feed.run(10 * MINUTE)
    site.transaction(3)
    feed.run(3 * HOUR)
    assert parked(feed) == [(hidden[0], hidden[-1])]
    assert feed.journal.late_ids == []


def test_young_rows_of_the_same_audit_are_appended() -> None:
    """What is younger than an hour is late and nothing else, however much of it there is."""
    site = SimulatedSite(tells_date=True)
    feed = follow(site, idle_interval=120)
    site.transaction(1)
    old = site.transaction(1500, None)
    site.transaction(1)
    feed.run(100 * MINUTE)
    young = site.transaction(1200, None)
    site.transaction(1)
    feed.run(14 * MINUTE)
    assert not feed.follower.known.hot
    before = len(feed.calls)
    site.rows(*old, *young)
    feed.restart()
    feed.run(10 * MINUTE)
    assert feed.journal.late_ids == young
    assert parked(feed) == [(old[0], old[-1])]
    compared = [type(call) for call in feed.calls[before:] if isinstance(call, Ids | Fetch)]
    first_fetch = compared.index(Fetch)
    assert Ids not in compared[first_fetch:]


def test_parked_rows_cost_nothing_and_are_told_of_once() -> None:
    """Audits go on as if the rows were taken: equal counts, no looks, no second notice."""
    feed = granted(3000)
    before = len(feed.calls)
    feed.run(15 * HOUR)
    asked = feed.calls[before:]
    assert not any(isinstance(call, Look | Fetch | Ids) for call in asked)
    assert sum(isinstance(call, Count) for call in asked) <= 15 * 60 + 15 * 5 + 9
    feed.run(50 * HOUR)
    assert len(feed.told(RowsParked)) == 1
    assert [type(n) for n in feed.notices if not isinstance(n, BacklogTimedOut)] == [RowsParked]
    assert parked(feed) == [(2, 3001)]


def test_parked_rows_stay_so_across_a_restart() -> None:
    """A new process knows them, finds nothing new, and tells nobody again."""
    feed = granted(1200)
    feed.restart(down=HOUR)
    feed.run(3 * HOUR)
    assert parked(feed) == [(2, 1201)]
    assert len(feed.told(RowsParked)) == 1
    assert feed.journal.ids == [1, 1202, 1203]


def test_a_crash_before_the_parking_is_written() -> None:
    """Rows found by an audit whose end is not committed are found, parked and told of again."""
    site = SimulatedSite(tells_date=True)
    feed = follow(site, idle_interval=120)
    site.transaction(1)
    late = site.transaction(1100, delay=3 * HOUR)
    site.transaction(2)
    feed.run(3 * HOUR)
    while (
        not isinstance(call := feed.follower.next_call(feed.monotonic), Ids)
        or call.span.last < 1101
    ):
        feed.turn(site.now + HOUR)
    while not list(feed.follower.known.parked):
        call = feed.follower.next_call(feed.monotonic)
        assert not isinstance(call, float)
        taken = feed.follower.take_answer(call, site.answer(call), feed.monotonic)
        if not list(feed.follower.known.parked):
            change = feed.follower.take_changes()
            assert change is not None
            feed.journal.append(taken.rows, change)
    feed.restart()
    assert parked(feed) == []
    feed.run(HOUR)
    assert parked(feed) == [(late[0], late[-1])]


@pytest.mark.parametrize("rows", [1001, 30_000])
def test_handled_rows_come_at_once_in_id_order(rows: int) -> None:
    """What a person lets through is looked for before all else, page after page, as late rows."""
    feed = granted(rows)
    handle(feed)
    feed.site.transaction(2)
    before = len(feed.calls)
    feed.run(rows / 1000 + 5)
    assert feed.journal.late_ids == list(range(2, 2 + rows))
    assert len(feed.calls) - before <= 1.4 * rows / feed.rules.page_size + 15
    feed.run(3 * HOUR)
    assert sorted(feed.journal.ids) == sorted(feed.site.visible)
    assert len(feed.told(RowsParked)) == 1


def test_handled_rows_of_many_ranges_come_in_id_order() -> None:
    """Thousands of ranges, more than one look can name, with more rows than a page has."""
    site = SimulatedSite(tells_date=True)
    feed = follow(site, idle_interval=120)
    hidden: list[int] = []
    for _ in range(1000):
        site.transaction(1)
        hidden += site.transaction(5, delay=3 * HOUR)
        site.transaction(1)
    feed.run(5.1 * HOUR)
    assert len(parked(feed)) == 1000
    handle(feed)
    feed.run(30)
    assert feed.journal.late_ids == hidden


@pytest.mark.parametrize("after", range(0, 40, 3))
def test_a_crash_while_handling_loses_and_repeats_nothing(after: int) -> None:
    """Wherever the process dies, the rest comes after it, in order."""
    feed = granted(4000)
    handle(feed)
    for _ in range(after):
        feed.turn(feed.site.now + 1)
    feed.restart(down=5)
    feed.run(30)
    assert feed.journal.late_ids == list(range(2, 4002))


def test_hidden_while_parked() -> None:
    """Rows that vanish and come back while they are parked are told of once, and stay parked."""
    feed = granted(1500)
    for id_ in range(2, 1502):
        feed.site.hide(id_)
    feed.run(3 * HOUR)
    assert len(feed.told(RowsVanished)) >= 1
    told = len(feed.notices)
    feed.run(20 * HOUR)
    assert len(feed.notices) == told
    for id_ in range(2, 1502):
        feed.site.show(id_)
    feed.run(3 * HOUR)
    assert parked(feed) == [(2, 1501)]
    assert len(feed.notices) == told
    assert not list(feed.follower.known.gone)


def test_handled_while_hidden() -> None:
    """Rows that do not show when they are let through are missing, and waited for like those."""
    feed = granted(1500)
    for id_ in range(1000, 1502):
        feed.site.hide(id_)
    feed.run(3 * HOUR)
    handle(feed)
    feed.run(MINUTE)
    assert feed.journal.late_ids == list(range(2, 1000))
    for id_ in range(1000, 1502):
        feed.site.show(id_)
    feed.run(MINUTE)
    assert feed.journal.late_ids == list(range(2, 1502))


@pytest.mark.parametrize("restarted", [False, True])
def test_dropped_rows_are_never_appended(restarted: bool) -> None:
    """They are known from there on: they may vanish and show again, and nobody is asked again."""
    feed = granted(1500)
    drop(feed)
    assert feed.journal.dropped == [(2, 1501)]
    if restarted:
        feed.restart(down=10)
    assert parked(feed) == []
    feed.run(3 * HOUR)
    for id_ in range(2, 1502):
        feed.site.hide(id_)
    feed.run(3 * HOUR)
    for id_ in range(2, 1502):
        feed.site.show(id_)
    feed.run(6 * HOUR)
    assert feed.journal.ids == [1, 1502, 1503]
    assert len(feed.told(RowsParked)) == 1


def test_more_rows_granted_later_are_another_parking() -> None:
    """Each audit decides by itself, and what it parks has its own number."""
    site = SimulatedSite(tells_date=True)
    feed = follow(site, idle_interval=120)
    ranges = []
    for delay in (4 * HOUR, 8 * HOUR):
        site.transaction(1)
        ranges.append(site.transaction(1100, delay=delay))
    site.transaction(1)
    feed.run(11 * HOUR)
    assert parked(feed) == [(ids[0], ids[-1]) for ids in ranges]
    assert [parking.number for _, parking in feed.follower.known.parked] == [1, 2]
    assert feed.follower.known.ranges_parked_as({2}) == [Span(ranges[1][0], ranges[1][-1])]


@pytest.mark.parametrize("becomes", [handle, drop, None])
def test_the_newest_row_above_parked_ones_is_hidden(
    becomes: Callable[[SimulatedFeed], None] | None,
) -> None:
    """The log is recognised by older rows; what is parked is no part of that."""
    feed = granted(1500)
    feed.site.hide(1503)
    feed.site.transaction(2)
    feed.run(3 * MINUTE)
    if becomes:
        becomes(feed)
    feed.site.hide(1505)
    feed.site.transaction(1)
    feed.run(3 * HOUR)
    late = list(range(2, 1502)) if becomes is handle else []
    assert sorted(feed.journal.ids) == sorted([1, *late, *range(1502, 1507)])
    assert feed.told(LogRewound) == []


def test_parked_rows_outlive_the_horizon() -> None:
    """However long a person takes, they can be let through."""
    feed = granted(1200)
    for _ in range(50):
        feed.site.transaction(1)
        feed.run(HOUR)
    assert feed.follower.state is not None
    assert feed.follower.state.floor > 1201
    handle(feed)
    feed.run(30)
    assert feed.journal.late_ids == list(range(2, 1202))


def test_rows_still_waited_for_are_never_parked() -> None:
    """A range that is noticed when it is old already, after a downtime, gets its look first."""
    site = SimulatedSite(tells_date=True)
    feed = follow(site)
    site.transaction(1)
    feed.run(5)
    feed.restart(down=HOUR)
    late = site.transaction(2000, delay=0.5)
    site.transaction(1)
    feed.restart(down=3 * HOUR)
    feed.run(10 * MINUTE)
    assert sorted(feed.journal.ids) == [1, *late, 2002]
    assert feed.told(RowsParked) == []
