"""Following a log with holes: rows and times in, decisions out. No I/O, no clock, no database.

The follower says what to ask the site next and handles the answers. Its decisions must be committed
(rows and change together) before the next answer is given to it; if that fails, it is rebuilt from
what was committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, takewhile
from typing import Final

from sgevents_core.site import ages
from sgevents_core.site.anchoring import Anchoring, anchor
from sgevents_core.site.auditing import Auditor
from sgevents_core.site.backlog import FIRST_LOOK, Backlog
from sgevents_core.site.first_start import Beginning, FirstStart
from sgevents_core.site.follower_values import Rules, Taken
from sgevents_core.site.known import Hole, Known
from sgevents_core.site.odd_rows import Aside
from sgevents_core.site.paging import Paging
from sgevents_core.site.questions import (
    ASIDE,
    After,
    Answer,
    Call,
    Count,
    Fetch,
    Ids,
    Look,
    Newest,
    Page,
    PageRange,
    Recent,
    Since,
    reach_of,
)
from sgevents_core.site.ranges import Span
from sgevents_core.site.read_ahead import ReadAhead
from sgevents_core.site.settling import Settling
from sgevents_core.site.sizes import Budget, Pause
from sgevents_core.state.entries import LateRow, Row
from sgevents_core.state.feed_values import FeedChange, FeedRecord, FeedState

__all__ = ["Follower", "Rules", "Taken"]

PAGES_BEFORE_OTHERS: Final = 4
"""Full pages read in a row before a due look or audit gets its turn."""
LONGEST_OBSERVED: Final = 60.0
"""Most seconds that count as observed between two answers: a sleeping machine observes nothing."""
SHORTEST_WAIT: Final = 0.001


class Follower:
    """Decisions on what to ask the site next and what its answers mean.

    Args:
        rules: Times and sizes.
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
        self._aside = Aside(record.set_aside if record else ())
        self._date: int | None = None
        self._fresh: Sequence[Row] = ()
        self._answered_at: float | None = None
        self._paging = Paging(rules)
        self._read_ahead = ReadAhead(rules.connections)
        self._budget = Budget()
        self._look_pause = Pause()
        self._audit_pause = Pause()
        self._audit_first = False

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
        due = now >= self._paging.at
        # Pages come first, but after some full ones in a row a look or audit gets its turn.
        in_a_row = PAGES_BEFORE_OTHERS * max(len(self._read_ahead.ranges), 1)
        if due and self._paging.in_a_row < in_a_row:
            return self._next_page(state)
        self._paging.in_a_row = 0
        other, wait = self._other_call(state, now)
        if other is not None:
            return other
        if due:
            return self._next_page(state)
        return float(max(min(self._paging.at - now, wait), SHORTEST_WAIT))

    @property
    def ranges_ahead(self) -> tuple[PageRange, ...]:
        """The ranges to be taken next, in order, which may be asked for at the same time."""
        return self._read_ahead.ranges

    @property
    def connections(self) -> int:
        """How many ranges may be asked for at the same time."""
        return self._read_ahead.connections.now

    def _next_page(self, state: FeedState) -> Call:
        if self._paging.is_hindered or state.rewound:
            self._read_ahead.discard()
        ahead = self._read_ahead.call(state, self._paging.limit)
        return self._paging.call(state) if ahead is None else ahead

    @property
    def is_idle(self) -> bool:
        """Whether no audit is under way, which might have to wait for its turn."""
        return not self._auditor.is_under_way

    def _other_call(self, state: FeedState, now: float) -> tuple[Call | None, float]:
        """Return a look or audit that is due, or the seconds until one is."""
        if state.rewound:
            return None, self.rules.idle_interval
        pause = self._budget.wait(now)
        if pause > 0:
            return None, pause
        # After a look without result an audit comes first, so that neither blocks the other.
        kinds = (self._audit, self._look) if self._audit_first else (self._look, self._audit)
        waits = []
        for kind in kinds:
            call, wait = kind(state, now)
            if call is not None:
                return call, 0.0
            waits.append(wait)
        return None, min(waits)

    def _look(self, state: FeedState, now: float) -> tuple[Call | None, float]:
        pause = self._look_pause.wait(now)
        if pause > 0:
            return None, max(pause, self._backlog.wait(now))
        return self._backlog.look(now, state.observed), self._backlog.wait(now)

    def _audit(self, state: FeedState, now: float) -> tuple[Call | None, float]:
        pause = self._audit_pause.wait(now)
        if pause > 0:
            return None, pause
        observed = state.observed + self._since_answer(now)
        audit, wait = self._auditor.next(state, observed, self._date)
        if self._answered_at is None:  # no observed time passes before the next answer
            wait = max(wait, self.rules.poll_interval)
        return audit, wait

    # What the answers mean

    def answered(self, call: Call, answer: Answer, now: float) -> Taken:
        """Handle the site's answer to a call, and return what it led to.

        Args:
            call: What `next` said to ask.
            answer: What the site said.
            now: The host's monotonic clock when the answer arrived, in seconds.
        """
        self._date = answer.date
        clock = ages.clock(self.state, answer.date) if self.state else answer.date or 0
        answer = replace(answer, rows=ages.dated(answer.rows, clock))
        taken = Taken()
        self._aside.meet(answer.odd, taken)
        if self.state is None:
            beginning = self._start.answered(call, answer)
            if beginning is not None:
                self.state = self._begin(beginning, now)
                self._read_ahead.show_highest(answer.rows)
            self._answered_at = now
            return taken
        self._observe(self.state, now)
        self._take(self.state, call, answer, now, taken)
        self._aside.taken(taken.rows)
        full = isinstance(call, Look | Fetch) and reach_of(call, answer) is not None
        self._worked(call, taken, now, full=full)
        if self.state.rewound:
            self._auditor.drop()
            self._paging.at = now + self.rules.idle_interval
        return taken

    def _take(self, state: FeedState, call: Call, answer: Answer, now: float, taken: Taken) -> None:
        match call:
            case Page() | PageRange():
                self._take_page(state, call, answer, now, taken)
            case Look():
                self._take_late(state, answer.rows, taken)
                taken.notices += self._backlog.looked(call, answer, now)
                self._aside.asked(call.spans)
            case Count() | Ids() | Fetch():
                self._auditor.take(state, call, answer, taken)
            case Recent():
                self._anchoring.take_recent(state, call, answer.rows, taken)
                self._paging.at = max(self._paging.at, now + self.rules.poll_interval)
            case After():
                self._paging.probed(answer.rows, now)
            case Newest() if self._anchoring.is_lost:
                self._anchoring.take_highest(state, answer.rows, taken)
                self._paging.at = now + self.rules.poll_interval
            case Newest():
                self._read_ahead.show_highest(answer.rows)
            case Since():
                pass  # only a first start asks this

    def _worked(self, call: Call, taken: Taken, now: float, *, full: bool) -> None:
        """Note that the site answered a call: what failed before was not an outage."""
        if isinstance(call, ASIDE):
            self._budget.spend()
            is_look = isinstance(call, Look)
            (self._look_pause if is_look else self._audit_pause).over()
            self._audit_first = is_look and not taken.rows
            if taken.rows and full:
                self._budget.give_back()
        self._aside.meet(self._backlog.site_answers(now), taken)
        self._auditor.site_answers()

    def failed(self, call: Call, now: float, *, answers: bool = False) -> None:
        """Note that a call failed: nothing is concluded, and no time was observed.

        Looks and audits that fail are put off while pages continue: what the site cannot answer
        must not delay what it can. Anything that fails while the site answers something else is
        asked for in smaller pieces.

        Args:
            call: What was asked.
            now: The host's monotonic clock, in seconds.
            answers: Whether the site understood the call and refused it.
        """
        self._answered_at = None
        self._backlog.failed()
        if isinstance(call, ASIDE):
            self._budget.spend()
            self._paging.soon(now)  # does the site answer at all?
        else:
            self._read_ahead.failed()
        match call:
            case Look():
                self._backlog.look_failed(call)
                if len(call.spans) > 1:  # an id that fails alone has a pause of its own
                    self._look_pause.longer(now)
            case Count() | Ids() | Fetch():
                self._auditor.failed(call)
                self._audit_pause.longer(now)
            case PageRange():
                self._paging.at = now
            case Page() | After():
                self._paging.failed(call, now, answers=answers)
            case Recent() if answers:
                self._anchoring.failed(call)
            case _ if answers:
                self._start.failed(call)
        if answers:
            self._aside.noted(self._backlog.site_answers(now))
            self._auditor.site_answers()
        elif not isinstance(call, ASIDE):
            self._backlog.site_failed()
            self._auditor.site_failed()

    def refused(self) -> None:
        """Note that the site refuses to count for this script: audits compare ids from now on."""
        self._auditor.refused()

    def change(self) -> FeedChange | None:
        """Return what to commit with the rows, None before the first answer."""
        if self.state is None:
            return None
        return self._aside.change(self.known.change(self.state))

    def _begin(self, beginning: Beginning, now: float) -> FeedState:
        """Create the state of a first start, whose gaps count as just noticed."""
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
        self, state: FeedState, call: Page | PageRange, answer: Answer, now: float, taken: Taken
    ) -> None:
        rows = answer.rows
        if not self._anchoring.holds(state, call, rows, taken):
            self._read_ahead.discard()
            return
        below = list(takewhile(lambda row: row.id <= state.frontier, rows))
        fresh = list(rows[len(below) :])
        self._take_late(state, below, taken)
        if below and isinstance(call, Page):
            anchor(state, below[-1])
        full = reach_of(call, answer) is not None
        follows = full or isinstance(call, PageRange)
        newest = fresh[-1].at if fresh else None
        held = self._settling.hold(state.frontier, fresh, now, self._date if follows else newest)
        if held is not None:
            del fresh[held.passing :]
        self._take_fresh(state, fresh, now, taken)
        clock = ages.clock(state, self._date)
        self._backlog.age(clock, state.observed, catching_up=follows)
        waits = held is not None
        if isinstance(call, PageRange):
            self._read_ahead.took_range(call, fresh, answer.took, full=full or waits)
            self._paging.took_range(call, now)
        else:
            more = full and not waits
            self._read_ahead.read_page(fresh, state.frontier, answer.took, full=more)
            self._paging.answered(
                call, now, full=more, fresh=bool(fresh), news=bool(fresh) or waits
            )
        if held is not None:
            self._paging.at = held.until if follows else min(self._paging.at, held.until)

    def _take_fresh(self, state: FeedState, rows: list[Row], now: float, taken: Taken) -> None:
        """Take rows above the frontier; the ids missing between them are gaps."""
        self._fresh = rows
        if not rows:
            return
        frontier = state.frontier
        for row in rows:
            if row.id > frontier + 1:
                self._open_gap(state, frontier, row, now + FIRST_LOOK)
            frontier = row.id
        state.frontier = frontier
        anchor(state, rows[-1])
        taken.rows += [LateRow(row, late=False) for row in rows]
        ages.remember(state, rows, self._date, self.rules.audit_horizon)

    def _open_gap(self, state: FeedState, below: int, above: Row, look_at: float) -> None:
        if above.id > below + 1:
            # The latest time the ids were handed out; no row is younger than the site's date.
            at = max(above.at, ages.clock(state, self._date, self._fresh))
            at = at if self._date is None else min(at, self._date)
            self._backlog.open(Span(below + 1, above.id - 1), Hole(at, state.observed), look_at)
