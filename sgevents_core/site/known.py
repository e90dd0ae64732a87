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
        self._closed_ranges: list[tuple[int, int]] = []
        self._dropped_ranges: list[tuple[int, int]] = []
        if record is not None:
            self._load(record)

    def _load(self, record: FeedRecord) -> None:
        for missing_range in record.missing:
            (self.hot if missing_range.hot else self.cold).add(
                missing_range.first,
                missing_range.last,
                Hole(missing_range.below_at, missing_range.noticed),
            )
        for first, last in record.gone:
            self.gone.add(first, last, None)
        for parked_range in record.parked:
            self.parked.add(
                parked_range.first, parked_range.last, Parking(parked_range.number, parked_range.at)
            )
        self.take_changes(record.state)  # loading is not a change

    def is_missing(self, id_: int) -> bool:
        """Return whether an id was never seen."""
        return id_ in self.hot or id_ in self.cold

    def missing_within(self, spans: Iterable[Span]) -> list[Span]:
        """Return the parts of ascending ranges that were never seen, ascending."""
        return [
            part
            for span in spans
            for part, _ in heapq.merge(self.hot.within(*span), self.cold.within(*span))
        ]

    def note_found(self, id_: int) -> bool:
        """Remove an id from the missing; return False if it was not missing."""
        return bool(self.hot.cut(id_, id_) or self.cold.cut(id_, id_))

    def note_back(self, id_: int) -> bool:
        """Note that a gone id is visible again; return False if it was not gone."""
        return bool(self.gone.cut(id_, id_))

    def take_rows(self, rows: Iterable[Row]) -> list[Row]:
        """Note that rows are visible; return those that were missing, which are to be kept."""
        new_rows = []
        for row in rows:
            if self.note_found(row.id):
                new_rows.append(row)
            else:
                self.note_back(row.id)
        return new_rows

    def note_vanished(self, ids: Iterable[int]) -> list[int]:
        """Note that known ids are no longer visible; return those for which this is new."""
        newly_vanished = [id_ for id_ in ids if id_ not in self.gone]
        for span in spans_of(newly_vanished):
            self.gone.add(*span, None)
        return newly_vanished

    def stop_waiting(self, span: Span) -> None:
        """Stop waiting for a hot range."""
        for part, hole in self.hot.cut(span.first, span.last):
            self.cold.add(part.first, part.last, hole)

    def give_up_below(self, below: int) -> list[Span]:
        """Give up for good what lies below an id, below which nothing is hot; return the ranges."""
        closed = [span for span, _ in self.cold.cut(0, below - 1)]
        self._closed_ranges += [(span.first, span.last) for span in closed]
        self.gone.cut(0, below - 1)
        return closed

    def park(self, spans: Iterable[Span], parking: Parking) -> None:
        """Park ids that are not waited for: plugins are not given them until a person decides."""
        for span in spans:
            self.cold.cut(*span)
            self.parked.add(*span, parking)

    def ranges_parked_as(self, numbers: Collection[int]) -> list[Span]:
        """Return the ranges of some parkings, ascending."""
        return [span for span, parking in self.parked if parking.number in numbers]

    def handle_parked(self, spans: Iterable[Span], hole: Hole) -> None:
        """Wait for parked ids as for missing ones."""
        for span in spans:
            self.parked.cut(*span)
            self.gone.cut(*span)
            self.hot.add(*span, hole)

    def drop_parked(self, spans: Iterable[Span]) -> None:
        """Count parked ids as known from now on, as if their rows had been handled."""
        for span in spans:
            self.parked.cut(*span)
            self._dropped_ranges.append((span.first, span.last))

    def count_visible(self, span: Span) -> int:
        """Return how many rows of a range should be visible."""
        invisible = sum(range_map.count(*span) for range_map in (self.hot, self.cold, self.gone))
        return span.size - invisible

    def visible_ids(self, span: Span) -> Iterator[int]:
        """Yield the ids of a range whose rows should be visible, ascending."""
        range_maps = (self.hot, self.cold, self.gone)
        next_id = span.first
        for invisible in heapq.merge(
            *((invisible for invisible, _ in range_map.within(*span)) for range_map in range_maps)
        ):
            yield from range(next_id, invisible.first)
            next_id = invisible.last + 1
        yield from range(next_id, span.last + 1)

    def lowest_missing_id(self) -> int | None:
        """Return the lowest id not seen, None when nothing is missing."""
        lowest_ids = [
            lowest_id for lowest_id in (self.hot.lowest, self.cold.lowest) if lowest_id is not None
        ]
        return min(lowest_ids, default=None)

    @property
    def has_changes(self) -> bool:
        """Whether there is anything to write."""
        range_maps = (self.hot, self.cold, self.gone, self.parked)
        return any(range_map.changed for range_map in range_maps) or bool(
            self._closed_ranges or self._dropped_ranges
        )

    def take_changes(self, state: FeedState) -> FeedChange:
        """Return what changed since the last call, to be written with the state."""
        hot, removed_hot = self.hot.take_changes()
        cold, removed_cold = self.cold.take_changes()
        gone, removed_gone = self.gone.take_changes()
        parked, removed_parked = self.parked.take_changes()
        put_missing = [MissingRange(*span, hole.below_at, hole.noticed, True) for span, hole in hot]
        put_missing += [
            MissingRange(*span, hole.below_at, hole.noticed, False) for span, hole in cold
        ]
        kept_starts = {missing_range.first for missing_range in put_missing}
        closed_ranges, self._closed_ranges = self._closed_ranges, []
        dropped_ranges, self._dropped_ranges = self._dropped_ranges, []
        return FeedChange(
            state=state,
            put=put_missing,
            cut=[first for first in (*removed_hot, *removed_cold) if first not in kept_starts],
            put_gone=[(span.first, span.last) for span, _ in gone],
            cut_gone=removed_gone,
            closed=closed_ranges,
            put_parked=[ParkedRange(*span, *parking) for span, parking in parked],
            cut_parked=removed_parked,
            dropped=dropped_ranges,
        )
