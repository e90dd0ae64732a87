"""Sets of ids as ranges: the ids that a query's conditions leave."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

LOWEST: Final = -(2**62)
HIGHEST: Final = 2**62

Range = tuple[int, int]
"""First and last id of a range, both included."""

Ranges = tuple[Range, ...]
"""Ranges in ascending order that neither overlap nor touch."""

EVERYTHING: Final[Ranges] = ((LOWEST, HIGHEST),)


def tidy(ranges: Iterable[Range]) -> Ranges:
    """Return ranges sorted, without empty ones, with overlapping and adjacent ones joined."""
    done: list[Range] = []
    for first, last in sorted(some for some in ranges if some[0] <= some[1]):
        if done and first <= done[-1][1] + 1:
            done[-1] = (done[-1][0], max(last, done[-1][1]))
        else:
            done.append((first, last))
    return tuple(done)


def union(one: Ranges, other: Ranges) -> Ranges:
    """Return the ids in either."""
    return tidy((*one, *other))


def intersection(one: Ranges, other: Ranges) -> Ranges:
    """Return the ids in both."""
    found = []
    left, right = iter(one), iter(other)
    a, b = next(left, None), next(right, None)
    while a and b:
        first, last = max(a[0], b[0]), min(a[1], b[1])
        if first <= last:
            found.append((first, last))
        if a[1] < b[1]:
            a = next(left, None)
        else:
            b = next(right, None)
    return tuple(found)


def complement(ranges: Ranges) -> Ranges:
    """Return the ids in none of the ranges."""
    found = []
    begin = LOWEST
    for first, last in ranges:
        found.append((begin, first - 1))
        begin = last + 1
    return tidy([*found, (begin, HIGHEST)])


def count(ids: Sequence[int], ranges: Ranges) -> int:
    """Return how many of the ascending `ids` lie in the ranges."""
    return sum(bisect_right(ids, last) - bisect_left(ids, first) for first, last in ranges)


def places(ids: Sequence[int], ranges: Ranges, *, descending: bool) -> Iterator[range]:
    """Return the positions in ascending `ids` that lie in the ranges, in the order asked for."""
    for first, last in reversed(ranges) if descending else ranges:
        begin, end = bisect_left(ids, first), bisect_right(ids, last)
        if begin < end:
            yield range(end - 1, begin - 1, -1) if descending else range(begin, end)
