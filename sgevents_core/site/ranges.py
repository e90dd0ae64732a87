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
    """Disjoint ranges of ids, each with a value; records which changed since last asked."""

    __slots__ = ("_changed_starts", "_ends_and_values", "_first_ids")

    def __init__(self) -> None:
        self._first_ids: list[int] = []
        self._ends_and_values: dict[int, tuple[int, T]] = {}
        self._changed_starts: set[int] = set()

    def __len__(self) -> int:
        return len(self._first_ids)

    def __iter__(self) -> Iterator[tuple[Span, T]]:
        for first in self._first_ids:
            last, value = self._ends_and_values[first]
            yield Span(first, last), value

    def get(self, id_: int) -> tuple[Span, T] | None:
        """Return the range that holds an id with its value, None if there is none."""
        index = bisect_right(self._first_ids, id_) - 1
        if index < 0:
            return None
        first = self._first_ids[index]
        last, value = self._ends_and_values[first]
        return (Span(first, last), value) if id_ <= last else None

    def __contains__(self, id_: int) -> bool:
        return self.get(id_) is not None

    @property
    def lowest(self) -> int | None:
        """The lowest id held, None if empty."""
        return self._first_ids[0] if self._first_ids else None

    def within(self, first: int, last: int) -> Iterator[tuple[Span, T]]:
        """Yield the parts of the ranges that lie between two ids, ascending."""
        index = max(bisect_right(self._first_ids, first) - 1, 0)
        while index < len(self._first_ids) and self._first_ids[index] <= last:
            start = self._first_ids[index]
            end, value = self._ends_and_values[start]
            if end >= first:
                yield Span(max(start, first), min(end, last)), value
            index += 1

    def count(self, first: int, last: int) -> int:
        """Return how many ids between two ids are held."""
        return sum(span.size for span, _ in self.within(first, last))

    def add(self, first: int, last: int, value: T) -> None:
        """Add a range that overlaps none of those held."""
        insort(self._first_ids, first)
        self._ends_and_values[first] = (last, value)
        self._changed_starts.add(first)

    def put(self, first: int, value: T) -> None:
        """Give the range that starts at `first` another value."""
        self._ends_and_values[first] = (self._ends_and_values[first][0], value)
        self._changed_starts.add(first)

    @property
    def changed(self) -> bool:
        """Whether anything changed since `take_changes`."""
        return bool(self._changed_starts)

    def cut(self, first: int, last: int) -> list[tuple[Span, T]]:
        """Remove the ids between two ids; return the ranges removed. The rest keeps its value."""
        removed = list(self.within(first, last))
        for part, value in removed:
            held_range = self.get(part.first)
            if held_range is None:
                continue
            span = held_range[0]
            self._remove(span.first)
            if span.first < part.first:
                self.add(span.first, part.first - 1, value)
            if part.last < span.last:
                self.add(part.last + 1, span.last, value)
        return removed

    def complement(self, first: int, last: int) -> Iterator[Span]:
        """Yield the ranges between two ids that are not held, ascending."""
        next_id = first
        for span, _ in self.within(first, last):
            if next_id < span.first:
                yield Span(next_id, span.first - 1)
            next_id = span.last + 1
        if next_id <= last:
            yield Span(next_id, last)

    def take_changes(self) -> tuple[list[tuple[Span, T]], list[int]]:
        """Return the ranges put and the starts of those removed since last asked."""
        put, removed = [], []
        for first in sorted(self._changed_starts):
            held_range = self._ends_and_values.get(first)
            if held_range is None:
                removed.append(first)
            else:
                put.append((Span(first, held_range[0]), held_range[1]))
        self._changed_starts.clear()
        return put, removed

    def _remove(self, first: int) -> None:
        index = bisect_right(self._first_ids, first) - 1
        del self._first_ids[index], self._ends_and_values[first]
        self._changed_starts.add(first)
