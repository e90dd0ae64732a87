"""Ranges of ids behave as plain sets of ids do, and remember what changed."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from sgevents_core.site.questions import spans_of
from sgevents_core.site.ranges import RangeMap, Span

HIGHEST = 30

ids = st.integers(1, HIGHEST)
spans = st.tuples(ids, ids).map(lambda pair: Span(min(pair), max(pair)))


class Change(NamedTuple):
    """One change to a map: what, where, and the value."""

    what: str
    span: Span
    value: int


changes = st.lists(
    st.builds(Change, st.sampled_from(["add", "cut", "put"]), spans, st.integers(0, 9)),
    max_size=30,
)


def _apply(change: Change, ranges: RangeMap[int], naive: dict[int, int]) -> None:
    """Change both in the same way; `add` fills what is free, as its caller must see to."""
    span = change.span
    if change.what == "add":
        for free in list(ranges.complement(*span)):
            ranges.add(*free, change.value)
        naive |= {id_: naive.get(id_, change.value) for id_ in range(span.first, span.last + 1)}
    elif change.what == "cut":
        ranges.cut(*span)
        for id_ in range(span.first, span.last + 1):
            naive.pop(id_, None)
    else:
        held = ranges.get(span.first)
        if held is not None:
            ranges.put(held[0].first, change.value)
            naive |= dict.fromkeys(range(held[0].first, held[0].last + 1), change.value)


def _built(steps: list[Change]) -> tuple[RangeMap[int], dict[int, int]]:
    ranges: RangeMap[int] = RangeMap()
    naive: dict[int, int] = {}
    for step in steps:
        _apply(step, ranges, naive)
    return ranges, naive


def _ids(parts: list[tuple[Span, int]]) -> dict[int, int]:
    found: dict[int, int] = {}
    for span, value in parts:
        assert span.first <= span.last
        for id_ in range(span.first, span.last + 1):
            assert id_ not in found
            found[id_] = value
    return found


@settings(max_examples=30)
@given(changes)
def test_holds_what_a_plain_set_would(steps: list[Change]) -> None:
    """Whatever is added, cut and changed: the same ids with the same values, ascending."""
    ranges, naive = _built(steps)
    held = list(ranges)
    assert _ids(held) == naive
    assert [span for span, _ in held] == sorted(span for span, _ in held)
    assert len(ranges) == len(held)
    assert ranges.lowest == min(naive, default=None)
    for id_ in range(HIGHEST + 2):
        assert (id_ in ranges) == (id_ in naive)
        found = ranges.get(id_)
        assert (found is None) == (id_ not in naive)
        if found is not None:
            assert found in held
            assert found[0].first <= id_ <= found[0].last


@settings(max_examples=30)
@given(changes, spans)
def test_parts_counts_and_complement_of_a_window(steps: list[Change], window: Span) -> None:
    """Between two ids: what is held, how many, and what is not held."""
    ranges, naive = _built(steps)
    inside = {id_: naive[id_] for id_ in sorted(naive) if window.first <= id_ <= window.last}
    parts = list(ranges.within(*window))
    assert _ids(parts) == inside
    assert list(_ids(parts)) == list(inside)
    assert ranges.count(*window) == len(inside)
    free = list(ranges.complement(*window))
    expected = [id_ for id_ in range(window.first, window.last + 1) if id_ not in naive]
    assert free == list(spans_of(expected))


@settings(max_examples=30)
@given(changes, spans)
def test_cut_returns_what_it_removed(steps: list[Change], window: Span) -> None:
    """What is cut comes back with its values, and nothing else goes."""
    ranges, naive = _built(steps)
    removed = _ids(ranges.cut(*window))
    assert removed == {i: value for i, value in naive.items() if window.first <= i <= window.last}
    assert _ids(list(ranges)) == {i: v for i, v in naive.items() if i not in removed}


@settings(max_examples=30)
@given(st.lists(changes, max_size=5))
def test_changes_replayed_elsewhere_give_the_same_map(batches: list[list[Change]]) -> None:
    """What `take_changes` says, applied in pieces to a table keyed by first id, is the map."""
    ranges: RangeMap[int] = RangeMap()
    naive: dict[int, int] = {}
    table: dict[int, tuple[int, int]] = {}
    for batch in batches:
        for step in batch:
            _apply(step, ranges, naive)
        put, removed = ranges.take_changes()
        assert not ranges.changed
        assert not {span.first for span, _ in put} & set(removed)
        for first in removed:
            table.pop(first, None)
        table |= {span.first: (span.last, value) for span, value in put}
        assert table == {span.first: (span.last, value) for span, value in ranges}
    assert ranges.take_changes() == ([], [])


@settings(max_examples=30)
@given(st.sets(ids))
def test_ids_as_ranges(some: set[int]) -> None:
    """Ascending ids become the fewest ranges that hold just them."""
    made = spans_of(sorted(some))
    assert [id_ for span in made for id_ in range(span.first, span.last + 1)] == sorted(some)
    assert all(a.last + 1 < b.first for a, b in pairwise(made))
    assert sum(span.size for span in made) == len(some)
