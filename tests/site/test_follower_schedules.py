"""Random schedules of a site and its feed: nothing lost, nothing twice, order kept."""

from __future__ import annotations

import random

import pytest
from simulated_site import SimulatedFeed, SimulatedSite

from sgevents_core.site.gaps import Rules


def _traffic(site: SimulatedSite, rng: random.Random) -> None:
    """One transaction of a busy site: most commit at once, some late, some never."""
    kind = rng.random()
    rows = rng.choice([1, 1, 1, 2, 5, 30])
    if kind < 0.75:
        site.transaction(rows, 0.0)
    elif kind < 0.9:
        site.transaction(rows, rng.choice([0.3, 2, 8, 40]))
    elif kind < 0.93:
        site.transaction(rows, rng.choice([90, 300, 1200]))
    elif kind < 0.99:
        site.transaction(rows, None)
    else:
        site.transaction(rng.choice([1000, 100_000]), None)


def _follow(seed: int, *, hiding: bool = False, settle: float = 0.0) -> SimulatedFeed:
    rng = random.Random(seed)
    site = SimulatedSite()
    pages = rng.choice([2, 7, 50])
    rules = Rules(pages, idle_interval=60, backlog_timeout=60, settle=settle, start=1)
    faulty = rng.random() < 0.5
    feed = SimulatedFeed(
        site, rules, seed, failing=0.1 if faulty else 0.0, crashing=0.02 if faulty else 0.0
    )
    hidden: list[int] = []
    for _ in range(rng.choice([40, 150])):
        _traffic(site, rng)
        feed.run(rng.expovariate(1 / 3))
        if hiding and rng.random() < 0.1 and site.visible:
            id_ = rng.choice([max(site.visible), rng.choice(sorted(site.visible))])
            site.hide(id_)
            hidden.append(id_)
        if hidden and rng.random() < 0.1:
            site.show(hidden.pop())
    for id_ in hidden:
        site.show(id_)
    site.commit_all()
    feed.calm()
    feed.run(7500)
    return feed


def _check(feed: SimulatedFeed) -> None:
    ids = feed.journal.ids
    assert sorted(ids) == sorted(feed.site.visible)
    assert len(set(ids)) == len(ids)
    highest = 0
    for row, late in feed.journal.rows:
        assert late == (row.id < highest)
        highest = max(highest, row.id)
    assert feed.missed_by_looks == []


@pytest.mark.parametrize("seed", range(60))
def test_every_visible_row_is_appended_once(seed: int) -> None:
    """Whatever commits late or never, fails or crashes: each row once, late ones marked."""
    _check(_follow(seed))


@pytest.mark.parametrize("seed", range(100, 130))
def test_rows_hidden_and_shown_again_stop_nothing(seed: int) -> None:
    """A row that vanishes, the newest one too, and comes back is neither lost nor repeated."""
    _check(_follow(seed, hiding=True))


@pytest.mark.parametrize("seed", range(200, 220))
def test_settling_loses_and_repeats_nothing(seed: int) -> None:
    """With `settle` set newer rows wait a little, and the promise is the same."""
    _check(_follow(seed, settle=5.0))
