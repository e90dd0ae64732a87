"""What the feed knows of each id, against plain sets; what is written gives the same memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_feed import SimulatedJournal

from sgevents_core.site.known import Hole, Known, Parking
from sgevents_core.site.ranges import Span
from sgevents_core.state.feed_values import FeedState

HIGHEST = 40

ids = st.integers(1, HIGHEST)
spans = st.tuples(ids, ids).map(lambda pair: Span(min(pair), max(pair)))


class Step(NamedTuple):
    """Something that happens to a range of ids."""

    what: str
    span: Span


steps = st.lists(
    st.builds(Step, st.sampled_from(["miss", "find", "vanish", "back", "cool", "close"]), spans),
    max_size=25,
)


class Sets:
    """The naive memory: one set of ids for each thing an id can be."""

    def __init__(self) -> None:
        self.hot: set[int] = set()
        self.cold: set[int] = set()
        self.gone: set[int] = set()
        self.floor = 1

    def free(self, span: Span) -> list[int]:
        """Ids that are known and visible."""
        away = self.hot | self.cold | self.gone
        return [i for i in range(max(span.first, self.floor), span.last + 1) if i not in away]


def _apply(step: Step, known: Known, sets: Sets) -> None:
    every = range(step.span.first, step.span.last + 1)
    if step.what == "miss":
        for id_ in sets.free(step.span):
            known.hot.add(id_, id_, Hole(1000 + id_, float(id_)))
            sets.hot.add(id_)
    elif step.what == "find":
        for id_ in every:
            assert known.note_found(id_) == (id_ in sets.hot | sets.cold)
        sets.hot -= set(every)
        sets.cold -= set(every)
    elif step.what == "vanish":
        visible = [i for i in every if i not in sets.hot | sets.cold]
        assert known.note_vanished(visible) == [i for i in visible if i not in sets.gone]
        sets.gone |= set(visible)
    elif step.what == "back":
        for id_ in every:
            assert known.note_back(id_) == (id_ in sets.gone)
        sets.gone -= set(every)
    elif step.what == "cool":
        known.stop_waiting(step.span)
        sets.cold |= sets.hot & set(every)
        sets.hot -= set(every)
    else:
        below = min([step.span.first, *sets.hot])
        closed = known.give_up_below(below)
        under = {id_ for id_ in sets.cold if id_ < below}
        assert {i for span in closed for i in range(span.first, span.last + 1)} == under
        sets.cold -= under
        sets.gone = {id_ for id_ in sets.gone if id_ >= below}
        sets.floor = max(sets.floor, below)


@settings(max_examples=30)
@given(steps, spans)
def test_knows_what_plain_sets_know(happened: list[Step], window: Span) -> None:
    """After whatever happened: which ids are missing, and which rows of a range should show."""
    known, sets = Known(), Sets()
    for step in happened:
        _apply(step, known, sets)
    away = sets.hot | sets.cold | sets.gone
    for id_ in range(HIGHEST + 1):
        assert known.is_missing(id_) == (id_ in sets.hot | sets.cold)
    expected = [i for i in range(window.first, window.last + 1) if i not in away]
    assert known.count_visible(window) == len(expected)
    assert list(known.visible_ids(window)) == expected
    assert known.lowest_missing_id() == min(sets.hot | sets.cold, default=None)


@settings(max_examples=30)
@given(st.lists(steps, max_size=4))
def test_what_is_written_loads_as_the_same(batches: list[list[Step]]) -> None:
    """Changes committed in pieces and loaded again are the same memory; closed ids are recorded."""
    known, sets, journal = Known(), Sets(), SimulatedJournal()
    for batch in batches:
        for step in batch:
            _apply(step, known, sets)
        journal.append([], known.take_changes(FeedState()))
        assert not known.has_changes
        record = journal.load()
        assert record is not None
        loaded = Known(record)
        assert not loaded.has_changes
        assert list(loaded.hot) == list(known.hot)
        assert list(loaded.cold) == list(known.cold)
        assert list(loaded.gone) == list(known.gone)
        again = loaded.take_changes(FeedState())
        assert (again.put, again.cut, again.put_gone, again.cut_gone) == ([], [], [], [])


def test_a_row_found_splits_its_range() -> None:
    """What is left of a range keeps its deadline."""
    known = Known()
    known.hot.add(10, 20, Hole(99, 5.0))
    assert known.note_found(15)
    assert not known.note_found(15)
    assert list(known.hot) == [(Span(10, 14), Hole(99, 5.0)), (Span(16, 20), Hole(99, 5.0))]


def test_closing_tells_and_records_what_was_given_up() -> None:
    """Ranges below an id are closed, the one across it in part; nothing above it is."""
    known = Known()
    known.cold.add(10, 20, Hole(99, 5.0))
    known.cold.add(30, 50, Hole(99, 5.0))
    known.gone.add(5, 6, None)
    assert known.give_up_below(40) == [Span(10, 20), Span(30, 39)]
    assert list(known.cold) == [(Span(40, 50), Hole(99, 5.0))]
    assert list(known.gone) == []
    assert list(known.take_changes(FeedState()).closed) == [(10, 20), (30, 39)]


HOLE = Hole(99, 5.0)
CHANGES: dict[str, Callable[[Known], object]] = {
    "a range is waited for": lambda known: known.hot.add(70, 71, HOLE),
    "a row is found": lambda known: known.note_found(10),
    "a range is no longer waited for": lambda known: known.stop_waiting(Span(10, 20)),
    "rows are gone": lambda known: known.gone.add(70, 71, None),
    "a range is given up": lambda known: known.give_up_below(35),
    "a range is parked": lambda known: known.park([Span(30, 31)], Parking(2, 0)),
    "parked rows are handled": lambda known: known.handle_parked([Span(50, 51)], HOLE),
    "parked rows are dropped": lambda known: known.drop_parked([Span(50, 51)]),
}
"""What happens to a memory, and has to be written."""


def remembering() -> Known:
    """Return a memory of some of each kind, of which all is written."""
    known = Known()
    known.hot.add(10, 20, HOLE)
    known.cold.add(30, 40, HOLE)
    known.parked.add(50, 55, Parking(1, 0))
    known.take_changes(FeedState())
    return known


@pytest.mark.parametrize("what", CHANGES)
def test_every_change_is_written_once(what: str) -> None:
    """Whatever happens, there is something to write; once it was taken, there is not."""
    known = remembering()
    assert not known.has_changes
    CHANGES[what](known)
    assert known.has_changes
    known.take_changes(FeedState())
    assert not known.has_changes


@pytest.mark.parametrize("kind", ["_closed_ranges", "_dropped_ranges"])
def test_what_was_given_up_or_dropped_is_a_change_by_itself(kind: str) -> None:
    """Also where no range is any other than before."""
    known = remembering()
    getattr(known, kind).append((3, 4))
    assert known.has_changes


def test_parked_ranges_are_known_by_their_parking() -> None:
    """A decision is about what was parked under a number; what is dropped is parked no more."""
    known = Known()
    for number, first in enumerate((10, 20, 30), start=1):
        known.cold.add(first, first + 5, HOLE)
        known.park([Span(first, first + 5)], Parking(number, 0))
    assert list(known.cold) == []
    assert known.ranges_parked_as([1, 3]) == [Span(10, 15), Span(30, 35)]
    assert known.ranges_parked_as([7]) == []
    known.drop_parked(known.ranges_parked_as([1]))
    known.handle_parked(known.ranges_parked_as([2]), HOLE)
    assert [span for span, _ in known.parked] == [Span(30, 35)]
    assert list(known.hot) == [(Span(20, 25), HOLE)]
    assert list(known.take_changes(FeedState()).dropped) == [(10, 15)]
