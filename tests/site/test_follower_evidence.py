"""Deadlines by evidence: failures, downtime and wrong clocks prove nothing."""

from __future__ import annotations

import pytest
from simulated_feed import SimulatedFeed, follow
from simulated_site import EPOCH, SimulatedSite

from sgevents_core.site.follower_values import Rules
from sgevents_core.site.notices import BacklogTimedOut, LateRowsFound, RowsVanished
from sgevents_core.site.questions import Count, Fetch, Look, Page
from sgevents_core.site.ranges import Span

MINUTE = 60.0
HOUR = 3600.0


def with_a_gap(**rules: float) -> SimulatedFeed:
    """A feed that has seen 1 and 3 and waits for 2."""
    feed = follow(SimulatedSite(), **rules)
    feed.site.rows(1, 3)
    feed.run(10)
    assert waited_for(feed) == [(2, 2)]
    return feed


def waited_for(feed: SimulatedFeed) -> list[tuple[int, int]]:
    """The ranges that are waited for."""
    return [(span.first, span.last) for span, _ in feed.follower.known.hot]


def test_a_site_that_fails_proves_nothing() -> None:
    """However long the site fails, the ids it has not shown are waited for as before."""
    feed = with_a_gap()
    state = feed.follower.state
    assert state is not None
    before = state.observed
    feed.failing = 1.0
    feed.run(HOUR)
    assert state.observed == before
    assert waited_for(feed) == [(2, 2)]
    feed.failing = 0.0
    feed.site.rows(2)
    feed.run(30)
    assert feed.journal.ids == [1, 3, 2]
    assert feed.told(LateRowsFound) == []


def test_one_answer_after_an_outage_is_no_proof() -> None:
    """A gap noticed before an outage has its whole time after it."""
    feed = with_a_gap()
    feed.failing = 1.0
    feed.run(HOUR)
    feed.failing = 0.0
    feed.run(250)
    assert waited_for(feed) == [(2, 2)]
    feed.run(60)
    assert waited_for(feed) == []


def test_rows_after_an_outage_do_not_make_a_gap_old() -> None:
    """That the site's clock has moved on meanwhile does not shorten the wait."""
    feed = with_a_gap()
    feed.failing = 1.0
    feed.run(HOUR)
    feed.failing = 0.0
    feed.site.transaction(1200)
    feed.run(200)
    assert waited_for(feed) == [(2, 2)]


@pytest.mark.parametrize("only", [Look, Page])
def test_a_failed_call_concludes_nothing(only: type) -> None:
    """A look that fails is not a look: without one that succeeds no id is given up."""
    feed = with_a_gap(idle_interval=60)
    until = feed.site.now + HOUR
    while feed.site.now < until:
        call = feed.follower.next_call(feed.monotonic)
        feed.failing = 1.0 if isinstance(call, only) else 0.0
        feed.turn(until)
    assert waited_for(feed) == [(2, 2)]
    assert feed.told(BacklogTimedOut) == []


def test_being_down_proves_nothing() -> None:
    """A gap has the time it had left when the feed comes back after hours."""
    feed = with_a_gap()
    feed.restart(down=10 * HOUR)
    feed.site.transaction(600)
    feed.run(200)
    assert waited_for(feed) == [(2, 2)]
    feed.run(120)
    assert waited_for(feed) == []


def test_given_up_only_after_a_look_that_is_later_than_the_deadline() -> None:
    """The last look before an id is given up was decided on after its deadline."""
    for seed in range(10):
        feed = SimulatedFeed(SimulatedSite(), Rules(start=1, backlog_timeout=30), seed, failing=0.3)
        feed.site.rows(1, 3)
        feed.run(5 * MINUTE)
        feed.calm()
        feed.run(5 * MINUTE)
        (notice,) = feed.told(BacklogTimedOut)
        assert notice.age >= 30
        looks = [call for call, _ in feed.answers if isinstance(call, Look)]
        assert looks[-1].observed >= 30
        assert all(call.observed < 40 for call in looks)


def test_a_sleeping_machine_observed_nothing() -> None:
    """A clock that jumps by hours between two answers is a minute at most."""
    feed = with_a_gap()
    feed.site.now += 10 * HOUR
    feed.run(60)
    assert waited_for(feed) == [(2, 2)]


def test_looks_that_fail_are_put_off_and_pages_go_on() -> None:
    """What the site cannot answer is asked ever more rarely and holds up nothing else."""
    feed = with_a_gap()
    before = len(feed.calls)
    until = feed.site.now + 10 * MINUTE
    while feed.site.now < until:
        call = feed.follower.next_call(feed.monotonic)
        feed.failing = 0.0 if isinstance(call, Page | float) else 1.0
        if feed.turns % 50 == 0:
            feed.site.transaction(1)
        feed.turn(until)
    assert len([call for call in feed.calls[before:] if isinstance(call, Look)]) <= 16
    assert feed.journal.ids[2:] == list(range(4, feed.site.next_id))


def test_looks_may_fail_for_days() -> None:
    """However often looks have failed, the time to the next one has a bound."""
    feed = with_a_gap()
    for _ in range(3000):
        feed.follower.take_failure(Look((Span(2, 2),), 500, 0.0), feed.monotonic)
    feed.site.rows(2)
    feed.run(90)
    assert feed.journal.ids == [1, 3, 2]


def test_counts_that_keep_failing_give_way_to_ids() -> None:
    """A site on which counting runs into its own time limit is audited by ids."""
    feed = follow(SimulatedSite())
    feed.site.rows(1, 2, 4)
    feed.run(400)
    feed.site.rows(3)
    until = feed.site.now + 10 * MINUTE
    while feed.site.now < until:
        feed.failing = 1.0 if isinstance(feed.follower.next_call(feed.monotonic), Count) else 0.0
        feed.turn(until)
    assert feed.journal.ids == [1, 2, 4, 3]


@pytest.mark.parametrize("pause", [0.0, 20.0])
@pytest.mark.parametrize("date", [False, True])
@pytest.mark.parametrize("clock", [0, EPOCH - 90_000, EPOCH + 90_000, 2 * EPOCH])
def test_a_wrong_creation_time_does_no_harm(clock: int, date: bool, pause: float) -> None:
    """A row dated back or ahead, alone or with others, does not end the wait for ids below it."""
    site = SimulatedSite(tells_date=date)
    feed = follow(site)
    for _ in range(20):
        site.transaction(1)
        feed.run(60)
    (late,) = site.transaction(1, delay=100)
    site.transaction(1, clock=clock)
    feed.run(pause)
    site.transaction(1)
    feed.run(200)
    assert feed.journal.ids == [*range(1, 21), 22, 23, late]
    assert not [call for call in feed.calls if isinstance(call, Fetch)]
    assert feed.notices == []


@pytest.mark.parametrize("clock", [0, 2 * EPOCH])
def test_a_wrong_creation_time_gives_nothing_up(clock: int) -> None:
    """A row dated far ahead or back does not close what is missing or move the floor."""
    site = SimulatedSite()
    feed = follow(site, audit_horizon=HOUR, idle_interval=60)
    for _ in range(20):
        site.transaction(1)
        feed.run(30)
    (late,) = site.transaction(1, delay=1.8 * HOUR)
    site.transaction(1)
    feed.run(HOUR - 15 * MINUTE)
    site.transaction(1, clock=clock)
    feed.run(30 * MINUTE)
    assert feed.journal.closed == []
    site.transaction(1)
    feed.run(HOUR)
    assert feed.journal.ids[-1] == late


def test_a_row_with_a_wrong_time_is_audited_like_any_other() -> None:
    """A row that vanishes right after one with a wrong time is noticed by the next audit."""
    for clock in (0, 2 * EPOCH):
        feed = follow(SimulatedSite())
        for _ in range(12):
            feed.site.transaction(1)
            feed.run(20)
        feed.site.transaction(1, clock=clock)
        feed.run(20)
        feed.site.hide(10)
        feed.run(90)
        assert [n.fields for n in feed.told(RowsVanished)] == [{"event_ids": [10]}]


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"start": 8},
        {"start": 8, "backlog_timeout": 0.5},
        {"start": 8, "idle_interval": 300},
        {"backlog_timeout": 0.01, "audit_horizon": 0.01, "idle_interval": 300},
        {"poll_interval": 0.01, "idle_interval": 4.0, "settle": 2.0},
        {"idle_interval": 3600, "backlog_timeout": 7200},
    ],
)
def test_an_idle_feed_is_idle(rules: dict[str, float]) -> None:
    """While nothing happens the feed waits: some turns a minute, never a busy loop."""
    site = SimulatedSite()
    site.rows(1, 2, 3, 7)
    feed = follow(site, **rules)
    feed.run(HOUR)
    before = feed.turns, len(feed.calls)
    feed.run(HOUR)
    every = min(rules.get("idle_interval", 5.0), rules.get("backlog_timeout", 60.0), 60.0)
    calls = HOUR / min(max(every, 1.0), 5.0) + HOUR / max(min(every, 60), 1) + 70
    assert len(feed.calls) - before[1] <= calls
    assert feed.turns - before[0] <= 2 * calls + 20


def test_a_waiting_feed_is_idle() -> None:
    """With a gap to look for, and with a site that fails, turns are counted in hundreds an hour."""
    feed = with_a_gap(backlog_timeout=HOUR)
    before = feed.turns
    feed.run(HOUR / 2)
    assert feed.turns - before < 1500
    feed.failing = 1.0
    before = feed.turns
    feed.run(HOUR)
    assert feed.turns - before < 3 * HOUR
