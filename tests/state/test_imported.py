"""A state that begins where another daemon ended: positions, and the feed's first ranges."""

from __future__ import annotations

import sqlite3
from collections.abc import Set as AbstractSet
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_rows import AT, event_row, grow

from sgevents_core.errors import StateDamaged
from sgevents_core.state.entries import TakenRow
from sgevents_core.state.feed_values import FeedChange, FeedState, MissingRange
from sgevents_core.state.imported import ImportedPosition, ranges_of
from sgevents_core.state.opening import open_state
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.protocols import State, Writer
from sgevents_core.state.sqlite import schema
from sgevents_core.state.sqlite.database import DATABASE
from sgevents_core.state.steps import Step

POSITIONS = {
    "classic:studio/notify": ImportedPosition(100, ((90, 91), (95, 95))),
    "classic:studio/rollup": ImportedPosition(120),
}
CHANGE = FeedChange(FeedState(floor=90, frontier=100), put=[MissingRange(90, 91, AT, 0.0, True)])


@given(st.integers(0, 60), st.frozensets(st.integers(1, 60)))
def test_a_position_knows_each_id(last_id: int, missing: AbstractSet[int]) -> None:
    """A plugin had every event up to its last one, except the missing ones."""
    position = ImportedPosition.of(last_id, missing)
    had = {event_id for event_id in range(1, 62) if position.has_had(event_id)}
    assert had == set(range(1, last_id + 1)) - missing
    needed = set(range(1, 62)) - had
    assert position.first_needed == min(needed)


@given(st.frozensets(st.integers(1, 40)))
def test_ranges_hold_the_same_ids(ids: AbstractSet[int]) -> None:
    """Ranges are ascending, apart from each other, and hold the ids and no others."""
    ranges = ranges_of(ids)
    held = [id_ for first, last in ranges for id_ in range(first, last + 1)]
    assert held == sorted(ids)
    assert all(left[1] + 1 < right[0] for left, right in pairwise(ranges))


def test_a_state_begins_where_another_daemon_ended(home: State, state: Writer) -> None:
    """The positions, the feed's state and a record of each plugin are there at once."""
    assert state.import_positions(CHANGE, POSITIONS, "default")
    with closing(home.reader()) as reader:
        assert reader.imported_positions() == POSITIONS
        assert set(reader.plugins()) == set(POSITIONS)
        record = reader.plugins()["classic:studio/notify"]
        assert record == PluginRecord("classic:studio/notify", "default", apart=True)
        feed = reader.load_feed()
    assert feed is not None
    assert (feed.state.frontier, list(feed.missing)) == (100, CHANGE.put)


def test_a_state_that_has_begun_takes_no_positions(state: Writer) -> None:
    """Nothing is written beside a plugin that may have been called."""
    grow(state, [event_row(5)])
    fence = state.take_lane("default")
    state.record("default", fence, Step(plugins=[PluginRecord("notify", "default")]))
    before = state.load_feed()
    assert not state.import_positions(CHANGE, POSITIONS, "default")
    assert (state.imported_positions(), state.load_feed()) == ({}, before)


def test_positions_are_imported_again_until_a_daemon_works(state: Writer) -> None:
    """A later import takes the place of an earlier one."""
    assert state.import_positions(CHANGE, POSITIONS, "default")
    again = {"other": ImportedPosition(7)}
    change = FeedChange(FeedState(frontier=7), put=[MissingRange(3, 3, AT, 0.0, True)])
    assert state.import_positions(change, again, "default")
    feed = state.load_feed()
    assert feed is not None
    assert (feed.state.frontier, list(feed.missing)) == (7, change.put)
    assert (state.imported_positions(), list(state.plugins())) == (again, ["other"])
    fence = state.take_lane("default")
    record = state.plugins()["other"]
    record.finish(1)
    state.record("default", fence, Step(plugins=[record]))
    assert not state.import_positions(CHANGE, POSITIONS, "default")
    assert (state.imported_positions(), list(state.plugins())) == (again, ["other"])


def test_a_feed_that_only_read_continues_where_it_is(state: Writer) -> None:
    """Events read for a trial stay; positions below its beginning are refused."""
    assert state.import_positions(CHANGE, POSITIONS, "default")
    feed = state.load_feed()
    assert feed is not None
    feed.state.frontier = 110
    state.append(0, [TakenRow(event_row(110), late=False)], FeedChange(feed.state))
    later = {"classic:studio/notify": ImportedPosition(105)}
    change = FeedChange(FeedState(floor=106, frontier=105))
    assert state.import_positions(change, later, "default")
    found = state.load_feed()
    assert found is not None
    assert (found.state.floor, found.state.frontier, state.end()) == (90, 110, 1)
    assert (state.imported_positions(), list(state.plugins())) == (later, list(later))
    too_low = FeedChange(FeedState(floor=80, frontier=79))
    assert not state.import_positions(too_low, POSITIONS, "default")
    assert state.imported_positions() == later


def test_a_state_of_an_earlier_version_has_no_positions(tmp_path: Path) -> None:
    """It is read as one without positions, and after the upgrade too."""
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        scripts = "".join(script for _, script in schema.migrations()[:10])
        db.executescript(f"{scripts} PRAGMA user_version = 10;")
    with closing(open_state(tmp_path).reader()) as reader:
        assert reader.imported_positions() == {}
    with closing(open_state(tmp_path).writer()) as writer:
        assert writer.imported_positions() == {}


def test_a_damaged_position_is_found(tmp_path: Path, disk_state: Writer) -> None:
    """A position that is not what was written is reported instead of used."""
    disk_state.import_positions(CHANGE, POSITIONS, "default")
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        db.execute("UPDATE imported SET last_id = last_id + 1")
        db.commit()
    with closing(open_state(tmp_path).reader()) as reader, pytest.raises(StateDamaged) as damaged:
        reader.imported_positions()
    assert "the imported position of plugin classic:studio/notify" in str(damaged.value)
