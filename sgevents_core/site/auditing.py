"""Run audits: compare the rows that the site shows with the ids on record, and correct the record.

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
from sgevents_core.site.follower_values import Rules, StepResult
from sgevents_core.site.known import Hole, Known, Parking
from sgevents_core.site.notices import LateRowsFound, RowsParked, rows_vanished
from sgevents_core.site.questions import Answer, Call, Count, Fetch, Ids, reach_of
from sgevents_core.site.ranges import Span
from sgevents_core.site.sizes import Size
from sgevents_core.state.entries import LATE_BY_AUDIT, TakenRow
from sgevents_core.state.feed_values import FeedState

MOST_OLD_ROWS: Final = 1000
"""The most late rows older than an hour that one audit may append; beyond it a person decides."""
OLD_AGE: Final = HOUR
MOST_COUNTED: Final = 2**40
"""The most ids counted in one call, as long as the site answers such calls."""
FAILED_COUNTS: Final = 4
"""Failed counts of few ids in a row before ids are compared instead."""


class Auditor:
    """A series of audits, each run as it becomes due.

    Args:
        feed_rules: Set how long the feed waits for ids and how long audits look for them.
        known_ids: The feed's memory of each id: known, missing or gone.
        was_restarted: Whether the feed was down; if so, the first audit is due at once.
    """

    def __init__(self, feed_rules: Rules, known_ids: Known, *, was_restarted: bool) -> None:
        self._rules = feed_rules
        self._known = known_ids
        self._windows = audit_windows(feed_rules.backlog_timeout, feed_rules.audit_horizon)
        self._audit: Audit | None = None
        self._counts_refused = False
        self._failed_counts = 0
        self._failed_call: Count | Ids | Fetch | None = None
        self._ids_size = Size(feed_rules.page_size)
        self._count_size = Size(MOST_COUNTED, SMALLEST_COUNT)
        self._audit_at_once = was_restarted

    @property
    def is_under_way(self) -> bool:
        """Whether an audit has begun, has not ended, and none of its calls has failed."""
        return self._audit is not None and self._failed_call is None

    def begin_intervals(self, feed_state: FeedState) -> None:
        """Start the intervals of all audits now: a first start has nothing to audit yet."""
        for audit_window in self._windows:
            feed_state.audits[audit_window.name] = feed_state.observed

    def drop_audit(self) -> None:
        """Drop the audit under way."""
        self._audit = self._failed_call = None

    def counts_refused(self) -> None:
        """Note that the site refuses to count for this script: compare ids from now on."""
        self._counts_refused = True
        if self._audit is not None:
            self._audit.counts_refused()

    def note_failed_call(self, audit_call: Count | Ids | Fetch) -> None:
        """Note a failed call, and put it off until it is known whether the site answers at all."""
        self._failed_call = audit_call

    def site_failed(self) -> None:
        """Note that the site answers no call: the failed one says nothing about its own query."""
        self._failed_call = None

    def site_answers(self) -> None:
        """Note that the site answers, so the failed call must have asked for too much at once."""
        audit_call, self._failed_call = self._failed_call, None
        if audit_call is None or self._audit is None:
            return
        match audit_call:
            case Count():
                self._count_size.failed(audit_call.span.size)
                self._audit.count_less(audit_call)
                self._failed_counts += audit_call.span.size <= SMALLEST_COUNT
                if self._failed_counts >= FAILED_COUNTS:
                    self.counts_refused()
            case Ids() if audit_call.limit > 1:
                self._ids_size.failed(audit_call.limit)
                self._audit.page_less(audit_call, self._ids_size.current)
            case Ids():
                self.drop_audit()
            case Fetch():
                self._audit.fetch_less(audit_call)

    def next_call(
        self, feed_state: FeedState, observed_seconds: float, site_date: int | None
    ) -> tuple[Call | None, float]:
        """Return the query that an audit needs now, or the observed seconds until one is due.

        Args:
            feed_state: The feed's state.
            observed_seconds: The observed time if the site answers now, in seconds.
            site_date: The site's clock in seconds since 1970, if the site sends it.
        """
        if self._audit is not None and self._audit.next_call() is None:
            # The site never returned the last rows to fetch: the audit ended without proof.
            self._note_done(feed_state, self._audit.window, observed_seconds)
            self._audit = None
        while self._audit is None:
            audit_window, seconds = self._due_window(feed_state, observed_seconds)
            if audit_window is None:
                return None, seconds
            first_id = self._first_id(
                feed_state, audit_window, ages.site_clock(feed_state, site_date)
            )
            id_span = Span(first_id, feed_state.frontier)
            if id_span.first <= id_span.last:
                self._audit = Audit(audit_window, id_span, self._ids_size.current)
                by_ids = audit_window.by_ids or self._counts_refused
                self._audit.begin(by_ids, self._count_size.current)
            else:
                self._note_done(feed_state, audit_window, observed_seconds)
        return self._audit.next_call(), 0.0

    def _due_window(
        self, feed_state: FeedState, observed_seconds: float
    ) -> tuple[AuditWindow | None, float]:
        if self._audit_at_once:
            return due_window(self._windows[2:3], {}, observed_seconds)
        return due_window(self._windows, feed_state.audits, observed_seconds)

    def _first_id(self, feed_state: FeedState, audit_window: AuditWindow, site_time: int) -> int:
        """Return the id at which an audit must start to look back far enough."""
        first_id = (
            ages.first_id_after(feed_state, site_time - audit_window.looks_back) or feed_state.floor
        )
        if audit_window.looks_back >= self._rules.audit_horizon:
            first_id = min(first_id, self._known.lowest_missing_id() or first_id)
        return max(first_id, feed_state.floor)

    def take_answer(
        self,
        feed_state: FeedState,
        audit_call: Count | Ids | Fetch,
        site_answer: Answer,
        step_result: StepResult,
    ) -> None:
        """Handle the site's answer to a call of the audit under way.

        Args:
            feed_state: The feed's state.
            audit_call: The call that the site answered.
            site_answer: The site's answer.
            step_result: Receives the rows found and the notices to report.
        """
        audit = self._audit
        if audit is None:
            return
        match audit_call:
            case Count():
                self._failed_counts = 0
                self._count_size.succeeded(audit_call.span.size)
                audit.take_count(
                    audit_call, site_answer.count, self._known.count_visible(audit_call.span)
                )
            case Ids():
                self._ids_size.succeeded(audit_call.limit)
                self._compare_ids(audit, audit_call, site_answer, step_result)
            case Fetch():
                self._take_rows(feed_state, audit, audit_call, site_answer, step_result)
        if audit.new and not isinstance(audit.next_call(), Count | Ids):
            self._plan_fetches(feed_state, audit, site_answer.date, step_result)
        if audit.next_call() is None:
            self._end_audit(feed_state, audit, site_answer.date, step_result)

    def _compare_ids(
        self, audit: Audit, audit_call: Ids, site_answer: Answer, step_result: StepResult
    ) -> None:
        complete_to = reach_of(audit_call, site_answer)
        last_id = audit_call.span.last if complete_to is None else complete_to
        visible_ids = {event_row.id for event_row in site_answer.rows}
        for id_ in visible_ids:
            self._known.note_back(id_)
        expected_ids = self._known.visible_ids(Span(audit_call.span.first, last_id))
        vanished_ids = self._known.note_vanished(
            id_ for id_ in expected_ids if id_ not in visible_ids
        )
        step_result.notices += rows_vanished(vanished_ids)
        audit.take_comparison(
            audit_call, last_id, sorted(id_ for id_ in visible_ids if self._known.is_missing(id_))
        )

    def _plan_fetches(
        self, feed_state: FeedState, audit: Audit, site_date: int | None, step_result: StepResult
    ) -> None:
        """Fetch the new rows, but park the old ones among them if there are too many."""
        site_time = ages.site_clock(feed_state, site_date) if site_date is None else site_date
        old_ranges = self._old_ranges(feed_state, audit.new, site_time - OLD_AGE)
        if sum(id_part.size for id_part in old_ranges) > MOST_OLD_ROWS:
            feed_state.parkings += 1
            self._known.park(old_ranges, Parking(feed_state.parkings, site_time))
            step_result.notices.append(RowsParked(tuple(old_ranges)))
        audit.plan_fetches(self._known.missing_within(audit.new))

    def _cold_ranges(self, id_spans: list[Span]) -> Iterator[tuple[Span, Hole]]:
        for id_span in id_spans:
            yield from self._known.cold.within(*id_span)

    def _old_ranges(
        self, feed_state: FeedState, id_spans: list[Span], created_before: float
    ) -> list[Span]:
        """Return the cold ids, as ranges, that the site assigned before a time."""
        first_young_id = ages.first_id_after(feed_state, created_before) or 0
        old_ranges = []
        for cold_range, missing_hole in self._cold_ranges(id_spans):
            # The row above may date the whole hole; if not, take the ids below the first young one.
            last_old_id = (
                cold_range.last
                if missing_hole.below_at < created_before
                else min(cold_range.last, first_young_id - 1)
            )
            if cold_range.first <= last_old_id:
                old_ranges.append(Span(cold_range.first, last_old_id))
        return old_ranges

    def _take_rows(
        self,
        feed_state: FeedState,
        audit: Audit,
        audit_call: Fetch,
        site_answer: Answer,
        step_result: StepResult,
    ) -> None:
        audit.late += sum(event_row.id in self._known.cold for event_row in site_answer.rows)
        late_rows = self._known.take_rows(site_answer.rows)
        ages.remember_late_rows(feed_state, late_rows)
        step_result.rows += [TakenRow(event_row, LATE_BY_AUDIT) for event_row in late_rows]
        audit.take_fetched(audit_call, reach_of(audit_call, site_answer))

    def _end_audit(
        self, feed_state: FeedState, audit: Audit, site_date: int | None, step_result: StepResult
    ) -> None:
        self._audit = None
        self._note_done(feed_state, audit.window, feed_state.observed)
        # An audit proves nothing at or above the lowest id that the feed still waits for.
        lowest_hot = self._known.hot.lowest
        proved_id = audit.span.last if lowest_hot is None else min(audit.span.last, lowest_hot - 1)
        site_time = ages.site_clock(feed_state, site_date)
        feed_state.proved_id, feed_state.proved_at = (
            proved_id,
            site_time if site_date is None else site_date,
        )
        if audit.late:
            step_result.notices.append(LateRowsFound(audit.late))
        if audit.window.by_ids or self._counts_refused:
            self._give_up_old(feed_state, audit.window, site_time)

    def _note_done(
        self, feed_state: FeedState, audit_window: AuditWindow, observed_seconds: float
    ) -> None:
        feed_state.audits[audit_window.name] = observed_seconds
        self._audit_at_once = False

    def _give_up_old(
        self, feed_state: FeedState, audit_window: AuditWindow, site_time: int
    ) -> None:
        """Give up ids older than the horizon, right after an audit compared ids that far back."""
        if audit_window.looks_back < self._rules.audit_horizon:
            return
        first_young_id = ages.first_id_after(feed_state, site_time - self._rules.audit_horizon)
        if first_young_id is None:
            return
        lowest_hot = self._known.hot.lowest
        new_floor = first_young_id if lowest_hot is None else min(first_young_id, lowest_hot)
        if new_floor > feed_state.floor:
            self._known.give_up_below(new_floor)
            feed_state.floor = new_floor
