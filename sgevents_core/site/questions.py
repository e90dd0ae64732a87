"""The feed's queries to the site and their answers, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from sgevents_core.site.ranges import Span
from sgevents_core.state.entries import Row


@dataclass(frozen=True, slots=True)
class Page:
    """Rows with an id above `above`, ascending, at most `limit`.

    `anchor` is the id the first row must have, None when any will do.
    """

    above: int
    limit: int
    anchor: int | None


@dataclass(frozen=True, slots=True)
class PageRange:
    """A known row and those with an id from `first` to `last`, ascending, at most `limit`.

    `anchor` is the id of the known row, which must come first, `anchor_at` its `created_at`.
    """

    first: int
    last: int
    limit: int
    anchor: int
    anchor_at: int

    @property
    def spans(self) -> tuple[Span, Span]:
        """The ranges of ids that are requested."""
        return Span(self.anchor, self.anchor), Span(self.first, self.last)


@dataclass(frozen=True, slots=True)
class After:
    """The lowest ids above an id: ids only, ascending, at most `limit`."""

    above: int
    limit: int


@dataclass(frozen=True, slots=True)
class Newest:
    """The rows with the highest ids, descending, at most `limit`; only those below `below`."""

    limit: int
    below: int | None = None


@dataclass(frozen=True, slots=True)
class Since:
    """The row with the lowest id among those created at `at` (seconds since 1970) or later.

    A site that keeps fractions of seconds may include rows of the second before.
    """

    at: int
    limit: int = 1


@dataclass(frozen=True, slots=True)
class Look:
    """Rows of missing ranges that are waited for; `observed` is when the look was decided."""

    spans: tuple[Span, ...]
    limit: int
    observed: float


@dataclass(frozen=True, slots=True)
class Recent:
    """Which of the last known ids are visible."""

    spans: tuple[Span, ...]
    limit: int


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows have an id in the range."""

    span: Span


@dataclass(frozen=True, slots=True)
class Ids:
    """Which ids of the range are visible: ids only, ascending, at most `limit`."""

    span: Span
    limit: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """Rows that an audit found to be missing."""

    spans: tuple[Span, ...]
    limit: int


Call: TypeAlias = Page | PageRange | After | Newest | Since | Look | Recent | Count | Ids | Fetch
Limited: TypeAlias = Page | PageRange | Newest | Look | Recent | Ids | Fetch
"""Calls whose answers may be cut off at a limit."""
ASIDE: Final = (Look, Count, Ids, Fetch)
"""Calls other than pages: if they fail, pages continue."""


class Odd(NamedTuple):
    """A row that cannot be handled: its name, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The site's answer.

    Args:
        rows: The rows that can be handled.
        count: For `Count`, the number of rows.
        date: The site's clock, if it sent it.
        odd: The rows that cannot be handled.
        reach: The id up to which the rows are complete, None if nothing lies above.
        asked_at: When the query was sent, in seconds of the host's monotonic clock.
        took: How many seconds the site took to answer.
    """

    rows: tuple[Row, ...] = ()
    count: int = 0
    date: int | None = None
    odd: tuple[Odd, ...] = ()
    reach: int | None = None
    asked_at: float | None = None
    took: float = 0.0


def reach_of(limited_call: Limited, site_answer: Answer) -> int | None:
    """Return the id up to which an answer is complete, None if it is complete throughout."""
    if site_answer.reach is None and len(site_answer.rows) >= limited_call.limit:
        return site_answer.rows[-1].id
    return site_answer.reach


def spans_of(ascending_ids: list[int]) -> tuple[Span, ...]:
    """Return ascending ids as ranges.

    >>> spans_of([1, 2, 3, 7])
    (Span(first=1, last=3), Span(first=7, last=7))
    """
    id_spans: list[Span] = []
    for id_ in ascending_ids:
        if id_spans and id_spans[-1].last == id_ - 1:
            id_spans[-1] = Span(id_spans[-1].first, id_)
        else:
            id_spans.append(Span(id_, id_))
    return tuple(id_spans)
