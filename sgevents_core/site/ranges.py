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

    __slots__ = ("_at", "_changed", "_firsts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._at: dict[int, tuple[int, T]] = {}
        self._changed: set[int] = set()

    def __len__(self) -> int:
        return len(self._firsts)

    def __iter__(self) -> Iterator[tuple[Span, T]]:
        for first in self._firsts:
            last, value = self._at[first]
            yield Span(first, last), value

    def get(self, id_: int) -> tuple[Span, T] | None:
        """Return the range that holds an id with its value, None if there is none."""
        place = bisect_right(self._firsts, id_) - 1
        if place < 0:
            return None
        first = self._firsts[place]
        last, value = self._at[first]
        return (Span(first, last), value) if id_ <= last else None

    def __contains__(self, id_: int) -> bool:
        return self.get(id_) is not None

    @property
    def lowest(self) -> int | None:
        """The lowest id held, None if empty."""
        return self._firsts[0] if self._firsts else None

    def within(self, first: int, last: int) -> Iterator[tuple[Span, T]]:
        """Yield the parts of the ranges that lie between two ids, ascending."""
        place = max(bisect_right(self._firsts, first) - 1, 0)
        while place < len(self._firsts) and self._firsts[place] <= last:
            start = self._firsts[place]
            end, value = self._at[start]
            if end >= first:
                yield Span(max(start, first), min(end, last)), value
            place += 1

    def count(self, first: int, last: int) -> int:
        """Return how many ids between two ids are held."""
        return sum(span.size for span, _ in self.within(first, last))

    def add(self, first: int, last: int, value: T) -> None:
        """Add a range that overlaps none of those held."""
        insort(self._firsts, first)
        self._at[first] = (last, value)
        self._changed.add(first)

    def put(self, first: int, value: T) -> None:
        """Give the range that starts at `first` another value."""
        self._at[first] = (self._at[first][0], value)
        self._changed.add(first)

    @property
    def changed(self) -> bool:
        """Whether anything changed since `take_changes`."""
        return bool(self._changed)

    def cut(self, first: int, last: int) -> list[tuple[Span, T]]:
        """Remove the ids between two ids; return the ranges removed. The rest keeps its value."""
        parts = list(self.within(first, last))
        for part, value in parts:
            held = self.get(part.first)
            if held is None:
                continue
            span = held[0]
            self._remove(span.first)
            if span.first < part.first:
                self.add(span.first, part.first - 1, value)
            if part.last < span.last:
                self.add(part.last + 1, span.last, value)
        return parts

    def complement(self, first: int, last: int) -> Iterator[Span]:
        """Yield the ranges between two ids that are not held, ascending."""
        free = first
        for span, _ in self.within(first, last):
            if free < span.first:
                yield Span(free, span.first - 1)
            free = span.last + 1
        if free <= last:
            yield Span(free, last)

    def take_changes(self) -> tuple[list[tuple[Span, T]], list[int]]:
        """Return the ranges put and the starts of those removed since last asked."""
        put, removed = [], []
        for first in sorted(self._changed):
            held = self._at.get(first)
            if held is None:
                removed.append(first)
            else:
                put.append((Span(first, held[0]), held[1]))
        self._changed.clear()
        return put, removed

    def _remove(self, first: int) -> None:
        place = bisect_right(self._firsts, first) - 1
        del self._firsts[place], self._at[first]
        self._changed.add(first)
