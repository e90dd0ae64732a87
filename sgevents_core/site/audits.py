"""Audits, which prove that no row is missing: when each is due, and its next query. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sgevents_core.site.questions import Call, Count, Fetch, Ids, spans_of
from sgevents_core.site.ranges import Span

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86400
MOST_FETCHED_SPANS: Final = 400
"""The most ranges of new ids requested in one call."""
SMALLEST_COUNT: Final = 1000
"""Ids counted in one call if the site fails to count more."""


class AuditWindow(NamedTuple):
    """One kind of audit: how often it runs and how far it looks back, in seconds."""

    name: str
    interval: float
    looks_back: float
    by_ids: bool = False


def audit_windows(backlog_timeout: float, horizon_seconds: float) -> tuple[AuditWindow, ...]:
    """Return the audits of a feed, from the shortest look back to the longest.

    The shortest audit finds rows that arrive after their deadline, so it runs more often if the
    deadline is shorter than usual. Counts cannot show that one row vanished and another appeared,
    so the ids themselves are compared once a day, and before any are given up.

    Args:
        backlog_timeout: Deadline of a gap, in seconds.
        horizon_seconds: How long audits look for missing ids, in seconds.
    """
    shortest = min(MINUTE, max(1.0, backlog_timeout))
    return (
        AuditWindow("15m", shortest, min(15 * MINUTE, horizon_seconds)),
        AuditWindow("2h", 15 * MINUTE, min(2 * HOUR, horizon_seconds)),
        AuditWindow("24h", 2 * HOUR, horizon_seconds),
        AuditWindow("ids", min(DAY, max(HOUR, horizon_seconds)), horizon_seconds, by_ids=True),
    )


@dataclass(slots=True)
class Audit:
    """One audit under way: ranges still to count or to compare by id, then rows to fetch.

    Rows are fetched only after all ids are compared: how many are new decides whether they are
    parked.

    Args:
        window: The kind of audit.
        span: The ids it covers.
        limit: The largest number of rows in one answer.
        late: Rows found so far that came after their deadline.
        new: Ranges of new ids that the comparisons found, ascending.
    """

    window: AuditWindow
    span: Span
    limit: int
    late: int = 0
    new: list[Span] = field(default_factory=list)
    _compare: list[Count | Ids] = field(default_factory=list)
    _fetch: list[Fetch] = field(default_factory=list)

    def begin(self, by_ids: bool, counted_ids: int) -> None:
        """Start the audit with its first ranges, to compare by id or to count.

        Args:
            by_ids: Whether ids are compared.
            counted_ids: How many ids are counted in one call.
        """
        if by_ids:
            self._compare = [Ids(self.span, self.limit)]
            return
        first_ids = range(self.span.first, self.span.last + 1, counted_ids)
        id_spans = [
            Span(first_ranges, min(first_ranges + counted_ids - 1, self.span.last))
            for first_ranges in first_ids
        ]
        self._compare = [Count(id_span) for id_span in reversed(id_spans)]

    def next_call(self) -> Call | None:
        """Return the next query, None when the audit is over."""
        if self._compare:
            return self._compare[-1]
        return self._fetch[-1] if self._fetch else None

    def counts_refused(self) -> None:
        """Continue by comparing ids: the site does not count for this script."""
        self._compare = [Ids(audit_call.span, self.limit) for audit_call in self._compare]

    def take_count(self, audit_call: Count, visible_count: int, expected_count: int) -> None:
        """Handle a count: an equal one proves the range; if not, compare ids or halve the range."""
        self._compare.pop()
        if visible_count == expected_count:
            return
        if visible_count < self.limit or audit_call.span.size <= self.limit:
            self._compare.append(Ids(audit_call.span, self.limit))
            return
        self._compare += [
            Count(half_range) for half_range in reversed(halved_range(audit_call.span))
        ]

    def count_less(self, audit_call: Count) -> None:
        """Replace a range that the site fails to count with its halves, unless it is small."""
        if audit_call.span.size > SMALLEST_COUNT:
            self._compare.pop()
            self._compare += [
                Count(half_range) for half_range in reversed(halved_range(audit_call.span))
            ]

    def page_less(self, audit_call: Ids, row_limit: int) -> None:
        """Compare fewer ids at once: the site does not answer a query for this many."""
        self.limit = row_limit
        self._compare.pop()
        self._compare.append(Ids(audit_call.span, row_limit))

    def fetch_less(self, audit_call: Fetch) -> None:
        """Fetch the two halves of a range on which the site fails; a single id stays missing."""
        self._fetch.pop()
        id_spans = (
            audit_call.spans if len(audit_call.spans) > 1 else halved_range(audit_call.spans[0])
        )
        middle_id = len(id_spans) // 2
        if middle_id:
            parts = (id_spans[middle_id:], id_spans[:middle_id])
            self._fetch += [Fetch(part, audit_call.limit) for part in parts]

    def take_comparison(self, audit_call: Ids, last_done: int, new_ids: Iterable[int]) -> None:
        """Handle a page of ids up to `last_done`: continue above it, and keep the new ids."""
        self._compare.pop()
        if last_done < audit_call.span.last:
            self._compare.append(Ids(Span(last_done + 1, audit_call.span.last), self.limit))
        id_spans = spans_of(list(new_ids))
        if self.new and id_spans and self.new[-1].last + 1 == id_spans[0].first:  # spans two pages
            id_spans = (Span(self.new.pop().first, id_spans[0].last), *id_spans[1:])
        self.new += id_spans

    def plan_fetches(self, id_spans: Sequence[Span]) -> None:
        """Fetch the rows of ascending ranges, now that all new ids have been decided on."""
        self.new = []
        self._fetch = list(_fetch_calls(id_spans, self.limit))[::-1]

    def take_fetched(self, audit_call: Fetch, last_id: int | None) -> None:
        """Handle fetched rows; a full page that ends at `last_id` says nothing about higher ids."""
        self._fetch.pop()
        if last_id is not None:
            unanswered_ranges = [
                Span(max(id_span.first, last_id + 1), id_span.last)
                for id_span in audit_call.spans
                if id_span.last > last_id
            ]
            self._fetch += _fetch_calls(unanswered_ranges, self.limit)


def halved_range(id_span: Span) -> tuple[Span, ...]:
    """Return the two halves of a range, the lower first, or a single id as it is."""
    middle_id = (id_span.first + id_span.last) // 2
    id_halves = (Span(id_span.first, middle_id), Span(middle_id + 1, id_span.last))
    return tuple(id_half for id_half in id_halves if id_half.size)


def _fetch_calls(id_spans: Sequence[Span], row_limit: int) -> Iterator[Fetch]:
    for start_index in range(0, len(id_spans), MOST_FETCHED_SPANS):
        yield Fetch(tuple(id_spans[start_index : start_index + MOST_FETCHED_SPANS]), row_limit)


def due_window(
    interval: tuple[AuditWindow, ...], last_done: Mapping[str, float], observed_seconds: float
) -> tuple[AuditWindow | None, float]:
    """Return the audit to run now, longest look back first, and the seconds until the next is due.

    Args:
        interval: The audits of the feed.
        last_done: Name of an audit -> observed second at which it last ended; absent means now.
        observed_seconds: Observed time, in seconds.
    """
    window_waits = [
        (last_done.get(audit_window.name, float("-inf")) + audit_window.interval - observed_seconds)
        for audit_window in interval
    ]
    for audit_window, shortest_wait in zip(reversed(interval), reversed(window_waits), strict=True):
        if shortest_wait <= 0:
            return audit_window, 0.0
    return None, min(window_waits)
