"""Random schedules of a site and its feed, and the invariants after each of them."""

from __future__ import annotations

import copy
import random
from bisect import bisect_left
from collections.abc import Collection
from dataclasses import replace

from simulated_feed import SimulatedFeed
from simulated_site import SimulatedSite

from sgevents_core.site.follower_values import Rules
from sgevents_core.site.questions import ASIDE


def transaction(site: SimulatedSite, rng: random.Random, most: int = 30) -> None:
    """One transaction of a busy site: most commit at once, some late, some never.

    Args:
        site: The site.
        rng: Decides.
        most: Rows that one transaction may show at most.
    """
    kind = rng.random()
    rows = min(rng.choice([1, 1, 1, 2, 5, 30]), most)
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


MOST_SECONDS = 1e6
"""More than any schedule takes."""


class Schedule:
    """One random schedule, the same for the same seed.

    Args:
        seed: Decides everything.
        settle: The feed's `settle`, in seconds.
    """

    def __init__(self, seed: int, *, settle: float = 0.0) -> None:
        self._rng = rng = random.Random(seed)
        rules = Rules(
            rng.choice([2, 7, 50]), idle_interval=60, backlog_timeout=60, settle=settle, start=1
        )
        trouble = rng.random() < 0.5
        self.feed = SimulatedFeed(
            SimulatedSite(tells_date=seed % 2 == 1),
            rules,
            seed,
            failing=0.1 if trouble else 0.0,
            failing_aside=rng.choice([0.1, 0.6]) if trouble else 0.0,
            crashing=0.02 if trouble else 0.0,
        )
        self._steps = rng.choice([40, 150])
        self._hidden: list[int] = []
        self._limits = random.Random(-1 - seed)

    def run(self, *, hiding: bool = False) -> SimulatedFeed:
        """Let everything happen, then let it come to rest, and return the feed."""
        for _ in range(self._steps):
            self._step()
            if hiding:
                self._hide_and_show()
        self._come_to_rest()
        return self.feed

    def run_limited(self) -> SimulatedFeed:
        """Let a site refuse large queries and fail on some rows, until it is well at the end."""
        site, rng = self.feed.site, self._limits
        site.most_named = rng.choice([None, 50, 8])
        site.longest_page = rng.choice([None, 20, 3])
        site.most_counted = rng.choice([None, 1500])
        for _ in range(self._steps):
            if rng.random() < 0.1:
                site.unreadable.add(site.next_id + rng.randrange(3))
            if rng.random() < 0.2:
                site.undated.add(site.next_id + rng.randrange(3))
            self._step()
            if rng.random() < 0.1:
                site.undated.clear()
        self.feed.calm()
        site.transaction(1)
        self.feed.run(1200)
        newest = max(set(site.visible) - site.unreadable)
        assert newest in self.feed.journal.ids, "pages are stuck at a row that cannot be read"
        site.unreadable.clear()
        self._come_to_rest()
        return self.feed

    def run_far_behind(self) -> SimulatedFeed:
        """Let the feed fall far behind again and again, and catch up; return it."""
        feed, rng = self.feed, self._limits
        feed.rules = replace(feed.rules, page_size=rng.choice([5, 12]), connections=4)
        feed.restart()
        for _ in range(self._steps // 10):
            self._fall_behind(rng.choice([3, 40]))
            feed.run(rng.choice([1, 20]))
        self._come_to_rest()
        return feed

    def run_far_behind_another(self) -> SimulatedFeed:
        """Let a backup be restored while the feed is far behind, and taken away again."""
        feed = self.feed
        feed.rules = replace(feed.rules, page_size=12, connections=4)
        feed.restart()
        for _ in range(4):
            self._fall_behind(40)
            while not feed.follower.ranges_ahead and feed.site.now < MOST_SECONDS:
                feed.turn(MOST_SECONDS)
            real, known = feed.site, sorted(feed.site.visible.keys() & set(feed.journal.ids))
            restored = copy.deepcopy(real)
            restored.rewind(self._limits.choice(known[-20:]) - 1)
            restored.advance(real.now + 100)
            restored.transaction(max(real.visible))
            feed.follow_other(restored)
            feed.run(2)
            real.advance(restored.now)
            feed.follow_other(real)
        self._come_to_rest()
        return feed

    def _fall_behind(self, transactions: int) -> None:
        site, rng = self.feed.site, self._limits
        for _ in range(transactions):
            transaction(site, rng)
            site.advance(site.now + rng.expovariate(1 / 3))

    def run_back_and_forth(self) -> SimulatedFeed:
        """Let a backup be restored in an outage, and taken away in another; return the feed."""
        for _ in range(self._steps // 2):
            self._step()
        feed, real = self.feed, self.feed.site
        self._outage()
        known = sorted(real.visible.keys() & set(feed.journal.ids))
        if known:
            restored = copy.deepcopy(real)
            restored.rewind(self._rng.choice(known) - 1)
            restored.advance(real.now + 100)
            restored.transaction(1)
            feed.follow_other(restored)
            for _ in range(self._rng.choice([1, 5, 40])):
                self._step()
            self._outage()
            real.advance(restored.now)
            feed.follow_other(real)
        for _ in range(self._steps // 2):
            self._step()
        self._come_to_rest()
        return feed

    def _outage(self) -> None:
        failing, self.feed.failing = self.feed.failing, 1.0
        self.feed.run(100)
        self.feed.failing = failing

    def _step(self) -> None:
        transaction(self.feed.site, self._rng)
        self.feed.run(self._rng.expovariate(1 / 3))

    def _hide_and_show(self) -> None:
        site, rng = self.feed.site, self._rng
        if rng.random() < 0.1 and site.visible:
            id_ = rng.choice([max(site.visible), rng.choice(sorted(site.visible))])
            site.hide(id_)
            self._hidden.append(id_)
        if self._hidden and rng.random() < 0.1:
            site.show(self._hidden.pop())

    def _come_to_rest(self) -> None:
        for id_ in self._hidden:
            self.feed.site.show(id_)
        self.feed.site.commit_all()
        self.feed.calm()
        self.feed.run(7500)


def check_pace(feed: SimulatedFeed) -> None:
    """Check that looks and audits are few, and that each missing id has had its last look.

    Pages of late rows are not counted, of which there are many where pages are as short as two.
    """
    assert not feed.follower.known.hot
    if feed.rules.page_size == 50 and not feed.crashes:
        times = [at for at, call in feed.asked_at if isinstance(call, ASIDE)]
        busy = [bisect_left(times, at + 60) - place for place, at in enumerate(times)]
        assert max(busy) <= 60


def check_ranges(feed: SimulatedFeed) -> None:
    """Check that no row is late that was visible when its neighbours were requested."""
    in_order = sorted(feed.asked_for)
    for id_ in feed.journal.late_ids:
        place = bisect_left(in_order, id_)
        asked = [feed.asked_for[other] for other in in_order[max(place - 1, 0) : place + 1]]
        assert feed.site.shown_at[id_] >= min(asked)


def check(feed: SimulatedFeed, dropped: Collection[int] = ()) -> None:
    """Check that each visible row was appended once, in order or marked late, by looks if due.

    Args:
        feed: The feed.
        dropped: The ids of rows that a person has dropped, which must not be appended.
    """
    ids = feed.journal.ids
    assert sorted(ids) == sorted(feed.site.visible.keys() - dropped)
    highest = 0
    for late_row in feed.journal.rows:
        row = late_row.row
        assert bool(late_row.late) == (row.id < highest)
        assert row.at == feed.site.visible[row.id] or not row.dated
        highest = max(highest, row.id)
    assert feed.oracle.missed_by_looks == []
