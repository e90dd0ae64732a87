"""Sets of ids as ranges: the ids that a query's conditions leave."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

LOWEST_ID: Final = -(2**62)
HIGHEST_ID: Final = 2**62

IdRange = tuple[int, int]
"""First and last id of a range, both included."""

IdRanges = tuple[IdRange, ...]
"""Ranges in ascending order that neither overlap nor touch."""

ALL_IDS: Final[IdRanges] = ((LOWEST_ID, HIGHEST_ID),)


def merge_ranges(ranges: Iterable[IdRange]) -> IdRanges:
    """Return ranges sorted, without empty ones, with overlapping and adjacent ones joined."""
    merged: list[IdRange] = []
    for first, last in sorted(id_range for id_range in ranges if id_range[0] <= id_range[1]):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def union_ranges(ranges: IdRanges, other_ranges: IdRanges) -> IdRanges:
    """Return the ids in either set of ranges."""
    return merge_ranges((*ranges, *other_ranges))


def intersect_ranges(ranges: IdRanges, other_ranges: IdRanges) -> IdRanges:
    """Return the ids in both sets of ranges."""
    common = []
    left, right = iter(ranges), iter(other_ranges)
    left_span, right_span = next(left, None), next(right, None)
    while left_span and right_span:
        first, last = max(left_span[0], right_span[0]), min(left_span[1], right_span[1])
        if first <= last:
            common.append((first, last))
        if left_span[1] < right_span[1]:
            left_span = next(left, None)
        else:
            right_span = next(right, None)
    return tuple(common)


def complement_ranges(ranges: IdRanges) -> IdRanges:
    """Return the ids in none of the ranges."""
    missing = []
    next_first = LOWEST_ID
    for first, last in ranges:
        missing.append((next_first, first - 1))
        next_first = last + 1
    return merge_ranges([*missing, (next_first, HIGHEST_ID)])


def count_ids(ids: Sequence[int], ranges: IdRanges) -> int:
    """Return how many of the ascending `ids` lie in the ranges."""
    return sum(bisect_right(ids, last) - bisect_left(ids, first) for first, last in ranges)


def index_ranges(ids: Sequence[int], ranges: IdRanges, *, descending: bool) -> Iterator[range]:
    """Return the positions of ascending ids that lie in the ranges, in the requested order."""
    for first, last in reversed(ranges) if descending else ranges:
        start, end = bisect_left(ids, first), bisect_right(ids, last)
        if start < end:
            yield range(end - 1, start - 1, -1) if descending else range(start, end)
