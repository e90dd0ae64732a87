"""Sets of ids kept as ranges. Pure values: the caller decides what a range means."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Span(NamedTuple):
    """A range of ids, both ends included."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """The number of ids in it."""
        return self.last - self.first + 1


class RangeMap(Generic[T]):
    """Disjoint ranges of ids, each with a value; records which ranges changed."""

    __slots__ = ("_changed_starts", "_ends_and_values", "_first_ids")

    def __init__(self) -> None:
        self._first_ids: list[int] = []
        self._ends_and_values: dict[int, tuple[int, T]] = {}
        self._changed_starts: set[int] = set()

    def __len__(self) -> int:
        return len(self._first_ids)

    def __iter__(self) -> Iterator[tuple[Span, T]]:
        for first_id in self._first_ids:
            last_id, value = self._ends_and_values[first_id]
            yield Span(first_id, last_id), value

    def get(self, id_: int) -> tuple[Span, T] | None:
        """Return the range that holds an id, with its value; None if no range does."""
        range_index = bisect_right(self._first_ids, id_) - 1
        if range_index < 0:
            return None
        first_id = self._first_ids[range_index]
        last_id, value = self._ends_and_values[first_id]
        return (Span(first_id, last_id), value) if id_ <= last_id else None

    def __contains__(self, id_: int) -> bool:
        return self.get(id_) is not None

    @property
    def lowest(self) -> int | None:
        """The lowest id held, None if empty."""
        return self._first_ids[0] if self._first_ids else None

    def within(self, first_id: int, last_id: int) -> Iterator[tuple[Span, T]]:
        """Yield the parts of the ranges that lie between two ids, ascending."""
        range_index = max(bisect_right(self._first_ids, first_id) - 1, 0)
        while range_index < len(self._first_ids) and self._first_ids[range_index] <= last_id:
            overlap_start = self._first_ids[range_index]
            overlap_end, value = self._ends_and_values[overlap_start]
            if overlap_end >= first_id:
                yield Span(max(overlap_start, first_id), min(overlap_end, last_id)), value
            range_index += 1

    def count(self, first_id: int, last_id: int) -> int:
        """Return how many ids between two ids are held."""
        return sum(id_span.size for id_span, _ in self.within(first_id, last_id))

    def add(self, first_id: int, last_id: int, value: T) -> None:
        """Add a range that overlaps none of those held."""
        insort(self._first_ids, first_id)
        self._ends_and_values[first_id] = (last_id, value)
        self._changed_starts.add(first_id)

    def put(self, first_id: int, value: T) -> None:
        """Give the range that starts at `first_id` another value."""
        self._ends_and_values[first_id] = (self._ends_and_values[first_id][0], value)
        self._changed_starts.add(first_id)

    @property
    def changed(self) -> bool:
        """Whether anything changed since `take_changes`."""
        return bool(self._changed_starts)

    def cut(self, first_id: int, last_id: int) -> list[tuple[Span, T]]:
        """Remove the ids between two ids; return the ranges removed. The rest keeps its value."""
        removed_ranges = list(self.within(first_id, last_id))
        for range_part, value in removed_ranges:
            held_range = self.get(range_part.first)
            if held_range is None:
                continue
            id_span = held_range[0]
            self._remove(id_span.first)
            if id_span.first < range_part.first:
                self.add(id_span.first, range_part.first - 1, value)
            if range_part.last < id_span.last:
                self.add(range_part.last + 1, id_span.last, value)
        return removed_ranges

    def complement(self, first_id: int, last_id: int) -> Iterator[Span]:
        """Yield the ranges of ids between two ids that are not held, ascending."""
        next_id = first_id
        for id_span, _ in self.within(first_id, last_id):
            if next_id < id_span.first:
                yield Span(next_id, id_span.first - 1)
            next_id = id_span.last + 1
        if next_id <= last_id:
            yield Span(next_id, last_id)

    def take_changes(self) -> tuple[list[tuple[Span, T]], list[int]]:
        """Return the ranges put and the starts of those removed since the last call."""
        put, removed_ranges = [], []
        for first_id in sorted(self._changed_starts):
            held_range = self._ends_and_values.get(first_id)
            if held_range is None:
                removed_ranges.append(first_id)
            else:
                put.append((Span(first_id, held_range[0]), held_range[1]))
        self._changed_starts.clear()
        return put, removed_ranges

    def _remove(self, first_id: int) -> None:
        range_index = bisect_right(self._first_ids, first_id) - 1
        del self._first_ids[range_index], self._ends_and_values[first_id]
        self._changed_starts.add(first_id)
