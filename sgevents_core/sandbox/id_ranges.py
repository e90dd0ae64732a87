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
    merged_ranges: list[IdRange] = []
    for first_id, last_id in sorted(id_range for id_range in ranges if id_range[0] <= id_range[1]):
        if merged_ranges and first_id <= merged_ranges[-1][1] + 1:
            merged_ranges[-1] = (merged_ranges[-1][0], max(last_id, merged_ranges[-1][1]))
        else:
            merged_ranges.append((first_id, last_id))
    return tuple(merged_ranges)


def union_ranges(ranges: IdRanges, other_ranges: IdRanges) -> IdRanges:
    """Return the ids in either."""
    return merge_ranges((*ranges, *other_ranges))


def intersect_ranges(ranges: IdRanges, other_ranges: IdRanges) -> IdRanges:
    """Return the ids in both."""
    common_ranges = []
    left, right = iter(ranges), iter(other_ranges)
    left_range, right_range = next(left, None), next(right, None)
    while left_range and right_range:
        first_id, last_id = (
            max(left_range[0], right_range[0]),
            min(left_range[1], right_range[1]),
        )
        if first_id <= last_id:
            common_ranges.append((first_id, last_id))
        if left_range[1] < right_range[1]:
            left_range = next(left, None)
        else:
            right_range = next(right, None)
    return tuple(common_ranges)


def complement_ranges(ranges: IdRanges) -> IdRanges:
    """Return the ids in none of the ranges."""
    missing_ranges = []
    next_first = LOWEST_ID
    for first_id, last_id in ranges:
        missing_ranges.append((next_first, first_id - 1))
        next_first = last_id + 1
    return merge_ranges([*missing_ranges, (next_first, HIGHEST_ID)])


def count_ids(ascending_ids: Sequence[int], ranges: IdRanges) -> int:
    """Return how many of the ascending `ascending_ids` lie in the ranges."""
    return sum(
        bisect_right(ascending_ids, last_id) - bisect_left(ascending_ids, first_id)
        for first_id, last_id in ranges
    )


def index_ranges(
    ascending_ids: Sequence[int], ranges: IdRanges, *, descending: bool
) -> Iterator[range]:
    """Return the positions of ascending ids that lie in the ranges, in the requested order."""
    for first_id, last_id in reversed(ranges) if descending else ranges:
        first_index, end_index = (
            bisect_left(ascending_ids, first_id),
            bisect_right(ascending_ids, last_id),
        )
        if first_index < end_index:
            yield (
                range(end_index - 1, first_index - 1, -1)
                if descending
                else range(first_index, end_index)
            )
