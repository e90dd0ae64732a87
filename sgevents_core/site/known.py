"""The feed's memory: which ids of the log are known, missing or gone. Pure: no time, no I/O."""

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
    """The facts about a range of missing ids.

    Args:
        below_at: The latest time at which its ids were handed out, by the visible row above it, in
            seconds since 1970 on the site's clock.
        noticed: When it was noticed, in seconds of observed time.
    """

    below_at: int
    noticed: float


class Parking(NamedTuple):
    """The facts about a range of parked ids: see `ParkedRange`."""

    number: int
    at: int


class Known:
    """Every id from the floor to the frontier is known, missing (hot or cold), or gone.

    Args:
        feed_record: The feed's record; None at a first start.
    """

    def __init__(self, feed_record: FeedRecord | None = None) -> None:
        self.hot: RangeMap[Hole] = RangeMap()
        """Missing ids that are waited for."""
        self.cold: RangeMap[Hole] = RangeMap()
        """Missing ids whose deadline has passed; audits still look for them."""
        self.gone: RangeMap[None] = RangeMap()
        """Ids once seen whose rows are not visible any more."""
        self.parked: RangeMap[Parking] = RangeMap()
        """Ids whose rows were seen but not handled, until a person decides.

        They count as known, so they may be gone as well.
        """
        self._closed_ranges: list[tuple[int, int]] = []
        self._dropped_ranges: list[tuple[int, int]] = []
        if feed_record is not None:
            self._load(feed_record)

    def _load(self, feed_record: FeedRecord) -> None:
        for missing_range in feed_record.missing:
            (self.hot if missing_range.hot else self.cold).add(
                missing_range.first,
                missing_range.last,
                Hole(missing_range.below_at, missing_range.noticed),
            )
        for first_id, last_id in feed_record.gone:
            self.gone.add(first_id, last_id, None)
        for parked_range in feed_record.parked:
            self.parked.add(
                parked_range.first, parked_range.last, Parking(parked_range.number, parked_range.at)
            )
        self.take_changes(feed_record.state)  # loading is not a change

    def is_missing(self, id_: int) -> bool:
        """Return whether no row with this id was ever seen."""
        return id_ in self.hot or id_ in self.cold

    def missing_within(self, id_spans: Iterable[Span]) -> list[Span]:
        """Return the parts of ascending ranges whose ids are missing, ascending."""
        return [
            missing_part
            for id_span in id_spans
            for missing_part, _ in heapq.merge(
                self.hot.within(*id_span), self.cold.within(*id_span)
            )
        ]

    def note_found(self, id_: int) -> bool:
        """Remove an id from the missing ones; return False if it was not among them."""
        return bool(self.hot.cut(id_, id_) or self.cold.cut(id_, id_))

    def note_back(self, id_: int) -> bool:
        """Note that a gone id is visible again; return False if it was not gone."""
        return bool(self.gone.cut(id_, id_))

    def take_rows(self, event_rows: Iterable[Row]) -> list[Row]:
        """Note that rows are visible; return the rows that were missing and must be appended."""
        new_rows = []
        for event_row in event_rows:
            if self.note_found(event_row.id):
                new_rows.append(event_row)
            else:
                self.note_back(event_row.id)
        return new_rows

    def note_vanished(self, event_ids: Iterable[int]) -> list[int]:
        """Note that known ids are no longer visible; return those not noted before."""
        newly_vanished = [id_ for id_ in event_ids if id_ not in self.gone]
        for id_span in spans_of(newly_vanished):
            self.gone.add(*id_span, None)
        return newly_vanished

    def stop_waiting(self, id_span: Span) -> None:
        """Stop waiting for a hot range."""
        for missing_part, missing_hole in self.hot.cut(id_span.first, id_span.last):
            self.cold.add(missing_part.first, missing_part.last, missing_hole)

    def give_up_below(self, below_id: int) -> list[Span]:
        """Give up all missing ranges below an id for good, and return them; none may be hot."""
        closed_ranges = [id_span for id_span, _ in self.cold.cut(0, below_id - 1)]
        self._closed_ranges += [(id_span.first, id_span.last) for id_span in closed_ranges]
        self.gone.cut(0, below_id - 1)
        return closed_ranges

    def park(self, id_spans: Iterable[Span], parking: Parking) -> None:
        """Park ids that are no longer waited for: no plugin gets them until a person decides."""
        for id_span in id_spans:
            self.cold.cut(*id_span)
            self.parked.add(*id_span, parking)

    def ranges_parked_as(self, parking_numbers: Collection[int]) -> list[Span]:
        """Return the ranges of some parkings, ascending."""
        return [id_span for id_span, parking in self.parked if parking.number in parking_numbers]

    def handle_parked(self, id_spans: Iterable[Span], missing_hole: Hole) -> None:
        """Treat parked ids as missing, and wait for them."""
        for id_span in id_spans:
            self.parked.cut(*id_span)
            self.gone.cut(*id_span)
            self.hot.add(*id_span, missing_hole)

    def drop_parked(self, id_spans: Iterable[Span]) -> None:
        """Count parked ids as known from now on, as if their rows had been handled."""
        for id_span in id_spans:
            self.parked.cut(*id_span)
            self._dropped_ranges.append((id_span.first, id_span.last))

    def count_visible(self, id_span: Span) -> int:
        """Return how many rows of a range should be visible."""
        invisible_count = sum(
            range_map.count(*id_span) for range_map in (self.hot, self.cold, self.gone)
        )
        return id_span.size - invisible_count

    def visible_ids(self, id_span: Span) -> Iterator[int]:
        """Yield the ids of a range whose rows should be visible, ascending."""
        range_maps = (self.hot, self.cold, self.gone)
        next_id = id_span.first
        for invisible_count in heapq.merge(
            *(
                (invisible_count for invisible_count, _ in range_map.within(*id_span))
                for range_map in range_maps
            )
        ):
            yield from range(next_id, invisible_count.first)
            next_id = invisible_count.last + 1
        yield from range(next_id, id_span.last + 1)

    def lowest_missing_id(self) -> int | None:
        """Return the lowest missing id, None if no id is missing."""
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

    def take_changes(self, feed_state: FeedState) -> FeedChange:
        """Return the changes since the last call, to be written with the state."""
        hot, removed_hot = self.hot.take_changes()
        cold, removed_cold = self.cold.take_changes()
        gone, removed_gone = self.gone.take_changes()
        parked, removed_parked = self.parked.take_changes()
        put_missing = [
            MissingRange(*id_span, missing_hole.below_at, missing_hole.noticed, True)
            for id_span, missing_hole in hot
        ]
        put_missing += [
            MissingRange(*id_span, missing_hole.below_at, missing_hole.noticed, False)
            for id_span, missing_hole in cold
        ]
        kept_starts = {missing_range.first for missing_range in put_missing}
        closed_ranges, self._closed_ranges = self._closed_ranges, []
        dropped_ranges, self._dropped_ranges = self._dropped_ranges, []
        return FeedChange(
            state=feed_state,
            put=put_missing,
            cut=[first for first in (*removed_hot, *removed_cold) if first not in kept_starts],
            put_gone=[(id_span.first, id_span.last) for id_span, _ in gone],
            cut_gone=removed_gone,
            closed=closed_ranges,
            put_parked=[ParkedRange(*id_span, *parking) for id_span, parking in parked],
            cut_parked=removed_parked,
            dropped=dropped_ranges,
        )
