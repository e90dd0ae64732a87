"""Which ids of the log are known, missing or gone: the feed's memory. Pure, no time, no I/O."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sgevents_core.journal.base import FeedChange, FeedRecord, FeedState, Missing, Row
from sgevents_core.site.calls import spans_of
from sgevents_core.site.ranges import RangeMap, Span


class Hole(NamedTuple):
    """What is known of a range of missing ids.

    Args:
        below_at: When its ids had been handed out at the latest, as far as the visible row above it
            tells, in seconds since 1970 on the site's clock.
        noticed: When it was noticed, in seconds of observed time.
    """

    below_at: int
    noticed: float


class Known:
    """Every id from the floor to the frontier is known, missing (hot or cold), or gone.

    Args:
        hot: Missing ids that are waited for.
        cold: Missing ids whose deadline has passed; audits still look for them.
        gone: Ids once seen whose rows are not visible any more.
    """

    def __init__(self, record: FeedRecord | None = None) -> None:
        self.hot: RangeMap[Hole] = RangeMap()
        self.cold: RangeMap[Hole] = RangeMap()
        self.gone: RangeMap[None] = RangeMap()
        self._closed: list[tuple[int, int]] = []
        if record is not None:
            self._load(record)

    def _load(self, record: FeedRecord) -> None:
        for m in record.missing:
            (self.hot if m.hot else self.cold).add(m.first, m.last, Hole(m.below_at, m.noticed))
        for first, last in record.gone:
            self.gone.add(first, last, None)
        self.change(record.state)  # what was loaded is no change

    def missing(self, id_: int) -> bool:
        """Return whether an id was never seen."""
        return id_ in self.hot or id_ in self.cold

    def found(self, id_: int) -> bool:
        """Take an id out of the missing; return False if it was not missing."""
        return bool(self.hot.cut(id_, id_) or self.cold.cut(id_, id_))

    def back(self, id_: int) -> bool:
        """Note that a gone id is visible again; return False if it was not gone."""
        return bool(self.gone.cut(id_, id_))

    def take(self, rows: Iterable[Row]) -> list[Row]:
        """Note that rows are visible; return those that were missing, which are now to be kept."""
        new = []
        for row in rows:
            if self.found(row.id):
                new.append(row)
            else:
                self.back(row.id)
        return new

    def vanish(self, ids: Iterable[int]) -> list[int]:
        """Note that known ids are not visible any more; return those that newly are not."""
        newly = [id_ for id_ in ids if id_ not in self.gone]
        for span in spans_of(newly):
            self.gone.add(*span, None)
        return newly

    def cool(self, span: Span) -> None:
        """Stop waiting for a hot range."""
        for part, hole in self.hot.cut(span.first, span.last):
            self.cold.add(part.first, part.last, hole)

    def close(self, below: int) -> list[Span]:
        """Give up for good what lies below an id, under which nothing is hot; return the ranges."""
        closed = [span for span, _ in self.cold.cut(0, below - 1)]
        self._closed += [(span.first, span.last) for span in closed]
        self.gone.cut(0, below - 1)
        return closed

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
        return self.hot.changed or self.cold.changed or self.gone.changed or bool(self._closed)

    def change(self, state: FeedState) -> FeedChange:
        """Return what changed since last asked, to be written with the state."""
        hot, no_hot = self.hot.take_changes()
        cold, no_cold = self.cold.take_changes()
        gone, no_gone = self.gone.take_changes()
        put = [Missing(*span, h.below_at, h.noticed, True) for span, h in hot]
        put += [Missing(*span, h.below_at, h.noticed, False) for span, h in cold]
        kept = {m.first for m in put}
        closed, self._closed = self._closed, []
        return FeedChange(
            state=state,
            put=put,
            cut=[first for first in (*no_hot, *no_cold) if first not in kept],
            put_gone=[(span.first, span.last) for span, _ in gone],
            cut_gone=no_gone,
            closed=closed,
        )
