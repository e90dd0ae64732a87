"""Follow a log with holes: rows and times in, decisions out. No I/O, no clock, no database.

The follower decides the next query to the site and handles the answers. Its decisions must be
committed (rows and change together) before the next answer is given to it; if that fails, it is
rebuilt from the committed state.
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
from sgevents_core.site.follower_values import Rules, StepResult
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
from sgevents_core.state.entries import IN_TURN, LATE, Row, TakenRow
from sgevents_core.state.feed_values import FeedChange, FeedRecord, FeedState

PAGES_BEFORE_OTHERS: Final = 4
"""Full pages read in a row before a due look or audit gets its turn."""
LONGEST_OBSERVED: Final = 60.0
"""Most seconds that count as observed between two answers: a sleeping machine observes nothing."""
SHORTEST_WAIT: Final = 0.001


class Follower:
    """Decisions on the next query to the site and on the meaning of its answers.

    Args:
        feed_rules: Times and sizes.
        feed_record: The state as last committed, None at a first start.
    """

    def __init__(self, feed_rules: Rules, feed_record: FeedRecord | None = None) -> None:
        self.rules = feed_rules
        self.known = Known(feed_record)
        self.state = feed_record.state if feed_record else None
        self._first_start = FirstStart(feed_rules)
        self._anchoring = Anchoring(self.known)
        self._backlog = Backlog(feed_rules, self.known)
        self._settling = Settling(feed_rules.settle)
        self._auditor = Auditor(feed_rules, self.known, was_restarted=feed_record is not None)
        self._odd_rows = SetAsideRows(feed_record.set_aside if feed_record else ())
        self._site_date: int | None = None
        self._last_answer_at: float | None = None
        self._paging = Paging(feed_rules)
        self._read_ahead = ReadAhead(feed_rules.connections)
        self._call_budget = Budget()
        self._look_pause = Pause()
        self._audit_pause = Pause()
        self._audit_comes_first = False

    # Choosing the next query

    def next_call(self, current_time: float) -> Call | float:
        """Return the query to send to the site now, or the seconds to wait.

        Args:
            current_time: The host's monotonic clock, in seconds.
        """
        feed_state = self.state
        if feed_state is None:
            return self._first_start.next_call()
        search_call = self._anchoring.next_search(feed_state)
        if search_call is not None:
            return search_call
        is_due = current_time >= self._paging.next_at
        # Pages come first, but after some full ones in a row a look or audit gets its turn.
        most_in_a_row = PAGES_BEFORE_OTHERS * max(len(self._read_ahead.ranges), 1)
        if is_due and self._paging.full_in_a_row < most_in_a_row:
            return self._next_page(feed_state)
        self._paging.full_in_a_row = 0
        other_call, observed_now = self._other_call(feed_state, current_time)
        if other_call is not None:
            return other_call
        if is_due:
            return self._next_page(feed_state)
        return float(max(min(self._paging.next_at - current_time, observed_now), SHORTEST_WAIT))

    def expect_news(self, current_time: float) -> None:
        """Read the next page now, as somebody says that there is news, unless the log is lost.

        Args:
            current_time: The host's monotonic clock, in seconds.
        """
        if self.state is not None and not self.state.rewound:
            self._paging.expect_news(current_time)

    @property
    def ranges_ahead(self) -> tuple[PageRange, ...]:
        """The ranges to be taken next, in order, which may be requested at the same time."""
        return self._read_ahead.ranges

    @property
    def connections(self) -> int:
        """How many ranges may be requested at the same time."""
        return self._read_ahead.connections.now

    @property
    def is_far_behind(self) -> bool:
        """Whether many ids are left to read, and the site answers as many calls as it may get."""
        feed_state = self.state
        return (
            feed_state is not None
            and not feed_state.rewound
            and not self._paging.is_hindered
            and self._read_ahead.is_far_behind(feed_state)
        )

    @property
    def highest_seen(self) -> int:
        """The highest id that the site has shown, as far as that has been asked for."""
        return self._read_ahead.highest

    def continue_to(self, highest_id: int) -> None:
        """Read on behind the committed rows at once, up to an id that the site has shown."""
        if self.state is not None:
            self._read_ahead.continue_to(highest_id, self.state)

    def catching_up_failed(self) -> None:
        """Note that whoever followed the log in the meantime failed: ask for less at once."""
        self._read_ahead.failed()

    def _next_page(self, feed_state: FeedState) -> Call:
        if self._paging.is_hindered or feed_state.rewound:
            self._read_ahead.discard()
        call_ahead = self._read_ahead.next_call(feed_state, self._paging.limit)
        return self._paging.next_call(feed_state) if call_ahead is None else call_ahead

    @property
    def is_idle(self) -> bool:
        """Whether no audit is under way, which might have to wait for its turn."""
        return not self._auditor.is_under_way

    def _other_call(self, feed_state: FeedState, current_time: float) -> tuple[Call | None, float]:
        """Return a look or audit that is due, or the seconds until one is."""
        if feed_state.rewound:
            return None, self.rules.idle_interval
        budget_wait = self._call_budget.seconds_to_wait(current_time)
        if budget_wait > 0:
            return None, budget_wait
        # After a look without result an audit comes first, so that neither blocks the other.
        call_choices = (
            (self._next_audit, self._next_look)
            if self._audit_comes_first
            else (self._next_look, self._next_audit)
        )
        choice_waits = []
        for choose_call in call_choices:
            site_call, seconds = choose_call(feed_state, current_time)
            if site_call is not None:
                return site_call, 0.0
            choice_waits.append(seconds)
        return None, min(choice_waits)

    def _next_look(self, feed_state: FeedState, current_time: float) -> tuple[Call | None, float]:
        pause_seconds = self._look_pause.seconds_left(current_time)
        if pause_seconds > 0:
            return None, max(pause_seconds, self._backlog.seconds_to_look(current_time))
        return self._backlog.next_look(
            current_time, feed_state.observed
        ), self._backlog.seconds_to_look(current_time)

    def _next_audit(self, feed_state: FeedState, current_time: float) -> tuple[Call | None, float]:
        pause_seconds = self._audit_pause.seconds_left(current_time)
        if pause_seconds > 0:
            return None, pause_seconds
        observed_seconds = feed_state.observed + self._seconds_since_answer(current_time)
        audit_call, wait_seconds = self._auditor.next_call(
            feed_state, observed_seconds, self._site_date
        )
        if self._last_answer_at is None:  # no observed time passes before the next answer
            wait_seconds = max(wait_seconds, self.rules.poll_interval)
        return audit_call, wait_seconds

    # Handling answers

    def take_answer(self, site_call: Call, site_answer: Answer, current_time: float) -> StepResult:
        """Handle the site's answer to a call, and return the result.

        Args:
            site_call: The query that `next_call` returned.
            site_answer: The site's answer.
            current_time: The host's monotonic clock when the answer arrived, in seconds.
        """
        self._site_date = site_answer.date
        site_time = (
            ages.site_clock(self.state, site_answer.date) if self.state else site_answer.date or 0
        )
        site_answer = replace(site_answer, rows=ages.with_times(site_answer.rows, site_time))
        step_result = StepResult()
        self._odd_rows.report_odd(site_answer.odd, step_result)
        if self.state is None:
            beginning = self._first_start.take_answer(site_call, site_answer)
            if beginning is not None:
                self.state = self._first_state(beginning, current_time)
                self._read_ahead.show_highest(site_answer.rows)
            self._last_answer_at = current_time
            return step_result
        self._note_observed(self.state, current_time)
        self._dispatch_answer(self.state, site_call, site_answer, current_time, step_result)
        self._odd_rows.clear_rows(step_result.rows)
        is_full = (
            isinstance(site_call, Look | Fetch) and reach_of(site_call, site_answer) is not None
        )
        self._note_success(site_call, step_result, current_time, is_full=is_full)
        if self.state.rewound:
            self._auditor.drop_audit()
            self._paging.next_at = current_time + self.rules.idle_interval
        return step_result

    def _dispatch_answer(
        self,
        feed_state: FeedState,
        site_call: Call,
        site_answer: Answer,
        current_time: float,
        step_result: StepResult,
    ) -> None:
        match site_call:
            case Page() | PageRange():
                self._take_page(feed_state, site_call, site_answer, current_time, step_result)
            case Look():
                self._take_late_rows(feed_state, site_answer.rows, step_result)
                step_result.notices += self._backlog.take_look(site_call, site_answer, current_time)
                self._odd_rows.clear_ids(site_call.spans)
            case Count() | Ids() | Fetch():
                self._auditor.take_answer(feed_state, site_call, site_answer, step_result)
            case Recent():
                self._anchoring.take_recent(feed_state, site_call, site_answer.rows, step_result)
                self._paging.next_at = max(
                    self._paging.next_at, current_time + self.rules.poll_interval
                )
            case After():
                self._paging.take_probe(site_answer.rows, current_time)
            case Newest() if self._anchoring.is_lost:
                self._anchoring.take_highest(feed_state, site_answer.rows, step_result)
                self._paging.next_at = current_time + self.rules.poll_interval
            case Newest():
                self._read_ahead.show_highest(site_answer.rows)
            case Since():
                pass  # only a first start asks this

    def _note_success(
        self, site_call: Call, step_result: StepResult, current_time: float, *, is_full: bool
    ) -> None:
        """Note that the site answered a call, so earlier failures were not an outage."""
        if isinstance(site_call, ASIDE):
            self._call_budget.spend_call()
            is_look = isinstance(site_call, Look)
            (self._look_pause if is_look else self._audit_pause).end()
            self._audit_comes_first = is_look and not step_result.rows
            if step_result.rows and is_full:
                self._call_budget.give_back_call()
        self._odd_rows.report_odd(self._backlog.site_answers(current_time), step_result)
        self._auditor.site_answers()

    def take_failure(
        self, site_call: Call, current_time: float, *, is_answering: bool = False
    ) -> None:
        """Note that a call failed: conclude nothing from it, and count no time as observed.

        Looks and audits that fail are put off while pages continue: queries that the site cannot
        answer must not delay those that it can. A query that fails while the site answers others is
        requested in smaller pieces.

        Args:
            site_call: The query sent to the site.
            current_time: The host's monotonic clock, in seconds.
            is_answering: Whether the site did answer, by refusing the query.
        """
        self._last_answer_at = None
        self._backlog.note_failed_call()
        if isinstance(site_call, ASIDE):
            self._call_budget.spend_call()
            self._paging.read_soon(current_time)  # does the site answer at all?
        else:
            self._read_ahead.failed()
        match site_call:
            case Look():
                self._backlog.look_failed(site_call)
                if len(site_call.spans) > 1:  # an id that fails alone has a pause of its own
                    self._look_pause.extend(current_time)
            case Count() | Ids() | Fetch():
                self._auditor.note_failed_call(site_call)
                self._audit_pause.extend(current_time)
            case PageRange():
                self._paging.next_at = current_time
            case Page() | After():
                self._paging.take_failure(site_call, current_time, is_answering=is_answering)
            case Recent() if is_answering:
                self._anchoring.take_failure(site_call)
            case _ if is_answering:
                self._first_start.take_failure(site_call)
        if is_answering:
            self._odd_rows.note_odd(self._backlog.site_answers(current_time))
            self._auditor.site_answers()
        elif not isinstance(site_call, ASIDE):
            self._backlog.site_failed()
            self._auditor.site_failed()

    def counts_refused(self) -> None:
        """Note that the site refuses to count for this script: audits compare ids from now on."""
        self._auditor.counts_refused()

    def take_changes(self) -> FeedChange | None:
        """Return the change to commit with the rows, None before the first answer."""
        if self.state is None:
            return None
        return self._odd_rows.with_changes(self.known.take_changes(self.state))

    def _first_state(self, beginning: Beginning, current_time: float) -> FeedState:
        """Create the state of a first start, whose gaps count as just noticed."""
        event_rows = beginning.rows
        feed_state = FeedState(floor=beginning.floor, frontier=beginning.floor - 1)
        self._auditor.begin_intervals(feed_state)
        if event_rows:
            ages.remember_rows(feed_state, event_rows, self._site_date, self.rules.audit_horizon)
            for lower_row, upper_row in pairwise(event_rows):
                if upper_row.id > lower_row.id + 1:
                    self._open_gap(feed_state, lower_row.id, upper_row, current_time)
            feed_state.frontier = event_rows[-1].id
            anchor(feed_state, event_rows[-1])
        return feed_state

    def _note_observed(self, feed_state: FeedState, current_time: float) -> None:
        feed_state.observed += self._seconds_since_answer(current_time)
        self._last_answer_at = current_time

    def _seconds_since_answer(self, current_time: float) -> float:
        """Return the seconds that will count as observed if the site answers now."""
        if self._last_answer_at is None:
            return 0.0
        return min(max(current_time - self._last_answer_at, 0.0), LONGEST_OBSERVED)

    def _take_late_rows(
        self, feed_state: FeedState, event_rows: Sequence[Row], step_result: StepResult
    ) -> None:
        late_rows = self.known.take_rows(event_rows)
        ages.remember_late_rows(feed_state, late_rows)
        step_result.rows += [TakenRow(event_row, LATE) for event_row in late_rows]

    # Pages

    def _take_page(
        self,
        feed_state: FeedState,
        site_call: Page | PageRange,
        site_answer: Answer,
        current_time: float,
        step_result: StepResult,
    ) -> None:
        event_rows = site_answer.rows
        if not self._anchoring.is_anchored(feed_state, site_call, event_rows, step_result):
            self._read_ahead.discard()
            return
        known_rows = list(
            takewhile(lambda event_row: event_row.id <= feed_state.frontier, event_rows)
        )
        fresh_rows = list(event_rows[len(known_rows) :])
        self._take_late_rows(feed_state, known_rows, step_result)
        if known_rows and isinstance(site_call, Page):
            anchor(feed_state, known_rows[-1])
        is_full = reach_of(site_call, site_answer) is not None
        more_follow = is_full or isinstance(site_call, PageRange)
        newest_at = fresh_rows[-1].at if fresh_rows else None
        settling_hold = self._settling.hold(
            feed_state.frontier,
            fresh_rows,
            current_time,
            self._site_date if more_follow else newest_at,
        )
        if settling_hold is not None:
            del fresh_rows[settling_hold.passing_rows :]
        self._take_fresh_rows(feed_state, fresh_rows, current_time, step_result)
        site_time = ages.site_clock(feed_state, self._site_date)
        self._backlog.date_gaps(site_time, feed_state.observed, catching_up=more_follow)
        self._plan_next_page(
            site_call,
            site_answer,
            fresh_rows,
            current_time,
            frontier=feed_state.frontier,
            is_full=is_full,
            is_held=settling_hold is not None,
        )
        if settling_hold is not None:
            self._paging.next_at = (
                settling_hold.until
                if more_follow
                else min(self._paging.next_at, settling_hold.until)
            )

    def _plan_next_page(
        self,
        site_call: Page | PageRange,
        site_answer: Answer,
        fresh_rows: list[Row],
        current_time: float,
        *,
        frontier: int,
        is_full: bool,
        is_held: bool,
    ) -> None:
        """Decide which page or range comes next, and when, after one was taken."""
        if isinstance(site_call, PageRange):
            self._read_ahead.took_range(
                site_call, fresh_rows, site_answer.took, is_full=is_full or is_held
            )
            self._paging.took_range(site_call, current_time)
            return
        has_more = is_full and not is_held
        self._read_ahead.took_page(fresh_rows, frontier, site_answer.took, is_full=has_more)
        self._paging.take_page(
            site_call,
            current_time,
            is_full=has_more,
            has_fresh=bool(fresh_rows),
            has_news=bool(fresh_rows) or is_held,
        )

    def _take_fresh_rows(
        self,
        feed_state: FeedState,
        fresh_rows: list[Row],
        current_time: float,
        step_result: StepResult,
    ) -> None:
        """Take rows above the frontier; the ids missing between them are gaps."""
        if not fresh_rows:
            return
        frontier = feed_state.frontier
        for event_row in fresh_rows:
            if event_row.id > frontier + 1:
                first_look_at = current_time + FIRST_LOOK
                self._open_gap(feed_state, frontier, event_row, first_look_at, fresh_rows)
            frontier = event_row.id
        feed_state.frontier = frontier
        anchor(feed_state, fresh_rows[-1])
        step_result.rows += [TakenRow(event_row, IN_TURN) for event_row in fresh_rows]
        ages.remember_rows(feed_state, fresh_rows, self._site_date, self.rules.audit_horizon)

    def _open_gap(
        self,
        feed_state: FeedState,
        last_id: int,
        row_above: Row,
        look_at: float,
        fresh_rows: Sequence[Row] = (),
    ) -> None:
        """Note that the ids between one and that of the row above it are missing."""
        # The latest time the ids were handed out; no row is younger than the site's date.
        site_time = ages.site_clock(feed_state, self._site_date, fresh_rows)
        handed_out_at = max(row_above.at, site_time)
        if self._site_date is not None:
            handed_out_at = min(handed_out_at, self._site_date)
        self._backlog.open_gap(
            Span(last_id + 1, row_above.id - 1), Hole(handed_out_at, feed_state.observed), look_at
        )
