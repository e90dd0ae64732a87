"""The ledger of a divided lane: places, plugins apart in strands, entries by strand."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from journal_rows import grow

from sgevents_core.choices import OrderBy
from sgevents_core.state.cursors import lowest_cursor
from sgevents_core.state.entries import Row
from sgevents_core.state.keys import CallKey
from sgevents_core.state.opening import open_state
from sgevents_core.state.plugin_record import PluginRecord, StrandRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import RecordedLane, Writer
from sgevents_core.state.steps import Step
from sgevents_core.state.strand_places import StrandPlaces
from sgevents_core.state.strands import STRANDS, strand_in, strands_of, strands_of_body

KEY = CallKey("p", "p:run")
ORDERS: list[OrderBy] = ["entity", "project", "none"]
PLACES = st.builds(
    lambda order_by, some: StrandPlaces(
        order_by,
        tuple(
            Progress(some[n % len(some)], frozenset([KEY] if n % 7 == 0 else []))
            for n in range(STRANDS)
        ),
    ),
    st.sampled_from(ORDERS),
    st.lists(st.integers(0, 9), min_size=1, max_size=5),
)


@settings(max_examples=20, deadline=None)
@given(written=st.lists(PLACES, min_size=1, max_size=4))
def test_places_never_go_back_unless_the_lane_is_divided_anew(written: list[StrandPlaces]) -> None:
    """What is written is joined with what is there; places of another order mean nothing now."""
    expected: StrandPlaces | None = None
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(open_state(Path(folder)).writer()) as state,
    ):
        fence = state.take_lane("main")
        assert state.lane_places("main") is None
        for places in written:
            state.record("main", fence, Step(places=places))
            known = expected is not None and expected.order_by == places.order_by
            expected = expected.joined(places) if known and expected is not None else places
            assert state.lane_places("main") == expected
            assert state.lane_progress("main") == Progress(expected.lowest)
        state.record("main", fence, Step(Progress(5), undivided=True))
        assert (state.lane_places("main"), state.lane_progress("main")) == (None, Progress(5))


def test_one_strand_is_written_without_the_others(state: Writer) -> None:
    """A step of a worker moves the place of its strand, also back to the middle of an event."""
    fence = state.take_lane("main")
    state.record("main", fence, Step(places=StrandPlaces.at("entity", Progress(3))))
    step = Step(Progress.at(7, frozenset({KEY})), strand=5)
    state.record("main", fence, step)
    places = state.lane_places("main")
    assert places == StrandPlaces.at("entity", Progress(3)).with_place(
        5, Progress(6, frozenset({KEY}))
    )
    assert state.take_lane("other")
    assert state.lane_places("other") is None


def test_plugin_is_apart_in_some_strands(state: Writer) -> None:
    """Its row and one for each such strand; a strand that it rejoined has none."""
    fence = state.take_lane("main")
    record = PluginRecord("p", "main", Progress(4), apart=True)
    state.record("main", fence, Step(plugins=[record]))
    strands = record.spread("entity")
    state.record("main", fence, Step(plugins=strands))
    found = state.plugins()["p"]
    assert (found.apart, found.order_by, len(found.strands)) == (False, "entity", STRANDS)
    assert {one.progress for one in found.strands.values()} == {Progress(4)}
    for strand in strands:
        if strand.strand not in {5, 6}:
            strand.rejoin_lane()
    strands[5].hold(99.0, "no route")
    strands[6].stop_at(Progress.at(9, frozenset({KEY})))
    state.record("main", fence, Step(plugins=strands))
    found = state.plugins()["p"]
    assert sorted(found.strands) == [5, 6]
    held, stopped = found.strands[5], found.strands[6]
    assert (held.state, held.reason, held.retry_at, held.cursor) == ("held", "no route", 99.0, 4)
    assert (stopped.state, stopped.progress) == ("active", Progress.at(9, frozenset({KEY})))
    found.pause("moving house")
    assert (held.state, held.reason, stopped.state) == ("paused", "moving house", "paused")


def test_plugin_that_goes_with_the_whole_lane_has_no_strands(state: Writer) -> None:
    """What it was apart from in a former time does not come back."""
    fence = state.take_lane("main")
    record = PluginRecord("p", "main", Progress(4), apart=True)
    state.record("main", fence, Step(plugins=record.spread("entity")))
    record.join_strands("entity")
    state.record("main", fence, Step(plugins=[record], whole=["p"]))
    assert state.plugins()["p"].strands == {}


def test_plugin_that_leaves_a_divided_lane_keeps_what_is_finished(state: Writer) -> None:
    """Its lowest place, and what is finished above it by strand; nothing of its strands is left."""
    places = StrandPlaces.at("project", Progress(9)).with_place(3, Progress(5))
    record = PluginRecord("p", "main")
    record.join_strands("project")
    record.strands = {7: StrandRecord(record, 7, Progress(2), apart=True)}
    record.strands[7].hold(99.0, "no route")
    record.leave_strands(places)
    assert (record.apart, record.progress, record.order_by) == (True, Progress(2), None)
    assert (record.state, record.reason, record.retry_at) == ("held", "no route", 99.0)
    expected = places.with_place(7, Progress(2))
    assert (record.above, record.strands) == (expected, {})
    fence = state.take_lane("main")
    state.record("main", fence, Step(plugins=[record]))
    assert state.plugins()["p"] == record
    record.finish(8)
    assert record.above == expected
    record.finish(9)
    assert record.above is None


def test_what_a_strand_still_needs_is_not_pruned(state: Writer) -> None:
    """The lowest cursor is that of the furthest behind: a strand, or a plugin in one."""
    fence = state.take_lane("main")
    grow(state, [Row(n, 0, "x", b"{}") for n in range(1, 20)])
    record = PluginRecord("p", "main")
    places = StrandPlaces.at("entity", Progress(15)).with_place(3, Progress(12))
    state.record("main", fence, Step(places=places, plugins=[record]))
    assert lowest_cursor(state, {"p"}) == 12
    record.apart = True
    record.progress = Progress(15)
    strands = record.spread("entity")
    strands[8].stop_at(Progress(15))
    strands[8].progress = Progress(7)
    state.record("main", fence, Step(plugins=strands))
    assert lowest_cursor(state, {"p"}) == 7


def test_lane_is_advanced_from_all_that_is_recorded(state: Writer) -> None:
    """Places and records are read and written in one transaction."""
    fence = state.take_lane("main")
    places = StrandPlaces.at("none", Progress(3))
    state.record("main", fence, Step(places=places, plugins=[PluginRecord("p", "main")]))
    seen: list[RecordedLane] = []

    def advanced(recorded: RecordedLane) -> Step:
        seen.append(recorded)
        return Step(places=places.with_place(2, Progress(8)))

    state.advance("main", fence, advanced)
    assert seen == [RecordedLane(Progress(3), places, [PluginRecord("p", "main")])]
    assert state.lane_places("main") == places.with_place(2, Progress(8))


@settings(max_examples=20, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 9), max_size=40),
    after=st.integers(0, 40),
    until=st.integers(0, 40),
    limit=st.integers(1, 9),
    order_by=st.sampled_from(ORDERS),
)
def test_entries_of_one_strand_are_read(
    numbers: list[int], after: int, until: int, limit: int, order_by: OrderBy
) -> None:
    """Those of the strand, in order; entries of an older version, without strands, too."""
    rows = []
    for number, entity in enumerate(numbers, start=1):
        body = b'{"id": %d, "event_type": "x", "entity": {"type": "T", "id": %d}}' % (
            number,
            entity,
        )
        strands = strands_of_body(body, number) if entity % 3 else None
        rows.append(Row(number, 0, "x", body, strands=strands))
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(open_state(Path(folder)).writer()) as state,
    ):
        grow(state, rows)
        for strand in range(STRANDS):
            found = state.read_strand(strand, order_by, after=after, until=until, limit=limit)
            own = [
                row.id
                for row in rows
                if strand_in(strands_of_body(row.body, row.id), order_by) == strand
            ]
            assert [entry.seq for entry in found] == [n for n in own if after < n <= until][:limit]


def test_strands_of_a_row_and_of_its_body_agree() -> None:
    """What the feed computes and what a reader of an old entry finds is the same."""
    row = {"id": 3, "event_type": "x", "entity": {"type": "T", "id": 9}}
    body = b'{"id": 3, "event_type": "x", "entity": {"type": "T", "id": 9}}'
    assert strands_of(row) == strands_of_body(body, 3)
