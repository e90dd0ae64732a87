"""Audits, the proof that nothing is missing: when one is due and what it asks next. Pure."""

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
"""The most ranges of new ids asked for in one call."""
SMALLEST_COUNT: Final = 1000
"""Ids counted in one call if the site does not count more."""


class AuditWindow(NamedTuple):
    """One kind of audit: how often it runs and how far it looks back, in seconds."""

    name: str
    interval: float
    looks_back: float
    by_ids: bool = False


def audit_windows(backlog_timeout: float, horizon: float) -> tuple[AuditWindow, ...]:
    """Return the audits of a feed, the farthest-reaching last.

    A row that comes after its deadline is found by the shortest audit, so that one follows a
    deadline shorter than the usual minutes. Counts cannot show that one row went and another came,
    so the ids themselves are compared once a day, and before any are given up.

    Args:
        backlog_timeout: Deadline of a gap, in seconds.
        horizon: How long missing ids are looked for, in seconds.
    """
    shortest = min(MINUTE, max(1.0, backlog_timeout))
    return (
        AuditWindow("15m", shortest, min(15 * MINUTE, horizon)),
        AuditWindow("2h", 15 * MINUTE, min(2 * HOUR, horizon)),
        AuditWindow("24h", 2 * HOUR, horizon),
        AuditWindow("ids", min(DAY, max(HOUR, horizon)), horizon, by_ids=True),
    )


@dataclass(slots=True)
class Audit:
    """One audit under way: ranges still to count or to compare by id, then rows to fetch.

    Nothing is fetched before everything is compared: the number of new rows decides what happens to
    them.

    Args:
        window: The kind of audit.
        span: The ids it covers.
        limit: Most rows one call may return.
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

    def begin(self, by_ids: bool, counted: int) -> None:
        """Start by comparing ids if counts are refused or not wanted, otherwise by counting.

        Args:
            by_ids: Whether ids are compared.
            counted: How many ids are counted in one call.
        """
        if by_ids:
            self._compare = [Ids(self.span, self.limit)]
            return
        first_ids = range(self.span.first, self.span.last + 1, counted)
        spans = [Span(first, min(first + counted - 1, self.span.last)) for first in first_ids]
        self._compare = [Count(span) for span in reversed(spans)]

    def next_call(self) -> Call | None:
        """Return what to ask next, None when the audit is over."""
        if self._compare:
            return self._compare[-1]
        return self._fetch[-1] if self._fetch else None

    def counts_refused(self) -> None:
        """Continue by comparing ids: the site does not count for this script."""
        self._compare = [Ids(call.span, self.limit) for call in self._compare]

    def take_count(self, call: Count, visible: int, expected: int) -> None:
        """Handle a count: if equal, it is proof; if not, compare ids or halve the range."""
        self._compare.pop()
        if visible == expected:
            return
        if visible < self.limit or call.span.size <= self.limit:
            self._compare.append(Ids(call.span, self.limit))
            return
        self._compare += [Count(half) for half in reversed(halved_range(call.span))]

    def count_less(self, call: Count) -> None:
        """Count the halves of a range that the site does not count, unless they are small."""
        if call.span.size > SMALLEST_COUNT:
            self._compare.pop()
            self._compare += [Count(half) for half in reversed(halved_range(call.span))]

    def page_less(self, call: Ids, limit: int) -> None:
        """Compare fewer ids at once: the site does not answer this many."""
        self.limit = limit
        self._compare.pop()
        self._compare.append(Ids(call.span, limit))

    def fetch_less(self, call: Fetch) -> None:
        """Fetch the halves of what the site does not give; a single id that fails stays missing."""
        self._fetch.pop()
        spans = call.spans if len(call.spans) > 1 else halved_range(call.spans[0])
        middle = len(spans) // 2
        if middle:
            parts = (spans[middle:], spans[:middle])
            self._fetch += [Fetch(part, call.limit) for part in parts]

    def take_comparison(self, call: Ids, last_done: int, new: Iterable[int]) -> None:
        """Handle a page of ids up to id `last_done`: continue behind it, and keep what is new."""
        self._compare.pop()
        if last_done < call.span.last:
            self._compare.append(Ids(Span(last_done + 1, call.span.last), self.limit))
        spans = spans_of(list(new))
        if self.new and spans and self.new[-1].last + 1 == spans[0].first:  # spans two pages
            spans = (Span(self.new.pop().first, spans[0].last), *spans[1:])
        self.new += spans

    def plan_fetches(self, spans: Sequence[Span]) -> None:
        """Fetch the rows of ascending ranges; nothing else has to be decided about the new ids."""
        self.new = []
        self._fetch = list(_fetch_calls(spans, self.limit))[::-1]

    def take_fetched(self, call: Fetch, last_id: int | None) -> None:
        """Handle fetched rows; a full page that ends at `last_id` says nothing about higher ids."""
        self._fetch.pop()
        if last_id is not None:
            unanswered = [
                Span(max(span.first, last_id + 1), span.last)
                for span in call.spans
                if span.last > last_id
            ]
            self._fetch += _fetch_calls(unanswered, self.limit)


def halved_range(span: Span) -> tuple[Span, ...]:
    """Return the two halves of a range, the lower first, or a single id as it is."""
    middle = (span.first + span.last) // 2
    parts = (Span(span.first, middle), Span(middle + 1, span.last))
    return tuple(part for part in parts if part.size)


def _fetch_calls(spans: Sequence[Span], limit: int) -> Iterator[Fetch]:
    for start in range(0, len(spans), MOST_FETCHED_SPANS):
        yield Fetch(tuple(spans[start : start + MOST_FETCHED_SPANS]), limit)


def due_window(
    interval: tuple[AuditWindow, ...], last_done: Mapping[str, float], observed: float
) -> tuple[AuditWindow | None, float]:
    """Return the audit to run now, farthest-reaching first, and the seconds until the next is due.

    Args:
        interval: The audits of the feed.
        last_done: Name of an audit -> observed second at which it last ended; absent means now.
        observed: Observed time, in seconds.
    """
    waits = [
        (last_done.get(window.name, float("-inf")) + window.interval - observed)
        for window in interval
    ]
    for window, wait in zip(reversed(interval), reversed(waits), strict=True):
        if wait <= 0:
            return window, 0.0
    return None, min(waits)
