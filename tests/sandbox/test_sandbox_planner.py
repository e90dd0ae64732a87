"""Conditions on ids and times are answered from ranges, with exactly what a scan would find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.client_values import wire_filters
from sgevents_core.sandbox.id_ranges import (
    ALL_IDS,
    IdRanges,
    complement_ranges,
    count_ids,
    index_ranges,
    intersect_ranges,
    merge_ranges,
    union_ranges,
)

BEGIN = datetime(2026, 5, 1, tzinfo=timezone.utc)
TOP = 60

RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(-3, 12))).map(
    lambda pairs: merge_ranges((first, first + length) for first, length in pairs)
)


def members(ranges: IdRanges) -> set[int]:
    """The ids of ranges as a set."""
    return {number for number in range(-5, 50) for first, last in ranges if first <= number <= last}


@given(RANGES, RANGES)
def test_ranges_are_sets(ranges: IdRanges, other: IdRanges) -> None:
    """Union, intersection and complement hold the ids that sets would hold."""
    assert members(union_ranges(ranges, other)) == members(ranges) | members(other)
    assert members(intersect_ranges(ranges, other)) == members(ranges) & members(other)
    assert members(complement_ranges(ranges)) == members(ALL_IDS) - members(ranges)
    assert complement_ranges(complement_ranges(ranges)) == ranges


@given(RANGES)
def test_tidy_ranges_neither_overlap_nor_touch(ranges: IdRanges) -> None:
    """Merged ranges ascend with at least one id between them."""
    assert all(first <= last for first, last in ranges)
    assert all(ranges[1] + 1 < other[0] for ranges, other in pairwise(ranges))


@given(RANGES, st.sets(st.integers(0, 45)), st.booleans())
def test_places_and_counts_are_those_of_the_ids_within(
    ranges: IdRanges, ids: set[int], descending: bool
) -> None:
    """The positions are those of the ids within, in the requested order."""
    ascending = sorted(ids)
    positions = [
        ascending[i]
        for span in index_ranges(ascending, ranges, descending=descending)
        for i in span
    ]
    assert positions == sorted(ids & members(ranges), reverse=descending)
    assert count_ids(ascending, ranges) == len(positions)


@pytest.fixture(scope="module")
def log() -> Iterator[Sandbox]:
    """A log with gaps, late and hidden rows, several rows a second."""
    now = [BEGIN]
    with Sandbox(project=False, clock=lambda: now[0]) as site:
        late = site.late(3)
        for number in range(45):
            site.event(f"Studio_{'ABC'[number % 3]}_Made", attribute_name="xyz"[number % 3])
            if number % 10 == 0:
                site.burn(2)
            if number % 4 == 0:
                now[0] += timedelta(seconds=1)
        late.commit()
        site.hide([17, 18, 30])
        yield site


def stamps(seconds: int) -> str:
    """A moment of the log."""
    return f"2026-05-01T00:00:{seconds:02d}Z"


IDS = st.integers(-2, TOP + 2)
TIMES = st.integers(0, 14).map(stamps)
LEAVES = st.one_of(
    st.tuples(st.just("id"), st.sampled_from(["is", "is_not", "less_than", "greater_than"]), IDS),
    st.tuples(
        st.just("id"), st.sampled_from(["in", "not_in"]), st.lists(IDS, min_size=1, max_size=9)
    ),
    st.tuples(
        st.just("id"),
        st.sampled_from(["between"]),
        st.lists(IDS, min_size=2, max_size=2),
    ),
    st.tuples(
        st.just("created_at"), st.sampled_from(["is", "is_not", "less_than", "greater_than"]), TIMES
    ),
    st.tuples(
        st.just("created_at"),
        st.sampled_from(["between"]),
        st.lists(TIMES, min_size=2, max_size=2),
    ),
    st.tuples(
        st.just("event_type"), st.sampled_from(["is", "is_not"]), st.sampled_from(["Studio_A_Made"])
    ),
    st.tuples(st.just("attribute_name"), st.just("is"), st.sampled_from(["x", "y"])),
)
FILTERS = st.lists(
    st.recursive(
        LEAVES,
        lambda parts: st.fixed_dictionaries(
            {
                "filter_operator": st.sampled_from(["all", "any"]),
                "filters": st.lists(parts, min_size=1, max_size=3),
            }
        ),
        max_leaves=6,
    ),
    max_size=3,
)


@pytest.mark.parametrize(
    ("relation", "values", "first", "last"),
    [
        ("less_than", [3], 0, 2),
        ("greater_than", [3], 4, 12),
        ("between", [3, 5], 3, 5),
        ("is", [3], 3, 3),
    ],
)
def test_times_find_whole_seconds(
    log: Sandbox, relation: str, values: list[int], first: int, last: int
) -> None:
    """A filter on time takes all rows of a second, or none."""
    filters = [["created_at", relation, [stamps(value) for value in values]]]
    rows_found = log.find("EventLogEntry", filters, ["created_at"])
    everything = log.find("EventLogEntry", [], ["created_at"])
    assert rows_found == [
        row for row in everything if stamps(first) <= row["created_at"] <= stamps(last)
    ]


def passes(row: dict[str, Any], filter_part: Any) -> bool:
    """Evaluate a condition simply."""
    if isinstance(filter_part, dict):
        parts = [passes(row, nested) for nested in filter_part["filters"]]
        return all(parts) if filter_part["filter_operator"] == "all" else any(parts)
    path, relation, wanted = filter_part
    value = row[path]
    readings: dict[str, Callable[[], bool]] = {
        "is": lambda: value == wanted,
        "less_than": lambda: value < wanted,
        "greater_than": lambda: value > wanted,
        "in": lambda: value in wanted,
        "between": lambda: min(wanted) <= value <= max(wanted),
    }
    positive = {"is_not": "is"}.get(relation, relation.removeprefix("not_"))
    return readings[positive]() is (positive == relation)


@settings(max_examples=60)
@given(FILTERS, st.booleans(), st.integers(1, 4), st.integers(1, 20))
def test_planned_queries_agree_with_a_scan(
    log: Sandbox, filters: list[Any], descending: bool, page: int, size: int
) -> None:
    """Pages, their counts and `summarize` agree with reading every visible row."""
    rows = log.find("EventLogEntry", [], ["event_type", "attribute_name", "created_at"])
    wanted = [row["id"] for row in rows if all(passes(row, filter_part) for filter_part in filters)]
    group = wire_filters(filters)
    params: dict[str, Any] = {
        "type": "EventLogEntry",
        "filters": group,
        "return_fields": ["id"],
        "sorts": [{"field_name": "id", "direction": "desc" if descending else "asc"}],
        "paging": {"entities_per_page": size, "current_page": page},
    }
    results = log.call("read", params)
    ordered = wanted[::-1] if descending else wanted
    begin = (page - 1) * size
    assert [row["id"] for row in results["entities"]] == ordered[begin : begin + size]
    assert results["paging_info"]["entity_count"] == len(wanted)
    params = {**params, "return_paging_info_without_counts": True}
    more = log.call("read", params)["paging_info"]["has_next_page"]
    assert more is (len(ordered) > begin + size)
    counted = {**params, "summaries": [{"field": "id", "type": "count"}]}
    assert log.call("summarize", counted)["summaries"] == {"id": len(wanted)}
