"""Rows that vanish and come back, a log that goes backwards, a replica that lags."""

from __future__ import annotations

import copy

import pytest
from simulated_feed import SimulatedFeed, follow
from simulated_site import EPOCH, SimulatedSite

from sgevents_core.site.notices import LogResumed, LogRewound, RowsVanished
from sgevents_core.site.questions import Newest, Page, Recent

MINUTE = 60.0
HOUR = 3600.0


def followed(rows: int, **rules: float) -> SimulatedFeed:
    """A feed that has taken so many rows, a second apart."""
    site = SimulatedSite()
    feed = follow(site, **rules)
    for _ in range(rows):
        site.advance(site.now + 1)
        site.transaction(1)
    feed.run(6)
    assert feed.journal.ids == list(range(1, rows + 1))
    return feed


def gone(feed: SimulatedFeed) -> list[tuple[int, int]]:
    """The ids that are known not to be visible any more."""
    return [(span.first, span.last) for span, _ in feed.follower.known.gone]


@pytest.mark.parametrize("hidden", [[5], [4, 5], [1, 2, 3, 4, 5], [3]])
def test_hidden_rows_stop_nothing(hidden: list[int]) -> None:
    """The newest row, the last ones or all of them may vanish: what comes next is appended."""
    feed = followed(5)
    for id_ in hidden:
        feed.site.hide(id_)
    feed.site.transaction(2)
    feed.run(10)
    assert feed.journal.ids == [1, 2, 3, 4, 5, 6, 7]
    assert feed.journal.late_ids == []
    assert not feed.told(LogRewound)


@pytest.mark.parametrize("hidden", [[5], [4, 5], [3]])
def test_hidden_rows_without_anything_new(hidden: list[int]) -> None:
    """While nothing new comes, a row that vanished is told of once and costs few calls."""
    feed = followed(5)
    for id_ in hidden:
        feed.site.hide(id_)
    before = len(feed.calls)
    feed.run(10 * MINUTE)
    assert len(feed.calls) - before < 3 * MINUTE + 7 * MINUTE / 5 + 30
    assert [id_ for first, last in gone(feed) for id_ in range(first, last + 1)] == hidden
    assert [type(notice) for notice in feed.notices] == [RowsVanished]
    feed.site.transaction(1)
    feed.run(10)
    assert feed.journal.ids == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("hidden", [[5], [4, 5], [1, 2, 3, 4, 5], [3]])
def test_rows_shown_again_are_not_repeated(hidden: list[int]) -> None:
    """What was handled, vanished and shows again is known; the log is complete again."""
    feed = followed(5)
    for id_ in hidden:
        feed.site.hide(id_)
    feed.run(20)
    feed.site.transaction(1)
    feed.run(20 * MINUTE)
    for id_ in hidden:
        feed.site.show(id_)
    feed.run(20 * MINUTE)
    feed.site.transaction(1)
    feed.run(10)
    assert feed.journal.ids == [1, 2, 3, 4, 5, 6, 7]
    assert gone(feed) == []


def test_all_rows_hidden_from_an_idle_log_looks_like_a_rewind() -> None:
    """When nothing shows any more a person is told, and the feed goes on when rows show again."""
    feed = followed(3)
    for id_ in (1, 2, 3):
        feed.site.hide(id_)
    feed.run(10 * MINUTE)
    assert [type(n) for n in feed.notices] == [LogRewound]
    assert "the site's log is empty" in feed.notices[0].text
    for id_ in (1, 2, 3):
        feed.site.show(id_)
    feed.site.transaction(1)
    feed.run(10)
    assert feed.journal.ids == [1, 2, 3, 4]
    assert [type(n) for n in feed.notices] == [LogRewound, LogResumed]


def test_one_row_vanishes_while_one_comes_late() -> None:
    """Counts do not show it; once a day the ids themselves are compared, and the row is found."""
    site = SimulatedSite()
    feed = follow(site, idle_interval=60)
    site.rows(1, 2, 4, 5)
    feed.run(400)
    assert feed.follower.known.cold
    site.hide(4)
    site.rows(3)
    feed.run(20 * HOUR)
    assert feed.journal.ids == [1, 2, 4, 5]
    feed.run(5 * HOUR)
    assert feed.journal.ids == [1, 2, 4, 5, 3]
    assert gone(feed) == [(4, 4)]


def test_a_restored_backup_is_noticed() -> None:
    """The highest id lies below the last one taken: nothing is appended, people are told once."""
    feed = followed(300)
    feed.site.rewind(50)
    feed.run(HOUR)
    feed.restart(down=30)
    feed.run(HOUR)
    assert [type(n) for n in feed.notices] == [LogRewound]
    assert feed.notices[0].text.startswith(
        "The site's event log went backwards: the site's highest event is 50, the last one taken"
        " was 300. Nothing is appended until the log is back."
    )
    assert feed.journal.ids == list(range(1, 301))
    assert feed.follower.state is not None
    assert feed.follower.state.rewound


@pytest.mark.parametrize("back_to", [5, 250, 299])
@pytest.mark.parametrize("grown", [1, 10, 400])
def test_a_restored_backup_that_grows(back_to: int, grown: int) -> None:
    """Ids given out again have another creation time: nothing of theirs is appended."""
    feed = followed(300)
    feed.site.rewind(back_to)
    feed.site.now += 60
    feed.site.transaction(grown)
    feed.run(10 * MINUTE)
    feed.site.transaction(grown)
    feed.run(10 * MINUTE)
    assert feed.journal.ids == list(range(1, 301))
    assert len(feed.told(LogRewound)) == 1
    assert feed.told(LogResumed) == []


def test_ids_given_out_again_within_a_second() -> None:
    """A few known ids with their old times do not make it the old log again."""
    site = SimulatedSite()
    feed = follow(site)
    site.transaction(6)
    feed.run(10)
    site.rewind(0)
    feed.run(MINUTE)
    assert len(feed.told(LogRewound)) == 1
    site.transaction(2, clock=EPOCH)
    feed.run(10 * MINUTE)
    assert feed.told(LogResumed) == []
    assert feed.journal.ids == [1, 2, 3, 4, 5, 6]


def test_a_restored_backup_that_grows_beyond_what_is_known() -> None:
    """That its ids become higher again does not make it the log that was followed."""
    feed = followed(300)
    feed.site.rewind(5)
    feed.run(10 * MINUTE)
    feed.site.transaction(400, None)
    feed.site.transaction(10)
    feed.run(10 * MINUTE)
    assert feed.journal.ids == list(range(1, 301))
    assert [type(notice) for notice in feed.notices] == [LogRewound]


def test_a_late_row_that_is_another_one_now() -> None:
    """Late rows are remembered as well: one that has another creation time is noticed."""
    feed = followed(5)
    feed.site.rows(9)
    feed.run(20)
    feed.site.rows(7)
    feed.run(20)
    assert feed.journal.late_ids == [7]
    feed.site.rewind(6)
    feed.site.transaction(1)
    feed.run(MINUTE)
    feed.site.transaction(5)
    feed.run(MINUTE)
    assert feed.journal.ids == [1, 2, 3, 4, 5, 9, 7]
    assert "event 7 has another creation time" in feed.told(LogRewound)[0].text


def test_a_restored_backup_found_after_a_downtime() -> None:
    """It makes no difference whether the log went back while the feed was down."""
    feed = followed(300)
    feed.site.rewind(250)
    feed.site.transaction(200)
    feed.restart(down=HOUR)
    feed.run(10 * MINUTE)
    assert feed.journal.ids == list(range(1, 301))
    assert len(feed.told(LogRewound)) == 1


@pytest.mark.parametrize("back_to", [5, 250, 299])
def test_the_log_comes_back(back_to: int) -> None:
    """When the rows that were known show again, the feed goes on by itself."""
    feed = followed(300)
    real = feed.site
    feed.site = copy.deepcopy(real)
    feed.site.rewind(back_to)
    feed.site.now += 60
    feed.site.transaction(3)
    feed.run(10 * MINUTE)
    assert len(feed.told(LogRewound)) == 1
    real.now = feed.site.now
    feed.site = real
    real.transaction(2)
    feed.run(10 * MINUTE)
    assert feed.journal.ids == list(range(1, 303))
    assert feed.journal.late_ids == []
    assert len(feed.told(LogResumed)) == 1
    assert gone(feed) == []


@pytest.mark.parametrize("lag", [3.0, 40.0, 400.0])
def test_a_replica_that_lags(lag: float) -> None:
    """Answers from behind append nothing twice, and all is taken when it has caught up."""
    feed = followed(450)
    feed.site.lag = lag
    for _ in range(60):
        feed.site.transaction(1)
        feed.run(1)
    feed.site.lag = 0.0
    feed.run(2 * MINUTE)
    assert feed.journal.ids == list(range(1, 511))
    assert feed.journal.late_ids == []
    assert gone(feed) == []
    assert len(feed.told(LogRewound)) == len(feed.told(LogResumed)) <= 1


def test_answers_now_from_a_replica_now_from_the_site() -> None:
    """Switching back and forth between the two does no harm and tells nobody of a rewind."""
    feed = followed(50)
    for step in range(200):
        feed.site.lag = 8.0 if step % 3 else 0.0
        feed.site.transaction(1)
        feed.run(0.7)
    feed.site.lag = 0.0
    feed.run(30 * MINUTE)
    assert feed.journal.ids == list(range(1, 251))
    assert gone(feed) == []


def test_the_newest_row_is_back_when_it_is_searched_for() -> None:
    """A row missing from a page, shown when the newest is asked for, is no rewind."""
    feed = followed(300)
    real = feed.site
    behind = copy.deepcopy(real)
    behind.rewind(20)
    asked = len(feed.calls)
    while not isinstance(feed.follower.next_call(feed.monotonic), Page):
        feed.turn(real.now + 1)
    for kind in (Page, Recent):
        assert isinstance(feed.follower.next_call(feed.monotonic), kind)
        behind.now = real.now
        feed.site = behind
        feed.turn(behind.now + 1)
    real.now = behind.now
    feed.site = real
    feed.turn(real.now + 1)
    assert isinstance(feed.calls[-1], Newest)
    real.transaction(1)
    feed.run(10)
    assert feed.journal.ids == list(range(1, 302))
    assert feed.notices == []
    assert len(feed.calls) - asked < 20


def test_a_rewound_feed_asks_rarely() -> None:
    """While it waits for a person, the feed looks whether the log is back, and no more."""
    feed = followed(300, idle_interval=30)
    feed.site.rewind(10)
    feed.run(MINUTE)
    before = len(feed.calls)
    feed.run(HOUR)
    assert len(feed.calls) - before <= 3 * HOUR / 30 + 3
