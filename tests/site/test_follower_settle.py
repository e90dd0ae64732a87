"""`settle`: newer rows wait a little for late ones, which keeps the order of ids."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_feed import SimulatedFeed, follow
from simulated_site import SimulatedSite

from sgevents_core.site.settling import Hold, Settling
from sgevents_core.state.entries import Row


def appended(feed: SimulatedFeed, seconds: float) -> Iterator[tuple[float, int]]:
    """Follow for so many seconds and yield when which row was appended."""
    until = feed.site.now + seconds
    while feed.site.now < until:
        before = len(feed.journal.rows)
        feed.turn(until)
        for late_row in feed.journal.rows[before:]:
            yield feed.site.now, late_row.row.id


def test_late_rows_keep_their_place() -> None:
    """Rows that come within `settle` are appended in the order of ids, and none is late."""
    site = SimulatedSite()
    feed = follow(site, settle=5)
    for _ in range(20):
        site.transaction(2)
        site.transaction(3, delay=2.5)
        site.transaction(2)
        feed.run(4)
    feed.run(20)
    assert feed.journal.ids == list(range(1, 141))
    assert feed.journal.late_ids == []


def test_without_settle_nothing_waits() -> None:
    """By default newer rows are appended when they are seen."""
    site = SimulatedSite()
    feed = follow(site)
    site.rows(1, 3)
    times = {id_: at for at, id_ in appended(feed, 10)}
    assert times[3] - times[1] < 0.001


def test_what_does_not_come_in_time_comes_late() -> None:
    """After `settle` the rows above a gap pass, and the row is late when it turns up."""
    site = SimulatedSite()
    feed = follow(site, settle=3)
    site.transaction(1)
    site.transaction(1, delay=20)
    site.transaction(1)
    times = {id_: at for at, id_ in appended(feed, 60)}
    assert feed.journal.ids == [1, 3, 2]
    assert feed.journal.late_ids == [2]
    assert times[1] < 1.0
    assert 3.0 <= times[3] < 4.0


@pytest.mark.parametrize("size", [50, 500])
def test_many_gaps_cost_one_wait(size: int) -> None:
    """The time of all gaps of a page begins when the page is first seen."""
    site = SimulatedSite()
    feed = follow(site, settle=2, page_size=size)
    site.rows(*range(1, 90, 2))
    times = [at for at, _ in appended(feed, 30)]
    assert len(times) == 45
    assert times[-1] < 4.0


def test_what_turns_up_in_a_gap_does_not_begin_the_wait_anew() -> None:
    """While rows of a gap trickle in, those above it wait from when they were first seen."""
    site = SimulatedSite()
    feed = follow(site, settle=10)
    site.rows(1, 40)
    feed.run(0.5)
    for late in range(3, 30, 3):
        site.rows(late)
        feed.run(1)
    assert feed.journal.ids == [1]
    feed.run(2)
    assert feed.journal.ids == [1, *range(3, 30, 3), 40]


def test_a_restart_while_rows_wait() -> None:
    """Rows that were held back are simply read again."""
    site = SimulatedSite()
    feed = follow(site, settle=60)
    site.rows(1, 2, 4, 5)
    feed.run(30)
    assert feed.journal.ids == [1, 2]
    feed.restart(down=1)
    site.rows(3)
    feed.run(10)
    assert feed.journal.ids == [1, 2, 3, 4, 5]
    assert feed.journal.late_ids == []


@pytest.mark.parametrize("date", [False, True])
def test_catching_up_waits_for_no_gap(date: bool) -> None:
    """Days of rows with gaps in every page pass without a pause, `settle` or not."""
    site = SimulatedSite(tells_date=date)
    for _ in range(2000):
        site.now += 60
        site.transaction(9)
        site.transaction(1, None)
        site.transaction(1)
    feed = follow(site, settle=5, page_size=100)
    began = site.now
    while len(feed.journal.rows) < len(site.visible) - 100:
        feed.turn(began + 200)
    assert site.now - began < 60
    waits = feed.turns - len(feed.calls)
    assert waits <= 5


def test_a_burst_larger_than_a_page_keeps_its_order_where_the_site_tells_its_clock() -> None:
    """Full pages of young rows wait for a young gap as well."""
    site = SimulatedSite(tells_date=True)
    feed = follow(site, settle=5, page_size=50)
    site.transaction(20)
    site.transaction(1, delay=3)
    site.transaction(200)
    feed.run(30)
    assert feed.journal.ids == list(range(1, 222))


rows = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), min_size=1, max_size=12)


@given(rows, st.floats(0.5, 5), st.lists(st.floats(0.1, 3), max_size=6))
@settings(max_examples=60)
def test_holds_no_row_longer_than_settle(
    steps: list[tuple[int, int]], settle: float, pauses: list[float]
) -> None:
    """Whatever a page looks like: what passes has no young gap below it, and all pass in time."""
    page, id_, at = [], 0, 100
    for step, later in steps:
        id_, at = id_ + step, at + later
        page.append(Row(id_, at, "Type", b"{}"))
    settling, now = Settling(settle), 0.0
    for pause in [0.0, *pauses]:
        now += pause
        held = settling.hold(0, page, now, page[-1].at)
        if now >= settle:
            assert held is None
        if held is not None:
            assert isinstance(held, Hold)
            assert now < held.until <= settle
            below = page[held.passing_rows - 1].id if held.passing_rows else 0
            assert page[held.passing_rows].id > below + 1
