"""Audits of a feed: what the looks cannot find is found, proved, and after a day given up."""

from __future__ import annotations

import pytest
from simulated_feed import SimulatedFeed, follow
from simulated_site import EPOCH, SimulatedSite

from sgevents_core.site.notices import LateRowsFound, RowsVanished
from sgevents_core.site.questions import Count, Fetch, Ids, Look

MINUTE = 60.0
HOUR = 3600.0


def with_a_cold_gap(site: SimulatedSite, **rules: float) -> SimulatedFeed:
    """A feed that has given up waiting for 3 to 5."""
    feed = follow(site, idle_interval=120, **rules)
    site.transaction(2)
    site.transaction(3, None)
    site.transaction(1)
    feed.run(400)
    assert [tuple(span) for span, _ in feed.follower.known.cold] == [(3, 5)]
    return feed


@pytest.mark.parametrize("hours", [0.1, 1, 23])
def test_a_row_that_comes_hours_late(hours: float) -> None:
    """Within a day an audit finds what comes; the longer it took, the longer that may take too."""
    feed = with_a_cold_gap(SimulatedSite())
    for _ in range(40):
        feed.site.transaction(1)
        feed.run(hours * HOUR / 40)
    feed.site.rows(4)
    feed.run(2.1 * HOUR)
    assert feed.journal.late_ids == [4]
    assert [notice.fields for notice in feed.told(LateRowsFound)] == [{"rows": 1}]
    assert "1 row that came after the deadline" in feed.told(LateRowsFound)[0].text


def test_counting_costs_little() -> None:
    """A day in which nothing is missing costs a count a minute and few more."""
    feed = with_a_cold_gap(SimulatedSite())
    before = len(feed.calls)
    for _ in range(24):
        feed.site.transaction(5)
        feed.run(HOUR)
    asked = feed.calls[before:]
    assert sum(isinstance(call, Count) for call in asked) <= 24 * 60 + 24 * 5 + 13
    assert sum(isinstance(call, Ids) for call in asked) <= 2
    assert not any(isinstance(call, Fetch | Look) for call in asked)


def test_counts_refused() -> None:
    """Where the script may not count, ids are compared from the first audit on."""
    feed = with_a_cold_gap(SimulatedSite(counts=False))
    counted = [call for call in feed.calls if isinstance(call, Count)]
    assert len(counted) == 1
    assert any(isinstance(call, Ids) for call in feed.calls)
    feed.site.rows(4)
    feed.site.hide(2)
    feed.run(2 * MINUTE)
    assert feed.journal.ids == [1, 2, 6, 4]
    assert [tuple(span) for span, _ in feed.follower.known.gone] == [(2, 2)]
    assert [call for call in feed.calls if isinstance(call, Count)] == counted


def test_an_audit_comes_first_after_a_downtime() -> None:
    """What came while the feed was down is found right after the start, a day back."""
    feed = with_a_cold_gap(SimulatedSite())
    feed.run(3 * HOUR)
    feed.site.rows(3, 5)
    feed.restart(down=10 * HOUR)
    feed.run(5)
    assert feed.journal.late_ids == [3, 5]


def test_many_rows_at_once() -> None:
    """Thousands of rows that were hidden from the script and now show are all appended."""
    site = SimulatedSite()
    feed = follow(site, idle_interval=30)
    site.transaction(1)
    hidden = site.transaction(3000, delay=HOUR)
    site.transaction(1)
    feed.run(HOUR + 20 * MINUTE)
    assert feed.journal.late_ids == hidden
    assert [notice.fields for notice in feed.told(LateRowsFound)] == [{"rows": 3000}]


def test_a_row_found_in_time_by_an_audit_is_not_told_as_late() -> None:
    """An audit may be faster than the next look; only what came after its deadline is told."""
    site = SimulatedSite()
    feed = follow(site)
    for late in range(40):
        site.transaction(1)
        site.transaction(1, delay=30 + late)
        site.transaction(1)
        feed.run(7)
    feed.run(HOUR)
    assert sorted(feed.journal.ids) == list(range(1, 121))
    assert any(isinstance(call, Fetch) for call in feed.calls)
    assert feed.told(LateRowsFound) == []


@pytest.mark.parametrize("date", [False, True])
def test_says_up_to_where_the_log_is_proved(date: bool) -> None:
    """After an audit it is known up to which id nothing is missing, and when that was so."""
    site = SimulatedSite(tells_date=date)
    feed = follow(site)
    site.transaction(5)
    feed.run(30)
    state = feed.follower.state
    assert state is not None
    assert (state.proved_id, state.proved_at) == (0, 0)
    feed.run(60)
    assert state.proved_id == 5
    assert state.proved_at == pytest.approx(EPOCH + 60 if date else EPOCH, abs=2)
    site.rows(7)
    feed.run(65)
    assert state.proved_id == 5
    feed.run(400)
    assert state.proved_id == 7


def test_ids_are_given_up_after_the_horizon() -> None:
    """What has not come after a day is closed and recorded; it is not taken any more."""
    feed = with_a_cold_gap(SimulatedSite())
    for _ in range(50):
        feed.site.transaction(1)
        feed.run(HOUR)
    assert feed.journal.closed == [(3, 5)]
    assert feed.follower.state is not None
    assert feed.follower.state.floor > 6
    feed.site.rows(4)
    feed.run(25 * HOUR)
    assert 4 not in feed.journal.ids
    assert feed.told(RowsVanished) == []
    assert feed.told(LateRowsFound) == []


def test_nothing_is_given_up_before_the_horizon() -> None:
    """For a whole day late rows are taken, also right before their time is over."""
    feed = with_a_cold_gap(SimulatedSite())
    feed.run(23 * HOUR)
    feed.site.transaction(1)
    feed.run(HOUR / 2)
    assert feed.journal.closed == []
    feed.site.rows(3, 4, 5)
    feed.run(2.1 * HOUR)
    assert feed.journal.late_ids == [3, 4, 5]


def test_closing_leaves_no_id_between_floor_and_frontier_unexplained() -> None:
    """Below an id that is still waited for nothing is closed: audits stay quiet afterwards."""
    site = SimulatedSite()
    feed = follow(site, audit_horizon=HOUR, backlog_timeout=300, idle_interval=30)
    for _ in range(30):
        site.transaction(3)
        site.transaction(2, None)
        feed.run(60)
    site.transaction(1)
    feed.run(5)
    assert feed.follower.known.hot
    feed.restart(down=3 * HOUR)
    for _ in range(30):
        site.transaction(600)
        site.transaction(1, None)
        site.transaction(1)
        feed.run(5)
    feed.run(3 * HOUR)
    assert feed.told(RowsVanished) == []
    assert sorted(feed.journal.ids) == sorted(site.visible)


def test_memory_does_not_grow() -> None:
    """Months of gaps: what is kept is what the horizon asks for."""
    site = SimulatedSite(next_id=1_000_000)
    feed = follow(site, start=1_000_000, audit_horizon=2 * HOUR, idle_interval=300)
    kept: list[int] = []
    for step in range(150):
        site.transaction(5)
        site.transaction(3, None)
        if step % 7 == 0:
            site.hide(site.next_id - 5)
        feed.run(10 * MINUTE)
        known, state = feed.follower.known, feed.follower.state
        assert state is not None
        kept.append(len(known.hot) + len(known.cold) + len(known.gone))
        assert len(state.marks) < 60
        assert len(state.recent) <= 200
    assert max(kept) <= 12 * 5
    assert feed.follower.state is not None
    assert feed.follower.state.floor > 1_000_800
    assert len(feed.journal.closed) > 80
    record = feed.journal.load()
    assert record is not None
    assert len(record.missing) + len(record.gone) == kept[-1]
