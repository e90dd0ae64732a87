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
from sgevents_core.site.odd_rows import SetAsideRows
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
        self._first_start = FirstStart(rules)
        self._anchoring = Anchoring(self.known)
        self._backlog = Backlog(rules, self.known)
        self._settling = Settling(rules.settle)
        self._auditor = Auditor(rules, self.known, restarted=record is not None)
        self._odd_rows = SetAsideRows(record.set_aside if record else ())
        self._site_date: int | None = None
        self._fresh_rows: Sequence[Row] = ()
        self._last_answer_at: float | None = None
        self._paging = Paging(rules)
        self._read_ahead = ReadAhead(rules.connections)
        self._call_budget = Budget()
        self._look_pause = Pause()
        self._audit_pause = Pause()
        self._audit_comes_first = False

    # What to ask next

    def next_call(self, now: float) -> Call | float:
        """Return what to ask the site now, or the seconds to wait.

        Args:
            now: The host's monotonic clock, in seconds.
        """
        state = self.state
        if state is None:
            return self._first_start.next_call()
        search_call = self._anchoring.next_search(state)
        if search_call is not None:
            return search_call
        is_due = now >= self._paging.next_at
        # Pages come first, but after some full ones in a row a look or audit gets its turn.
        most_in_a_row = PAGES_BEFORE_OTHERS * max(len(self._read_ahead.ranges), 1)
        if is_due and self._paging.full_in_a_row < most_in_a_row:
            return self._next_page(state)
        self._paging.full_in_a_row = 0
        other_call, seconds = self._other_call(state, now)
        if other_call is not None:
            return other_call
        if is_due:
            return self._next_page(state)
        return float(max(min(self._paging.next_at - now, seconds), SHORTEST_WAIT))

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
        call_ahead = self._read_ahead.next_call(state, self._paging.limit)
        return self._paging.next_call(state) if call_ahead is None else call_ahead

    @property
    def is_idle(self) -> bool:
        """Whether no audit is under way, which might have to wait for its turn."""
        return not self._auditor.is_under_way

    def _other_call(self, state: FeedState, now: float) -> tuple[Call | None, float]:
        """Return a look or audit that is due, or the seconds until one is."""
        if state.rewound:
            return None, self.rules.idle_interval
        budget_wait = self._call_budget.seconds_to_wait(now)
        if budget_wait > 0:
            return None, budget_wait
        # After a look without result an audit comes first, so that neither blocks the other.
        choices = (
            (self._next_audit, self._next_look)
            if self._audit_comes_first
            else (self._next_look, self._next_audit)
        )
        waits = []
        for choose in choices:
            call, seconds = choose(state, now)
            if call is not None:
                return call, 0.0
            waits.append(seconds)
        return None, min(waits)

    def _next_look(self, state: FeedState, now: float) -> tuple[Call | None, float]:
        pause = self._look_pause.seconds_left(now)
        if pause > 0:
            return None, max(pause, self._backlog.seconds_to_look(now))
        return self._backlog.next_look(now, state.observed), self._backlog.seconds_to_look(now)

    def _next_audit(self, state: FeedState, now: float) -> tuple[Call | None, float]:
        pause = self._audit_pause.seconds_left(now)
        if pause > 0:
            return None, pause
        observed = state.observed + self._seconds_since_answer(now)
        audit, wait = self._auditor.next_call(state, observed, self._site_date)
        if self._last_answer_at is None:  # no observed time passes before the next answer
            wait = max(wait, self.rules.poll_interval)
        return audit, wait

    # What the answers mean

    def take_answer(self, call: Call, answer: Answer, now: float) -> Taken:
        """Handle the site's answer to a call, and return what it led to.

        Args:
            call: What `next_call` said to ask.
            answer: What the site said.
            now: The host's monotonic clock when the answer arrived, in seconds.
        """
        self._site_date = answer.date
        site_time = ages.site_clock(self.state, answer.date) if self.state else answer.date or 0
        answer = replace(answer, rows=ages.with_times(answer.rows, site_time))
        result = Taken()
        self._odd_rows.report_odd(answer.odd, result)
        if self.state is None:
            beginning = self._first_start.take_answer(call, answer)
            if beginning is not None:
                self.state = self._first_state(beginning, now)
                self._read_ahead.show_highest(answer.rows)
            self._last_answer_at = now
            return result
        self._note_observed(self.state, now)
        self._dispatch_answer(self.state, call, answer, now, result)
        self._odd_rows.clear_rows(result.rows)
        is_full = isinstance(call, Look | Fetch) and reach_of(call, answer) is not None
        self._note_success(call, result, now, is_full=is_full)
        if self.state.rewound:
            self._auditor.drop_audit()
            self._paging.next_at = now + self.rules.idle_interval
        return result

    def _dispatch_answer(
        self, state: FeedState, call: Call, answer: Answer, now: float, result: Taken
    ) -> None:
        match call:
            case Page() | PageRange():
                self._take_page(state, call, answer, now, result)
            case Look():
                self._take_late_rows(state, answer.rows, result)
                result.notices += self._backlog.take_look(call, answer, now)
                self._odd_rows.clear_ids(call.spans)
            case Count() | Ids() | Fetch():
                self._auditor.take_answer(state, call, answer, result)
            case Recent():
                self._anchoring.take_recent(state, call, answer.rows, result)
                self._paging.next_at = max(self._paging.next_at, now + self.rules.poll_interval)
            case After():
                self._paging.take_probe(answer.rows, now)
            case Newest() if self._anchoring.is_lost:
                self._anchoring.take_highest(state, answer.rows, result)
                self._paging.next_at = now + self.rules.poll_interval
            case Newest():
                self._read_ahead.show_highest(answer.rows)
            case Since():
                pass  # only a first start asks this

    def _note_success(self, call: Call, result: Taken, now: float, *, is_full: bool) -> None:
        """Note that the site answered a call: what failed before was not an outage."""
        if isinstance(call, ASIDE):
            self._call_budget.spend_call()
            is_look = isinstance(call, Look)
            (self._look_pause if is_look else self._audit_pause).end()
            self._audit_comes_first = is_look and not result.rows
            if result.rows and is_full:
                self._call_budget.give_back_call()
        self._odd_rows.report_odd(self._backlog.site_answers(now), result)
        self._auditor.site_answers()

    def take_failure(self, call: Call, now: float, *, answers: bool = False) -> None:
        """Note that a call failed: nothing is concluded, and no time was observed.

        Looks and audits that fail are put off while pages continue: what the site cannot answer
        must not delay what it can. Anything that fails while the site answers something else is
        asked for in smaller pieces.

        Args:
            call: What was asked.
            now: The host's monotonic clock, in seconds.
            answers: Whether the site understood the call and refused it.
        """
        self._last_answer_at = None
        self._backlog.note_failed_call()
        if isinstance(call, ASIDE):
            self._call_budget.spend_call()
            self._paging.read_soon(now)  # does the site answer at all?
        else:
            self._read_ahead.failed()
        match call:
            case Look():
                self._backlog.look_failed(call)
                if len(call.spans) > 1:  # an id that fails alone has a pause of its own
                    self._look_pause.extend(now)
            case Count() | Ids() | Fetch():
                self._auditor.note_failed_call(call)
                self._audit_pause.extend(now)
            case PageRange():
                self._paging.next_at = now
            case Page() | After():
                self._paging.take_failure(call, now, answers=answers)
            case Recent() if answers:
                self._anchoring.take_failure(call)
            case _ if answers:
                self._first_start.take_failure(call)
        if answers:
            self._odd_rows.note_odd(self._backlog.site_answers(now))
            self._auditor.site_answers()
        elif not isinstance(call, ASIDE):
            self._backlog.site_failed()
            self._auditor.site_failed()

    def counts_refused(self) -> None:
        """Note that the site refuses to count for this script: audits compare ids from now on."""
        self._auditor.counts_refused()

    def take_changes(self) -> FeedChange | None:
        """Return what to commit with the rows, None before the first answer."""
        if self.state is None:
            return None
        return self._odd_rows.with_changes(self.known.take_changes(self.state))

    def _first_state(self, beginning: Beginning, now: float) -> FeedState:
        """Create the state of a first start, whose gaps count as just noticed."""
        rows = beginning.rows
        state = FeedState(floor=beginning.floor, frontier=beginning.floor - 1)
        self._auditor.begin_intervals(state)
        if rows:
            ages.remember_rows(state, rows, self._site_date, self.rules.audit_horizon)
            for lower_row, upper_row in pairwise(rows):
                self._open_gap(state, lower_row.id, upper_row, now)
            state.frontier = rows[-1].id
            anchor(state, rows[-1])
        return state

    def _note_observed(self, state: FeedState, now: float) -> None:
        state.observed += self._seconds_since_answer(now)
        self._last_answer_at = now

    def _seconds_since_answer(self, now: float) -> float:
        """Return the seconds that will count as observed if the site answers now."""
        if self._last_answer_at is None:
            return 0.0
        return min(max(now - self._last_answer_at, 0.0), LONGEST_OBSERVED)

    def _take_late_rows(self, state: FeedState, rows: Sequence[Row], result: Taken) -> None:
        late_rows = self.known.take_rows(rows)
        ages.remember_late_rows(state, late_rows)
        result.rows += [LateRow(row, late=True) for row in late_rows]

    # Pages

    def _take_page(
        self, state: FeedState, call: Page | PageRange, answer: Answer, now: float, result: Taken
    ) -> None:
        rows = answer.rows
        if not self._anchoring.is_anchored(state, call, rows, result):
            self._read_ahead.discard()
            return
        known_rows = list(takewhile(lambda row: row.id <= state.frontier, rows))
        fresh_rows = list(rows[len(known_rows) :])
        self._take_late_rows(state, known_rows, result)
        if known_rows and isinstance(call, Page):
            anchor(state, known_rows[-1])
        is_full = reach_of(call, answer) is not None
        more_follow = is_full or isinstance(call, PageRange)
        newest_at = fresh_rows[-1].at if fresh_rows else None
        hold = self._settling.hold(
            state.frontier, fresh_rows, now, self._site_date if more_follow else newest_at
        )
        if hold is not None:
            del fresh_rows[hold.passing_rows :]
        self._take_fresh_rows(state, fresh_rows, now, result)
        site_time = ages.site_clock(state, self._site_date)
        self._backlog.date_gaps(site_time, state.observed, catching_up=more_follow)
        is_held = hold is not None
        if isinstance(call, PageRange):
            self._read_ahead.took_range(call, fresh_rows, answer.took, full=is_full or is_held)
            self._paging.took_range(call, now)
        else:
            has_more = is_full and not is_held
            self._read_ahead.read_page(fresh_rows, state.frontier, answer.took, full=has_more)
            self._paging.take_page(
                call,
                now,
                is_full=has_more,
                has_fresh=bool(fresh_rows),
                has_news=bool(fresh_rows) or is_held,
            )
        if hold is not None:
            self._paging.next_at = (
                hold.until if more_follow else min(self._paging.next_at, hold.until)
            )

    def _take_fresh_rows(
        self, state: FeedState, fresh_rows: list[Row], now: float, result: Taken
    ) -> None:
        """Take rows above the frontier; the ids missing between them are gaps."""
        self._fresh_rows = fresh_rows
        if not fresh_rows:
            return
        frontier = state.frontier
        for row in fresh_rows:
            if row.id > frontier + 1:
                self._open_gap(state, frontier, row, now + FIRST_LOOK)
            frontier = row.id
        state.frontier = frontier
        anchor(state, fresh_rows[-1])
        result.rows += [LateRow(row, late=False) for row in fresh_rows]
        ages.remember_rows(state, fresh_rows, self._site_date, self.rules.audit_horizon)

    def _open_gap(self, state: FeedState, last_id: int, row_above: Row, look_at: float) -> None:
        if row_above.id > last_id + 1:
            # The latest time the ids were handed out; no row is younger than the site's date.
            handed_out_at = max(
                row_above.at, ages.site_clock(state, self._site_date, self._fresh_rows)
            )
            handed_out_at = (
                handed_out_at if self._site_date is None else min(handed_out_at, self._site_date)
            )
            self._backlog.open_gap(
                Span(last_id + 1, row_above.id - 1), Hole(handed_out_at, state.observed), look_at
            )
