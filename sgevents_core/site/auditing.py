"""Carrying out audits: comparing what the site shows with what is known, and mending the rest.

Pure: calls out, answers in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sgevents_core.site import ages
from sgevents_core.site.audits import HOUR, SMALLEST_COUNT, Audit, Window, due, windows
from sgevents_core.site.follower_values import Rules, Taken
from sgevents_core.site.known import Hole, Known, Parking
from sgevents_core.site.notices import LateRowsFound, RowsParked, rows_vanished
from sgevents_core.site.questions import Answer, Call, Count, Fetch, Ids, reach_of
from sgevents_core.site.ranges import Span
from sgevents_core.site.sizes import Size
from sgevents_core.state.entries import LateRow
from sgevents_core.state.feed_values import FeedState

MOST_OLD: Final = 1000
"""The most late rows older than an hour that one audit may append; a person decides about more."""
OLD: Final = HOUR
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
        self._windows = windows(rules.backlog_timeout, rules.audit_horizon)
        self._audit: Audit | None = None
        self._counts_refused = False
        self._counts_failed = 0
        self._failed: Count | Ids | Fetch | None = None
        self._ids = Size(rules.page_size)
        self._counted = Size(MOST_COUNTED, SMALLEST_COUNT)
        self._restarted = restarted

    @property
    def is_under_way(self) -> bool:
        """Whether an audit has begun, has not ended, and none of its calls has failed."""
        return self._audit is not None and self._failed is None

    def begin(self, state: FeedState) -> None:
        """Start the intervals of all audits now: at a first start there is nothing to prove."""
        for window in self._windows:
            state.audits[window.name] = state.observed

    def drop(self) -> None:
        """Drop the audit under way."""
        self._audit = self._failed = None

    def refused(self) -> None:
        """Note that the site refuses to count for this script: compare ids from now on."""
        self._counts_refused = True
        if self._audit is not None:
            self._audit.refused()

    def failed(self, call: Count | Ids | Fetch) -> None:
        """Note that a call failed; it waits until it is known whether the site answers at all."""
        self._failed = call

    def site_failed(self) -> None:
        """Note that the site answers nothing: a failed call says nothing about its question."""
        self._failed = None

    def site_answers(self) -> None:
        """Note that the site answers, so that a call which failed has asked for too much."""
        call, self._failed = self._failed, None
        if call is None or self._audit is None:
            return
        match call:
            case Count():
                self._counted.failed(call.span.size)
                self._audit.count_less(call)
                self._counts_failed += call.span.size <= SMALLEST_COUNT
                if self._counts_failed >= FAILED_COUNTS:
                    self.refused()
            case Ids() if call.limit > 1:
                self._ids.failed(call.limit)
                self._audit.page_less(call, self._ids.now)
            case Ids():
                self.drop()
            case Fetch():
                self._audit.fetch_less(call)

    def next(
        self, state: FeedState, observed: float, date: int | None
    ) -> tuple[Call | None, float]:
        """Return what an audit has to ask now, or the observed seconds until one is due.

        Args:
            state: The feed's state.
            observed: Observed time as it will be if the site answers now, in seconds.
            date: What the site says the time is, in seconds since 1970, if it does.
        """
        if self._audit is not None and self._audit.next() is None:
            # The site never gave what it had to fetch last: the audit has ended and proved nothing.
            self._done(state, self._audit.window, observed)
            self._audit = None
        while self._audit is None:
            window, wait = self._due(state, observed)
            if window is None:
                return None, wait
            first = self._first(state, window, ages.clock(state, date))
            span = Span(first, state.frontier)
            if span.first <= span.last:
                self._audit = Audit(window, span, self._ids.now)
                by_ids = window.by_ids or self._counts_refused
                self._audit.begin(by_ids, self._counted.now)
            else:
                self._done(state, window, observed)
        return self._audit.next(), 0.0

    def _due(self, state: FeedState, observed: float) -> tuple[Window | None, float]:
        if self._restarted:
            return due(self._windows[2:3], {}, observed)
        return due(self._windows, state.audits, observed)

    def _first(self, state: FeedState, window: Window, clock: int) -> int:
        """Return the id at which an audit has to start to look back as far as it should."""
        first = ages.id_at(state, clock - window.back) or state.floor
        if window.back >= self._rules.audit_horizon:
            first = min(first, self._known.lowest_missing() or first)
        return max(first, state.floor)

    def take(
        self, state: FeedState, call: Count | Ids | Fetch, answer: Answer, taken: Taken
    ) -> None:
        """Handle the site's answer to a call of the audit under way.

        Args:
            state: The feed's state.
            call: What was asked.
            answer: What the site said.
            taken: Gets the rows that were found and what to report.
        """
        audit = self._audit
        if audit is None:
            return
        match call:
            case Count():
                self._counts_failed = 0
                self._counted.worked(call.span.size)
                audit.counted(call, answer.count, self._known.visible(call.span))
            case Ids():
                self._ids.worked(call.limit)
                self._compare(audit, call, answer, taken)
            case Fetch():
                self._found(state, audit, call, answer, taken)
        if audit.new and not isinstance(audit.next(), Count | Ids):
            self._all_compared(state, audit, answer.date, taken)
        if audit.next() is None:
            self._end(state, audit, answer.date, taken)

    def _compare(self, audit: Audit, call: Ids, answer: Answer, taken: Taken) -> None:
        reach = reach_of(call, answer)
        last = call.span.last if reach is None else reach
        ids = {row.id for row in answer.rows}
        for id_ in ids:
            self._known.back(id_)
        expected = self._known.visible_ids(Span(call.span.first, last))
        gone = self._known.vanish(id_ for id_ in expected if id_ not in ids)
        taken.notices += rows_vanished(gone)
        audit.compared(call, last, sorted(id_ for id_ in ids if self._known.missing(id_)))

    def _all_compared(self, state: FeedState, audit: Audit, date: int | None, taken: Taken) -> None:
        """Fetch the rows that are new, but park the old ones if there are too many."""
        clock = ages.clock(state, date) if date is None else date
        old = self._old(state, audit.new, clock - OLD)
        if sum(part.size for part in old) > MOST_OLD:
            state.parkings += 1
            self._known.park(old, Parking(state.parkings, clock))
            taken.notices.append(RowsParked(tuple(old)))
        audit.fetch(self._known.missing_within(audit.new))

    def _cold(self, spans: list[Span]) -> Iterator[tuple[Span, Hole]]:
        for span in spans:
            yield from self._known.cold.within(*span)

    def _old(self, state: FeedState, spans: list[Span], at: float) -> list[Span]:
        """Return the cold ids in some ranges that were handed out before a time, as ranges."""
        young = ages.id_at(state, at) or 0
        old = []
        for part, hole in self._cold(spans):
            # The row above may date the whole hole; if not, only ids below the first young one.
            last = part.last if hole.below_at < at else min(part.last, young - 1)
            if part.first <= last:
                old.append(Span(part.first, last))
        return old

    def _found(
        self, state: FeedState, audit: Audit, call: Fetch, answer: Answer, taken: Taken
    ) -> None:
        audit.late += sum(row.id in self._known.cold for row in answer.rows)
        late = self._known.take(answer.rows)
        ages.recall(state, late)
        taken.rows += [LateRow(row, late=True) for row in late]
        audit.fetched(call, reach_of(call, answer))

    def _end(self, state: FeedState, audit: Audit, date: int | None, taken: Taken) -> None:
        self._audit = None
        self._done(state, audit.window, state.observed)
        # Nothing is proved from the lowest id on that is still waited for.
        lowest_hot = self._known.hot.lowest
        proved = audit.span.last if lowest_hot is None else min(audit.span.last, lowest_hot - 1)
        clock = ages.clock(state, date)
        state.proved_id, state.proved_at = proved, clock if date is None else date
        if audit.late:
            taken.notices.append(LateRowsFound(audit.late))
        if audit.window.by_ids or self._counts_refused:
            self._close_old(state, audit.window, clock)

    def _done(self, state: FeedState, window: Window, observed: float) -> None:
        state.audits[window.name] = observed
        self._restarted = False

    def _close_old(self, state: FeedState, window: Window, clock: int) -> None:
        """Give up what is older than the horizon, right after ids that far back were compared."""
        if window.back < self._rules.audit_horizon:
            return
        old = ages.id_at(state, clock - self._rules.audit_horizon)
        if old is None:
            return
        lowest_hot = self._known.hot.lowest
        floor = old if lowest_hot is None else min(old, lowest_hot)
        if floor > state.floor:
            self._known.close(floor)
            state.floor = floor
