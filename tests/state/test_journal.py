"""The journal: rows appended with the feed's state, read after a cursor, pruned."""

from __future__ import annotations

import tempfile
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_rows import AT, event_row, grow
from state_values import CHANGES

from sgevents_core.errors import StaleWriter, StateError
from sgevents_core.state.cursors import lowest_cursor
from sgevents_core.state.entries import Route, TakenRow
from sgevents_core.state.feed_values import FeedChange, FeedState, MissingRange, ParkedRange
from sgevents_core.state.opening import open_state
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import Writer
from sgevents_core.state.steps import Step


def ids(state: Writer, after: int = 0, limit: int = 1000) -> list[int]:
    """The ids of the events in the journal, in its order."""
    return [entry.event_id for entry in state.read(after, limit)]


def test_rows_are_read_as_they_were_appended(state: Writer) -> None:
    """Entries come in the order appended, numbered from 1, late ones marked, bodies unchanged."""
    rows = [event_row(7), event_row(9, "Shotgun_Shot_New"), event_row(8, at=AT + 5)]
    assert state.end() == 0
    assert grow(state, rows, late={8}) == 3
    entries = state.read(0, 10)
    assert [entry.seq for entry in entries] == [1, 2, 3]
    assert [(e.event_id, e.event_type, e.created, e.body) for e in entries] == [
        (row.id, row.event_type, row.at, row.body) for row in rows
    ]
    assert [entry.late for entry in entries] == [False, False, True]
    assert ids(state, after=1) == [9, 8]
    assert ids(state, after=0, limit=2) == [7, 9]
    assert ids(state, after=3) == []


@pytest.mark.parametrize("count", [1, 49, 50, 51, 137, 500])
def test_pages_of_any_length_are_appended(state: Writer, count: int) -> None:
    """Every row is there, in order, and whole."""
    rows = [event_row(100 + number, f"Type_{number}") for number in range(count)]
    assert grow(state, rows[:1]) == 1
    assert grow(state, rows[1:]) == count
    entries = state.read(0, 1000)
    assert [entry.seq for entry in entries] == list(range(1, count + 1))
    assert [(e.event_id, e.event_type, e.body, e.whole) for e in entries] == [
        (row.id, row.event_type, row.body, True) for row in rows
    ]


def test_wanted_entries_are_read(state: Writer) -> None:
    """None of them is left out, and the last place of all is known, from every place on."""
    kinds = ("Shotgun_Shot_New", "Shotgun_Note_New", "Shotgun_Asset_New")
    for ids_at_once in (range(1, 41), [41], [42], range(50, 90), range(90, 150)):
        grow(state, [event_row(n, kinds[n // 20 % 3]) for n in ids_at_once])

    def is_wanted(event_type: str, route: Route | None) -> bool:
        assert route is None
        return event_type == kinds[1]

    for after, limit in product(range(0, 145, 6), (0, 1, 7, 50, 500)):
        entries = state.read(after, limit)
        found, last_seq = state.read_wanted(after, limit, is_wanted)
        assert last_seq == (entries[-1].seq if entries else after)
        assert [one for one in found if one.event_type == kinds[1]] == [
            one for one in entries if one.event_type == kinds[1]
        ]
        assert {one.seq for one in found} <= {one.seq for one in entries}


def test_writer_that_does_not_know_the_end_is_refused(state: Writer, tmp_path: Path) -> None:
    """An append for another end than the journal's writes nothing, neither rows nor state."""
    grow(state, [event_row(1)])
    second = open_state(tmp_path).writer()
    second.append(1, [TakenRow(event_row(2), late=False)], FeedChange(FeedState(frontier=2)))
    with pytest.raises(StaleWriter, match="the journal"):
        state.append(1, [TakenRow(event_row(3), late=False)], FeedChange(FeedState(frontier=3)))
    found = state.load_feed()
    assert found is not None
    assert (ids(state), found.state.frontier) == ([1, 2], 2)
    second.close()


def test_append_that_fails_half_way_leaves_nothing(state: Writer) -> None:
    """A row the journal holds already is refused, and rows and state beside it are not kept."""
    grow(state, [event_row(1)])
    rows = [TakenRow(event_row(2), late=False), TakenRow(event_row(1), late=True)]
    change = FeedChange(FeedState(frontier=2), put=[MissingRange(5, 6, AT, 0.0, hot=True)])
    with pytest.raises(StateError):
        state.append(1, rows, change)
    found = state.load_feed()
    assert found is not None
    assert (ids(state), found.state.frontier, found.missing) == ([1], 1, [])


def test_ids_are_unique_within_one_era_only(state: Writer) -> None:
    """After a reset of the feed the same id may come again, as another event."""
    grow(state, [event_row(1)])
    assert grow(state, [event_row(1)], era=2) == 2
    assert ids(state) == [1, 1]


@given(st.lists(CHANGES, min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_feed_state_comes_back_as_it_was_written(changes: list[FeedChange]) -> None:
    """State, missing, gone and parked ranges are what all changes make of them, also reopened."""
    missing: dict[int, MissingRange] = {}
    gone: dict[int, tuple[int, int]] = {}
    parked: dict[int, ParkedRange] = {}
    with tempfile.TemporaryDirectory() as folder:
        state = open_state(Path(folder)).writer()
        assert state.load_feed() is None
        for change in changes:
            state.append(0, [], change)
            for first in change.cut:
                missing.pop(first, None)
            missing.update((some.first, some) for some in change.put)
            for first in change.cut_gone:
                gone.pop(first, None)
            gone.update((span[0], span) for span in change.put_gone)
            for first in change.cut_parked:
                parked.pop(first, None)
            parked.update((some.first, some) for some in change.put_parked)
        state.close()
        state = open_state(Path(folder)).writer()
        found = state.load_feed()
        state.close()
    assert found is not None
    assert found.state == changes[-1].state
    assert found.missing == [missing[first] for first in sorted(missing)]
    assert found.gone == [gone[first] for first in sorted(gone)]
    assert found.parked == [parked[first] for first in sorted(parked)]


def test_place_of_an_id_or_a_time_is_found(state: Writer) -> None:
    """`seq_before` gives the cursor from which every event at or above a value is still read."""
    grow(state, [event_row(10, at=100), event_row(14, at=104), event_row(12, at=102)], late={12})
    assert state.seq_before_event(11) == 1
    assert state.seq_before_event(1) == 0
    assert state.seq_before_event(99) == 3
    assert state.seq_before_time(103) == 1
    assert [state.created_after(seq) for seq in (0, 1, 3)] == [100, 104, None]


def test_prune_takes_what_is_old_and_needed_by_nobody(state: Writer) -> None:
    """Old entries go from the front, at most so many at once; a needed one and all above stay."""
    grow(state, [event_row(n, at=100 + n) for n in range(1, 21)])
    assert state.prune(created_before=0, first_kept_seq=99) == 0
    assert state.prune(created_before=106, first_kept_seq=99, entry_limit=3) == 3
    assert state.lowest() == 4
    assert state.prune(created_before=106, first_kept_seq=99) == 2
    assert state.prune(created_before=1000, first_kept_seq=9) == 3
    assert ids(state) == list(range(9, 21))
    assert state.lowest() == 9


def test_prune_takes_a_small_portion_at_once(state: Writer) -> None:
    """Others wait while it writes: no more than 500 entries go in one transaction."""
    grow(state, [event_row(n) for n in range(1, 1_202)])
    assert [state.prune(2 * AT, 99_999) for _ in range(4)] == [500, 500, 200, 0]


def test_prune_keeps_the_last_entry(state: Writer) -> None:
    """However old it is, one entry stays, so that numbers of the journal never come again."""
    assert state.prune(created_before=1000, first_kept_seq=99) == 0
    grow(state, [event_row(1), event_row(2)])
    assert state.prune(created_before=2 * AT, first_kept_seq=99) == 1
    assert (ids(state), state.end(), state.lowest()) == ([2], 2, 2)
    assert grow(state, [event_row(3)]) == 3


def test_prune_stops_below_a_young_entry(state: Writer) -> None:
    """A late row that is older than its neighbours goes when they go."""
    grow(state, [event_row(1, at=1), event_row(3, at=50), event_row(2, at=2), event_row(4, at=60)])
    assert state.prune(created_before=10, first_kept_seq=99) == 1
    assert ids(state) == [3, 2, 4]


def test_cursor_that_is_needed_is_the_lowest_of_the_enabled_plugins(state: Writer) -> None:
    """Plugins apart count by their cursor, those that ride by their lane, others not at all."""
    grow(state, [event_row(n) for n in range(1, 51)])
    records = [
        PluginRecord("rides", "main", Progress(1)),
        PluginRecord("apart", "main", Progress(30), apart=True),
        PluginRecord("disabled", "main", Progress(3), apart=True),
        PluginRecord("ahead", "unused", Progress(45), apart=True),
    ]
    for lane, progress in (("main", Progress.at(40, frozenset())), ("unused", Progress(2))):
        fence = state.take_lane(lane)
        mine = [record for record in records if record.lane == lane]
        state.record(lane, fence, Step(progress=progress, plugins=mine))
    assert lowest_cursor(state, {"rides", "apart", "ahead"}) == 30
    assert lowest_cursor(state, {"rides", "ahead"}) == 39
    assert lowest_cursor(state, {"ahead"}) == 45
    assert lowest_cursor(state, {"disabled"}) == 3
    assert lowest_cursor(state, ()) == 50
