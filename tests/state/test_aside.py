"""Events set aside: on record once each, with their reason, until they come right."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from journal_rows import event_row

from sgevents_core.state.entries import TakenRow
from sgevents_core.state.feed_values import FeedChange, FeedState, SetAside
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Writer
from sgevents_core.state.sqlite import schema
from sgevents_core.state.sqlite.database import DATABASE


def test_each_is_on_record_once(state: Writer) -> None:
    """The first reason stays, and only the first time is one to tell of."""
    assert state.set_aside(7, "its entry is damaged", "journal", 5.0)
    assert not state.set_aside(7, "something else", "journal", 9.0)
    assert state.set_aside("9223372036854775808", "no id of an event", "site", 6.0)
    assert state.set_aside_events() == [
        SetAside("7", "its entry is damaged", "journal", 5.0),
        SetAside("9223372036854775808", "no id of an event", "site", 6.0),
    ]


def test_what_came_right_is_cleared(state: Writer) -> None:
    """Only of the place where it was wrong: the other record stays."""
    state.set_aside(7, "damaged", "journal", 5.0)
    state.set_aside(7, "odd", "site", 5.0)
    state.append(0, [], FeedChange(FeedState(), no_more_aside=["7"]))
    assert [(one.event, one.where) for one in state.set_aside_events()] == [("7", "journal")]


def test_long_names_are_shortened(state: Writer) -> None:
    """An id of a million characters is named by the first of them."""
    state.set_aside("9" * 1_000_000, "x" * 1_000_000, "site", 5.0)
    (one,) = state.set_aside_events()
    assert (one.event, one.reason) == ("9" * 200, "x" * 200)


def test_it_is_written_with_the_rows_of_its_page(state: Writer) -> None:
    """The feed's step holds both, and what came right leaves the record with its row."""
    odd = SetAside("true", "no id of an event", "site", 5.0)
    state.append(0, [TakenRow(event_row(1), False)], FeedChange(FeedState(), set_aside=[odd]))
    assert (state.end(), state.set_aside_events()) == (1, [odd])
    state.append(1, [], FeedChange(FeedState(), no_more_aside=["true"]))
    assert state.set_aside_events() == []


def test_state_of_an_older_version_has_none(tmp_path: Path) -> None:
    """It can be looked at before the daemon has brought it up to date."""
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        scripts = "".join(script for _, script in schema.migrations()[:3])
        db.executescript(scripts + "PRAGMA user_version = 3;")
    with closing(open_state(tmp_path).reader()) as state:
        assert state.set_aside_events() == []
    with closing(open_state(tmp_path).writer()) as state:
        assert state.set_aside(1, "odd", "site", 5.0)
