"""Carrying out audits: comparing what the site shows with what is known, and mending the rest.

Pure: calls out, answers in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sgevents_core.site import ages
from sgevents_core.site.audits import (
    HOUR,
    SMALLEST_COUNT,
    Audit,
    AuditWindow,
    audit_windows,
    due_window,
)
from sgevents_core.site.follower_values import Rules, Taken
from sgevents_core.site.known import Hole, Known, Parking
from sgevents_core.site.notices import LateRowsFound, RowsParked, rows_vanished
from sgevents_core.site.questions import Answer, Call, Count, Fetch, Ids, reach_of
from sgevents_core.site.ranges import Span
from sgevents_core.site.sizes import Size
from sgevents_core.state.entries import LateRow
from sgevents_core.state.feed_values import FeedState

MOST_OLD_ROWS: Final = 1000
"""The most late rows older than an hour that one audit may append; a person decides about more."""
OLD_AGE: Final = HOUR
MOST_COUNTED: Final = 2**40
"""The most ids counted in one call, as long as the site does that."""
FAILED_COUNTS: Final = 4
"""Counts of few ids that fail in a row before ids are compared instead."""


class Auditor:
    """A series of audits, each run as it becomes due.

    Args:
        rules: Hold how long ids are waited and looked for.
        known: What is known of each id.
        restarted: Whether the feed was down: then one audit comes at once.
    """

    def __init__(self, rules: Rules, known: Known, *, restarted: bool) -> None:
        self._rules = rules
        self._known = known
        self._windows = audit_windows(rules.backlog_timeout, rules.audit_horizon)
        self._audit: Audit | None = None
        self._counts_refused = False
        self._failed_counts = 0
        self._failed_call: Count | Ids | Fetch | None = None
        self._ids_size = Size(rules.page_size)
        self._count_size = Size(MOST_COUNTED, SMALLEST_COUNT)
        self._audit_at_once = restarted

    @property
    def is_under_way(self) -> bool:
        """Whether an audit has begun, has not ended, and none of its calls has failed."""
        return self._audit is not None and self._failed_call is None

    def begin_intervals(self, state: FeedState) -> None:
        """Start the intervals of all audits now: at a first start there is nothing to prove."""
        for window in self._windows:
            state.audits[window.name] = state.observed

    def drop_audit(self) -> None:
        """Drop the audit under way."""
        self._audit = self._failed_call = None

    def counts_refused(self) -> None:
        """Note that the site refuses to count for this script: compare ids from now on."""
        self._counts_refused = True
        if self._audit is not None:
            self._audit.counts_refused()

    def note_failed_call(self, call: Count | Ids | Fetch) -> None:
        """Note that a call failed; it waits until it is known whether the site answers at all."""
        self._failed_call = call

    def site_failed(self) -> None:
        """Note that the site answers nothing: a failed call says nothing about its question."""
        self._failed_call = None

    def site_answers(self) -> None:
        """Note that the site answers, so that a call which failed has asked for too much."""
        call, self._failed_call = self._failed_call, None
        if call is None or self._audit is None:
            return
        match call:
            case Count():
                self._count_size.failed(call.span.size)
                self._audit.count_less(call)
                self._failed_counts += call.span.size <= SMALLEST_COUNT
                if self._failed_counts >= FAILED_COUNTS:
                    self.counts_refused()
            case Ids() if call.limit > 1:
                self._ids_size.failed(call.limit)
                self._audit.page_less(call, self._ids_size.current)
            case Ids():
                self.drop_audit()
            case Fetch():
                self._audit.fetch_less(call)

    def next_call(
        self, state: FeedState, observed: float, date: int | None
    ) -> tuple[Call | None, float]:
        """Return what an audit has to ask now, or the observed seconds until one is due.

        Args:
            state: The feed's state.
            observed: Observed time as it will be if the site answers now, in seconds.
            date: What the site says the time is, in seconds since 1970, if it does.
        """
        if self._audit is not None and self._audit.next_call() is None:
            # The site never gave what it had to fetch last: the audit has ended and proved nothing.
            self._note_done(state, self._audit.window, observed)
            self._audit = None
        while self._audit is None:
            window, seconds = self._due_window(state, observed)
            if window is None:
                return None, seconds
            first_id = self._first_id(state, window, ages.site_clock(state, date))
            span = Span(first_id, state.frontier)
            if span.first <= span.last:
                self._audit = Audit(window, span, self._ids_size.current)
                by_ids = window.by_ids or self._counts_refused
                self._audit.begin(by_ids, self._count_size.current)
            else:
                self._note_done(state, window, observed)
        return self._audit.next_call(), 0.0

    def _due_window(self, state: FeedState, observed: float) -> tuple[AuditWindow | None, float]:
        if self._audit_at_once:
            return due_window(self._windows[2:3], {}, observed)
        return due_window(self._windows, state.audits, observed)

    def _first_id(self, state: FeedState, window: AuditWindow, site_time: int) -> int:
        """Return the id at which an audit has to start to look back as far as it should."""
        first_id = ages.first_id_after(state, site_time - window.looks_back) or state.floor
        if window.looks_back >= self._rules.audit_horizon:
            first_id = min(first_id, self._known.lowest_missing_id() or first_id)
        return max(first_id, state.floor)

    def take_answer(
        self, state: FeedState, call: Count | Ids | Fetch, answer: Answer, result: Taken
    ) -> None:
        """Handle the site's answer to a call of the audit under way.

        Args:
            state: The feed's state.
            call: What was asked.
            answer: What the site said.
            result: Gets the rows that were found and what to report.
        """
        audit = self._audit
        if audit is None:
            return
        match call:
            case Count():
                self._failed_counts = 0
                self._count_size.succeeded(call.span.size)
                audit.take_count(call, answer.count, self._known.count_visible(call.span))
            case Ids():
                self._ids_size.succeeded(call.limit)
                self._compare_ids(audit, call, answer, result)
            case Fetch():
                self._take_rows(state, audit, call, answer, result)
        if audit.new and not isinstance(audit.next_call(), Count | Ids):
            self._plan_fetches(state, audit, answer.date, result)
        if audit.next_call() is None:
            self._end_audit(state, audit, answer.date, result)

    def _compare_ids(self, audit: Audit, call: Ids, answer: Answer, result: Taken) -> None:
        complete_to = reach_of(call, answer)
        last_id = call.span.last if complete_to is None else complete_to
        visible_ids = {row.id for row in answer.rows}
        for id_ in visible_ids:
            self._known.note_back(id_)
        expected_ids = self._known.visible_ids(Span(call.span.first, last_id))
        vanished_ids = self._known.note_vanished(
            id_ for id_ in expected_ids if id_ not in visible_ids
        )
        result.notices += rows_vanished(vanished_ids)
        audit.take_comparison(
            call, last_id, sorted(id_ for id_ in visible_ids if self._known.is_missing(id_))
        )

    def _plan_fetches(
        self, state: FeedState, audit: Audit, date: int | None, result: Taken
    ) -> None:
        """Fetch the rows that are new, but park the old ones if there are too many."""
        site_time = ages.site_clock(state, date) if date is None else date
        old_ranges = self._old_ranges(state, audit.new, site_time - OLD_AGE)
        if sum(part.size for part in old_ranges) > MOST_OLD_ROWS:
            state.parkings += 1
            self._known.park(old_ranges, Parking(state.parkings, site_time))
            result.notices.append(RowsParked(tuple(old_ranges)))
        audit.plan_fetches(self._known.missing_within(audit.new))

    def _cold_ranges(self, spans: list[Span]) -> Iterator[tuple[Span, Hole]]:
        for span in spans:
            yield from self._known.cold.within(*span)

    def _old_ranges(self, state: FeedState, spans: list[Span], before: float) -> list[Span]:
        """Return the cold ids in some ranges that were handed out before a time, as ranges."""
        first_young_id = ages.first_id_after(state, before) or 0
        old_ranges = []
        for cold_range, hole in self._cold_ranges(spans):
            # The row above may date the whole hole; if not, only ids below the first young one.
            last_old_id = (
                cold_range.last
                if hole.below_at < before
                else min(cold_range.last, first_young_id - 1)
            )
            if cold_range.first <= last_old_id:
                old_ranges.append(Span(cold_range.first, last_old_id))
        return old_ranges

    def _take_rows(
        self, state: FeedState, audit: Audit, call: Fetch, answer: Answer, result: Taken
    ) -> None:
        audit.late += sum(row.id in self._known.cold for row in answer.rows)
        late_rows = self._known.take_rows(answer.rows)
        ages.remember_late_rows(state, late_rows)
        result.rows += [LateRow(row, late=True) for row in late_rows]
        audit.take_fetched(call, reach_of(call, answer))

    def _end_audit(self, state: FeedState, audit: Audit, date: int | None, result: Taken) -> None:
        self._audit = None
        self._note_done(state, audit.window, state.observed)
        # Nothing is proved from the lowest id on that is still waited for.
        lowest_hot = self._known.hot.lowest
        proved_id = audit.span.last if lowest_hot is None else min(audit.span.last, lowest_hot - 1)
        site_time = ages.site_clock(state, date)
        state.proved_id, state.proved_at = proved_id, site_time if date is None else date
        if audit.late:
            result.notices.append(LateRowsFound(audit.late))
        if audit.window.by_ids or self._counts_refused:
            self._give_up_old(state, audit.window, site_time)

    def _note_done(self, state: FeedState, window: AuditWindow, observed: float) -> None:
        state.audits[window.name] = observed
        self._audit_at_once = False

    def _give_up_old(self, state: FeedState, window: AuditWindow, site_time: int) -> None:
        """Give up what is older than the horizon, right after ids that far back were compared."""
        if window.looks_back < self._rules.audit_horizon:
            return
        first_young_id = ages.first_id_after(state, site_time - self._rules.audit_horizon)
        if first_young_id is None:
            return
        lowest_hot = self._known.hot.lowest
        new_floor = first_young_id if lowest_hot is None else min(first_young_id, lowest_hot)
        if new_floor > state.floor:
            self._known.give_up_below(new_floor)
            state.floor = new_floor
