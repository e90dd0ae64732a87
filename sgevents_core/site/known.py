"""Which ids of the log are known, missing or gone: the feed's memory. Pure: no time, no I/O."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from sgevents_core.site.questions import spans_of
from sgevents_core.site.ranges import RangeMap, Span
from sgevents_core.state.entries import Row
from sgevents_core.state.feed_values import (
    FeedChange,
    FeedRecord,
    FeedState,
    MissingRange,
    ParkedRange,
)


class Hole(NamedTuple):
    """What is known of a range of missing ids.

    Args:
        below_at: The latest time at which its ids were handed out, by the visible row above it, in
            seconds since 1970 on the site's clock.
        noticed: When it was noticed, in seconds of observed time.
    """

    below_at: int
    noticed: float


class Parking(NamedTuple):
    """What is known of a range of parked ids: see `ParkedRange`."""

    number: int
    at: int


class Known:
    """Every id from the floor to the frontier is known, missing (hot or cold), or gone.

    Args:
        hot: Missing ids that are waited for.
        cold: Missing ids whose deadline has passed; audits still look for them.
        gone: Ids once seen whose rows are not visible any more.
        parked: Ids whose rows were seen but not handled, until a person decides. They count as
            known, so they may be gone as well.
    """

    def __init__(self, record: FeedRecord | None = None) -> None:
        self.hot: RangeMap[Hole] = RangeMap()
        self.cold: RangeMap[Hole] = RangeMap()
        self.gone: RangeMap[None] = RangeMap()
        self.parked: RangeMap[Parking] = RangeMap()
        self._closed: list[tuple[int, int]] = []
        self._dropped: list[tuple[int, int]] = []
        if record is not None:
            self._load(record)

    def _load(self, record: FeedRecord) -> None:
        for m in record.missing:
            (self.hot if m.hot else self.cold).add(m.first, m.last, Hole(m.below_at, m.noticed))
        for first, last in record.gone:
            self.gone.add(first, last, None)
        for p in record.parked:
            self.parked.add(p.first, p.last, Parking(p.number, p.at))
        self.change(record.state)  # loading is not a change

    def missing(self, id_: int) -> bool:
        """Return whether an id was never seen."""
        return id_ in self.hot or id_ in self.cold

    def missing_within(self, spans: Iterable[Span]) -> list[Span]:
        """Return the parts of ascending ranges that were never seen, ascending."""
        return [
            part
            for span in spans
            for part, _ in heapq.merge(self.hot.within(*span), self.cold.within(*span))
        ]

    def found(self, id_: int) -> bool:
        """Remove an id from the missing; return False if it was not missing."""
        return bool(self.hot.cut(id_, id_) or self.cold.cut(id_, id_))

    def back(self, id_: int) -> bool:
        """Note that a gone id is visible again; return False if it was not gone."""
        return bool(self.gone.cut(id_, id_))

    def take(self, rows: Iterable[Row]) -> list[Row]:
        """Note that rows are visible; return those that were missing, which are to be kept."""
        new = []
        for row in rows:
            if self.found(row.id):
                new.append(row)
            else:
                self.back(row.id)
        return new

    def vanish(self, ids: Iterable[int]) -> list[int]:
        """Note that known ids are no longer visible; return those for which this is new."""
        newly = [id_ for id_ in ids if id_ not in self.gone]
        for span in spans_of(newly):
            self.gone.add(*span, None)
        return newly

    def cool(self, span: Span) -> None:
        """Stop waiting for a hot range."""
        for part, hole in self.hot.cut(span.first, span.last):
            self.cold.add(part.first, part.last, hole)

    def close(self, below: int) -> list[Span]:
        """Give up for good what lies below an id, below which nothing is hot; return the ranges."""
        closed = [span for span, _ in self.cold.cut(0, below - 1)]
        self._closed += [(span.first, span.last) for span in closed]
        self.gone.cut(0, below - 1)
        return closed

    def park(self, spans: Iterable[Span], parking: Parking) -> None:
        """Park ids that are not waited for: plugins are not given them until a person decides."""
        for span in spans:
            self.cold.cut(*span)
            self.parked.add(*span, parking)

    def parked_as(self, numbers: Collection[int]) -> list[Span]:
        """Return the ranges of some parkings, ascending."""
        return [span for span, parking in self.parked if parking.number in numbers]

    def handle(self, spans: Iterable[Span], hole: Hole) -> None:
        """Wait for parked ids as for missing ones."""
        for span in spans:
            self.parked.cut(*span)
            self.gone.cut(*span)
            self.hot.add(*span, hole)

    def drop(self, spans: Iterable[Span]) -> None:
        """Count parked ids as known from now on, as if their rows had been handled."""
        for span in spans:
            self.parked.cut(*span)
            self._dropped.append((span.first, span.last))

    def visible(self, span: Span) -> int:
        """Return how many rows of a range should be visible."""
        away = sum(held.count(*span) for held in (self.hot, self.cold, self.gone))
        return span.size - away

    def visible_ids(self, span: Span) -> Iterator[int]:
        """Yield the ids of a range whose rows should be visible, ascending."""
        away = (self.hot, self.cold, self.gone)
        free = span.first
        for part in heapq.merge(*((part for part, _ in held.within(*span)) for held in away)):
            yield from range(free, part.first)
            free = part.last + 1
        yield from range(free, span.last + 1)

    def lowest_missing(self) -> int | None:
        """Return the lowest id not seen, None when nothing is missing."""
        lows = [low for low in (self.hot.lowest, self.cold.lowest) if low is not None]
        return min(lows, default=None)

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        maps = (self.hot, self.cold, self.gone, self.parked)
        return any(held.changed for held in maps) or bool(self._closed or self._dropped)

    def change(self, state: FeedState) -> FeedChange:
        """Return what changed since the last call, to be written with the state."""
        hot, no_hot = self.hot.take_changes()
        cold, no_cold = self.cold.take_changes()
        gone, no_gone = self.gone.take_changes()
        parked, no_parked = self.parked.take_changes()
        put = [MissingRange(*span, h.below_at, h.noticed, True) for span, h in hot]
        put += [MissingRange(*span, h.below_at, h.noticed, False) for span, h in cold]
        kept = {m.first for m in put}
        closed, self._closed = self._closed, []
        dropped, self._dropped = self._dropped, []
        return FeedChange(
            state=state,
            put=put,
            cut=[first for first in (*no_hot, *no_cold) if first not in kept],
            put_gone=[(span.first, span.last) for span, _ in gone],
            cut_gone=no_gone,
            closed=closed,
            put_parked=[ParkedRange(*span, *parking) for span, parking in parked],
            cut_parked=no_parked,
            dropped=dropped,
        )
