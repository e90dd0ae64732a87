"""Following a log with holes: rows and times in, decisions out. No I/O, no clock, no database.

The follower says what to ask the site next and takes the answers. What it does with them must be
committed (rows and change together) before the next answer is taken; if that fails, it is made
anew from what was committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from sgevents_core.journal.base import FeedChange, FeedRecord, FeedState, LateRow, Row
from sgevents_core.site import ages
from sgevents_core.site.anchoring import Anchoring, anchor
from sgevents_core.site.auditing import Auditor
from sgevents_core.site.backlog import FIRST_LOOK, Backlog
from sgevents_core.site.calls import (
    ASIDE,
    Answer,
    Call,
    Count,
    Fetch,
    Ids,
    Look,
    Newest,
    Page,
    Recent,
    Since,
)
from sgevents_core.site.known import Hole, Known
from sgevents_core.site.ranges import Span
from sgevents_core.site.rules import Notice, Rules, Taken
from sgevents_core.site.settling import Settling
from sgevents_core.site.starting import Beginning, FirstStart

__all__ = ["Follower", "Notice", "Rules", "Taken"]

PAGES_BEFORE_OTHERS: Final = 4
"""Full pages read in a row before a due look or audit gets its turn."""
LONGEST_OBSERVED: Final = 60.0
"""Most seconds that count as observed between two answers: a sleeping machine observed nothing."""
SHORTEST_WAIT: Final = 0.001
IDLE_FACTOR: Final = 1.5
"""How much longer the time to the next page gets with each one that brought nothing."""
LONGEST_PUT_OFF: Final = 60.0
FAILED_COUNTS: Final = 4
"""Counts that fail in a row before ids are compared instead."""


class Follower:
    """Decides what to ask the site next, and what its answers mean.

    Args:
        rules: Times and sizes to go by.
        record: The state as last committed, None at a first start.
    """

    def __init__(self, rules: Rules, record: FeedRecord | None = None) -> None:
        self.rules = rules
        self.known = Known(record)
        self.state = record.state if record else None
        self._start = FirstStart(rules)
        self._anchoring = Anchoring(self.known)
        self._backlog = Backlog(rules, self.known)
        self._settling = Settling(rules.settle)
        self._auditor = Auditor(rules, self.known, restarted=record is not None)
        self._date: int | None = None
        self._fresh: Sequence[Row] = ()
        self._answered_at: float | None = None
        self._poll_at = 0.0
        self._interval = rules.poll_interval
        self._pages = 0
        self._others_failed = 0
        self._others_after = 0.0

    # What to ask next

    def next(self, now: float) -> Call | float:
        """Return what to ask the site now, or the seconds to wait.

        Args:
            now: The host's monotonic clock, in seconds.
        """
        state = self.state
        if state is None:
            return self._start.next()
        search = self._anchoring.search(state)
        if search is not None:
            return search
        other, wait = self._other_call(state, now)
        if now >= self._poll_at and (other is None or self._pages < PAGES_BEFORE_OTHERS):
            return self._page(state)
        if other is not None:
            self._pages = 0
            return other
        return float(max(min(self._poll_at - now, wait), SHORTEST_WAIT))

    def _page(self, state: FeedState) -> Page:
        above = state.frontier if state.anchor_id is None else state.anchor_id - 1
        return Page(above, self.rules.page_size, state.anchor_id)

    def _other_call(self, state: FeedState, now: float) -> tuple[Call | None, float]:
        """Return a look or audit that is due, else the seconds until one is."""
        if state.rewound or now < self._others_after:
            return None, max(self._others_after - now, self.rules.idle_interval)
        look = self._backlog.look(now, state.observed)
        if look is not None:
            return look, 0.0
        observed = state.observed + self._since_answer(now)
        audit, wait = self._auditor.next(state, observed, self._date)
        if self._answered_at is None:  # no observed time passes before the next answer
            wait = max(wait, self.rules.poll_interval)
        return audit, min(wait, self._backlog.wait(now))

    # What the answers mean

    def answered(self, call: Call, answer: Answer, now: float) -> Taken:
        """Take the site's answer to a call and return what it led to.

        Args:
            call: What `next` said to ask.
            answer: What the site said.
            now: The host's monotonic clock when the answer was there, in seconds.
        """
        self._date = answer.date
        taken = Taken()
        if self.state is None:
            beginning = self._start.answered(call, answer)
            if beginning is not None:
                self.state = self._begin(beginning, now)
            self._answered_at = now
            return taken
        self._observe(self.state, now)
        self._take(self.state, call, answer, now, taken)
        if isinstance(call, ASIDE):
            self._others_failed = 0
        if self.state.rewound:
            self._auditor.drop()
            self._poll_at = now + self.rules.idle_interval
        return taken

    def _take(self, state: FeedState, call: Call, answer: Answer, now: float, taken: Taken) -> None:
        match call:
            case Page():
                self._take_page(state, call, answer.rows, now, taken)
            case Look():
                self._take_late(state, answer.rows, taken)
                taken.notices += self._backlog.looked(call, answer.rows, now)
            case Count() | Ids() | Fetch():
                self._auditor.take(state, call, answer, taken)
            case Recent():
                self._anchoring.take_recent(state, answer.rows, taken)
            case Newest():
                self._anchoring.take_highest(state, answer.rows, taken)
                self._poll_at = now + self.rules.poll_interval
            case Since():
                pass  # only a start asks for it

    def failed(self, call: Call, now: float) -> None:
        """Note that a call failed: nothing is concluded, and no time was observed.

        Looks and audits that fail are put off, each time for longer, while pages go on: a site that
        cannot answer them must not hold up what it can. Counts that keep failing give way to ids.

        Args:
            call: What was asked.
            now: The host's monotonic clock, in seconds.
        """
        self._answered_at = None
        self._backlog.failed()
        if isinstance(call, ASIDE):
            self._others_failed += 1
            wait = 2.0 ** min(self._others_failed, 10)
            self._others_after = now + min(wait, LONGEST_PUT_OFF)
        if isinstance(call, Count) and self._others_failed >= FAILED_COUNTS:
            self.refused()

    def refused(self) -> None:
        """Note that the site refuses to count for this script: audits compare ids from now on."""
        self._auditor.refused()

    def change(self) -> FeedChange | None:
        """Return what is to be committed with the rows, None before the first answer."""
        return None if self.state is None else self.known.change(self.state)

    def _begin(self, beginning: Beginning, now: float) -> FeedState:
        """Make the state of a first start; its gaps are as good as just noticed."""
        rows = beginning.rows
        state = FeedState(floor=beginning.floor, frontier=beginning.floor - 1)
        self._auditor.begin(state)
        if rows:
            ages.remember(state, rows, self._date, self.rules.audit_horizon)
            for below, above in pairwise(rows):
                self._open_gap(state, below.id, above, now)
            state.frontier = rows[-1].id
            anchor(state, rows[-1])
        return state

    def _observe(self, state: FeedState, now: float) -> None:
        state.observed += self._since_answer(now)
        self._answered_at = now

    def _since_answer(self, now: float) -> float:
        """Return the seconds that will count as observed if the site answers now."""
        if self._answered_at is None:
            return 0.0
        return min(max(now - self._answered_at, 0.0), LONGEST_OBSERVED)

    def _take_late(self, state: FeedState, rows: Sequence[Row], taken: Taken) -> None:
        late = self.known.take(rows)
        ages.recall(state, late)
        taken.rows += [LateRow(row, late=True) for row in late]

    # Pages

    def _take_page(
        self, state: FeedState, call: Page, rows: tuple[Row, ...], now: float, taken: Taken
    ) -> None:
        if not self._anchoring.holds(state, call, rows, taken):
            return
        below = [row for row in rows if row.id <= state.frontier]
        fresh = list(rows[len(below) :])
        self._take_late(state, below, taken)
        if below:
            anchor(state, below[-1])
        full = len(rows) >= call.limit
        newest = fresh[-1].at if fresh else None
        held = self._settling.hold(state.frontier, fresh, now, self._date if full else newest)
        if held is not None:
            del fresh[held.passing :]
        self._take_fresh(state, fresh, now, taken)
        clock = ages.clock(state, self._date)
        self._backlog.age(clock, state.observed, catching_up=full)
        self._schedule(now, full and held is None, news=bool(fresh) or held is not None)
        if held is not None:
            self._poll_at = min(self._poll_at, held.until)

    def _take_fresh(self, state: FeedState, rows: list[Row], now: float, taken: Taken) -> None:
        """Take rows above the frontier; the ids missing between them are gaps."""
        self._fresh = rows
        for row in rows:
            self._open_gap(state, state.frontier, row, now + FIRST_LOOK)
            state.frontier = row.id
            anchor(state, row)
            taken.rows.append(LateRow(row, late=False))
        ages.remember(state, rows, self._date, self.rules.audit_horizon)

    def _open_gap(self, state: FeedState, below: int, above: Row, look_at: float) -> None:
        if above.id > below + 1:
            at = max(above.at, ages.clock(state, self._date, self._fresh))
            at = at if self._date is None else min(at, self._date)
            self._backlog.open(Span(below + 1, above.id - 1), Hole(at, state.observed), look_at)

    def _schedule(self, now: float, full: bool, *, news: bool) -> None:
        """Set when the next page is read: at once behind a full one, later the less there is."""
        if full:
            self._pages += 1
            self._poll_at = now
            return
        self._pages = 0
        longer = min(self._interval * IDLE_FACTOR, self.rules.idle_interval)
        self._interval = self.rules.poll_interval if news else longer
        self._poll_at = now + self._interval
