"""The first start: from now, an id, a time or a duration ago, with ids still under way."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from simulated_feed import SimulatedFeed
from simulated_site import EPOCH, SimulatedSite

from sgevents_core.errors import StartAheadError
from sgevents_core.settings import Ago, Start
from sgevents_core.site.follower import Follower
from sgevents_core.site.follower_values import Rules
from sgevents_core.site.questions import Newest

BEGINNING = datetime.fromtimestamp(EPOCH, timezone.utc)


def start(site: SimulatedSite, where: Start, **rules: float) -> SimulatedFeed:
    """A feed at its first start."""
    return SimulatedFeed(site, Rules(**{"start": where, **rules}))  # type: ignore[arg-type]  # keys of one table


def aged(rows: int, apart: float = 60.0) -> SimulatedSite:
    """A site with rows 1, 2, 3 ... created so many seconds apart."""
    site = SimulatedSite()
    for _ in range(rows):
        site.transaction(1)
        site.now += apart
    return site


def test_now_takes_nothing_that_was_there() -> None:
    """A start "now" hands over what shows after it, and only that."""
    site = aged(10)
    feed = start(site, "now")
    feed.run(5)
    assert feed.journal.ids == []
    site.transaction(2)
    feed.run(10)
    assert feed.journal.ids == [11, 12]
    assert feed.journal.late_ids == []


def test_now_waits_for_ids_that_are_under_way() -> None:
    """Ids missing in the minutes below the start are the first gaps; older ones are not."""
    site = SimulatedSite()
    site.rows(1, 3)
    site.now += 3600
    site.rows(4, 6, 9)
    feed = start(site, "now")
    feed.run(5)
    assert [tuple(span) for span, _ in feed.follower.known.hot] == [(5, 5), (7, 8)]
    site.rows(8, 2)
    site.transaction(1)
    feed.run(30)
    assert sorted(feed.journal.ids) == [8, 10]
    feed.run(400)
    assert not feed.follower.known.hot


@pytest.mark.parametrize("size", [2, 7, 500])
def test_now_on_a_busy_site(size: int) -> None:
    """More young rows than a page are read before the start, and no more than needed."""
    site = SimulatedSite()
    for _ in range(100):
        site.now += 10
        site.transaction(1)
    (late,) = site.transaction(1, delay=40)
    for _ in range(12):
        site.now += 2
        site.transaction(1)
    feed = start(site, "now", page_size=size)
    feed.run(60)
    assert feed.journal.ids == [late]
    reads = [call for call in feed.calls if isinstance(call, Newest)]
    assert len(reads) <= 20


def test_an_id() -> None:
    """A start by id hands over that event first."""
    feed = start(aged(10), 4)
    feed.run(5)
    assert feed.journal.ids == [4, 5, 6, 7, 8, 9, 10]


def test_an_id_that_is_missing() -> None:
    """Where the id's own row is not visible, it is the first gap."""
    site = SimulatedSite()
    site.rows(1, 2, 5, 6)
    feed = start(site, 4)
    feed.run(5)
    assert feed.journal.ids == [5, 6]
    site.rows(3, 4)
    feed.run(30)
    assert feed.journal.ids == [5, 6, 4]


def test_an_id_below_old_gaps() -> None:
    """On the first page too, ids that are missing for days are not waited for."""
    site = SimulatedSite()
    for _ in range(5):
        site.transaction(2)
        site.transaction(1, None)
    site.transaction(1)
    site.now += 3 * 86_400
    site.transaction(9)
    feed = start(site, 1)
    feed.run(5)
    assert len(feed.journal.ids) == 20
    assert not feed.follower.known.hot
    assert len(feed.notices) == 5


@pytest.mark.parametrize(
    ("minutes", "first"), [(-5.0, 1), (0.0, 1), (2.0, 3), (2.5, 4), (9.0, 10), (9.5, 11)]
)
def test_a_time(minutes: float, first: int) -> None:
    """A start by time hands over the events created at it and later, also when none is yet."""
    site = aged(10)
    feed = start(site, BEGINNING + timedelta(minutes=minutes))
    feed.run(5)
    site.transaction(2)
    feed.run(10)
    assert feed.journal.ids == list(range(first, 13))


@pytest.mark.parametrize("where", [BEGINNING + timedelta(minutes=30), Ago(60.0)])
def test_a_time_with_ids_under_way(where: Start) -> None:
    """The ids missing just below the first event since that time may be younger than it."""
    site = SimulatedSite()
    site.rows(1, 2, 4)
    site.now += 1800
    site.transaction(2, delay=20)
    site.transaction(1)
    feed = start(site, where)
    feed.run(60)
    assert feed.journal.ids == [7, 5, 6]


def test_an_event_between_two_questions_of_the_start() -> None:
    """A row that shows while the start is still being found is not left out."""
    for turns in range(6):
        site = aged(3)
        feed = start(site, BEGINNING + timedelta(minutes=3))
        for _ in range(turns):
            feed.turn(site.now + 1)
        site.transaction(1)
        feed.run(10)
        assert feed.journal.ids == [4]


def test_a_duration_ago_by_the_sites_clock() -> None:
    """With the site's clock known, a duration counts from it; the host's decides nothing."""
    site = aged(10)
    site.now += 300
    site.tells_date = True
    feed = start(site, Ago(450.0))
    feed.run(5)
    assert feed.journal.ids == [9, 10]


def test_a_duration_ago_without_the_sites_clock() -> None:
    """Else it counts from the newest event."""
    site = aged(10)
    site.now += 300
    feed = start(site, Ago(150.0))
    feed.run(5)
    assert feed.journal.ids == [8, 9, 10]


def test_a_duration_ago_in_which_nothing_happened() -> None:
    """When the last event is older than that, the feed begins behind it."""
    site = aged(10)
    site.now += 3600
    site.tells_date = True
    feed = start(site, Ago(60.0))
    feed.run(5)
    site.transaction(1)
    feed.run(10)
    assert feed.journal.ids == [11]


@pytest.mark.parametrize("date", [False, True])
@pytest.mark.parametrize("where", ["now", 1, BEGINNING, Ago(3600.0)])
def test_an_empty_log(where: Start, date: bool) -> None:
    """On a new site the first event is handed over, and a gap below it is waited for."""
    site = SimulatedSite(next_id=3, tells_date=date)
    feed = start(site, where)
    feed.run(20)
    assert feed.journal.ids == []
    site.transaction(1)
    feed.run(20)
    assert feed.journal.ids == [3]
    site.rows(1)
    feed.run(60)
    assert feed.journal.ids == [3, 1]
    assert feed.notices == []


@pytest.mark.parametrize("where", ["now", 4, BEGINNING + timedelta(minutes=2), Ago(90.0)])
def test_no_state_before_the_first_answer(where: Start) -> None:
    """Calls that fail at the first start leave nothing behind."""
    feed = start(aged(10), where)
    feed.failing = 1.0
    feed.run(30)
    assert feed.calls
    assert feed.follower.state is None
    assert feed.follower.take_changes() is None
    assert feed.journal.load() is None


@pytest.mark.parametrize(
    ("where", "frontier"),
    [("now", 10), (4, 3), (BEGINNING + timedelta(minutes=2), 2), (Ago(90.0), 8)],
)
def test_finding_the_start_takes_no_rows(where: Start, frontier: int) -> None:
    """The state of the beginning is there before any row is taken, so it can be kept alone."""
    site = aged(10)
    follower = Follower(Rules(start=where))
    while follower.state is None:
        call = follower.next_call(0.0)
        assert not isinstance(call, float)
        assert follower.take_answer(call, site.answer(call), 0.0).rows == []
    change = follower.take_changes()
    assert change is not None
    assert change.state.frontier == frontier


def test_the_start_is_found_once() -> None:
    """A later start goes on where the last one ended, whatever `start` says."""
    site = aged(10)
    feed = start(site, 4)
    feed.run(5)
    feed.rules = Rules(start="now")
    feed.site.transaction(1)
    feed.restart(down=10)
    feed.run(5)
    assert feed.journal.ids == [4, 5, 6, 7, 8, 9, 10, 11]
    assert isinstance(feed.follower, Follower)


def test_a_wrong_time_on_the_newest_row_does_not_widen_or_narrow_the_start() -> None:
    """One row dated far ahead or back does not decide which ids are young."""
    for clock in (0, EPOCH * 2):
        site = SimulatedSite()
        site.rows(*range(1, 8), 9, 10, 11)
        site.transaction(1, clock=clock)
        feed = start(site, "now")
        feed.run(5)
        site.rows(8)
        feed.run(30)
        assert feed.journal.ids == [8]


@pytest.mark.parametrize("tells_date", [False, True])
@pytest.mark.parametrize("where", [12, 10_201, 2**63, 10**30])
def test_an_id_ahead_of_the_site_is_refused(where: int, tells_date: bool) -> None:
    """A start that the site has not come to is a slip: it says what the site's newest is."""
    site = aged(10)
    site.tells_date = tells_date
    with pytest.raises(StartAheadError, match=f"{where} is ahead of the site.* event is 10 of 20"):
        start(site, where).run(5)
    feed = start(site, 11)
    site.transaction(1)
    feed.run(5)
    assert feed.journal.ids == [11]


def test_a_time_ahead_of_the_site_is_refused() -> None:
    """The site's clock decides; clocks that differ by seconds are no slip."""
    site = aged(10)
    site.tells_date = True
    now = datetime.fromtimestamp(site.clock, timezone.utc)
    with pytest.raises(StartAheadError, match="event is 10 of 20"):
        start(site, now + timedelta(days=1)).run(5)
    feed = start(site, now + timedelta(seconds=30))
    feed.run(5)
    site.transaction(1)
    feed.run(5)
    assert feed.journal.ids == [11]


def test_a_site_that_shows_no_event_has_no_id_to_begin_at() -> None:
    """It may be new, or hide all from the script."""
    with pytest.raises(StartAheadError, match="newest event is none at all"):
        start(SimulatedSite(), 500).run(5)


@pytest.mark.parametrize("where", [datetime(1, 1, 1, tzinfo=timezone.utc), Ago(10.0**11), Ago(0.0)])
def test_very_early_times_begin_at_the_first_row(where: Start) -> None:
    """Before there were sites there were no events; no time is too early."""
    feed = start(aged(3), where)
    feed.run(5)
    assert feed.journal.ids == ([1, 2, 3] if where != Ago(0.0) else [3])
