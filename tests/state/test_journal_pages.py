"""Pages of the journal: many events as one record, read like rows of their own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from journal_rows import AT, event_row, grow
from msgspec.structs import replace

from sgevents_core.errors import StateDamaged, StateError
from sgevents_core.state.entries import Entry, Route
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Writer
from sgevents_core.state.sqlite import schema
from sgevents_core.state.sqlite.database import DATABASE, Database
from sgevents_core.state.sqlite.journal_pages import FEWEST_EVENTS, heads_checksum
from sgevents_core.state.sqlite.moved_files import read_journal

MANY = range(1, 101)


def counted(folder: Path) -> tuple[int, int]:
    """How many rows and pages the journal has."""
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        (rows,) = db.execute("SELECT count(*) FROM journal").fetchone()
        (pages,) = db.execute("SELECT count(*) FROM journal_pages").fetchone()
    return rows, pages


def change(folder: Path, sql: str) -> None:
    """Change the database from outside."""
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        db.execute(sql)
        db.commit()


def shown(entries: Sequence[Entry]) -> list[tuple[int, int, bytes, bool | None]]:
    """What counts of entries."""
    return [(entry.seq, entry.event_id, entry.body, entry.whole) for entry in entries]


def test_many_events_in_turn_are_one_record(disk_state: Writer, tmp_path: Path) -> None:
    """Few events, and those that came late, are rows of their own."""
    grow(disk_state, [event_row(n) for n in MANY])
    assert counted(tmp_path) == (0, 1)
    grow(disk_state, [event_row(n) for n in range(101, 100 + FEWEST_EVENTS)])
    assert counted(tmp_path) == (FEWEST_EVENTS - 1, 1)
    late = range(201, 300)
    grow(disk_state, [event_row(n) for n in late], late=late)
    assert counted(tmp_path) == (FEWEST_EVENTS - 1 + len(late), 1)


def test_a_page_has_no_more_events_than_are_pruned_at_once(
    disk_state: Writer, tmp_path: Path
) -> None:
    """A long append makes several; what is left over is rows if it is too little."""
    grow(disk_state, [event_row(n) for n in range(1, 1_012)])
    assert counted(tmp_path) == (11, 2)
    assert [entry.event_id for entry in disk_state.read(0, 2_000)] == [*range(1, 1_012)]


def mixed(state: Writer) -> list[Entry]:
    """Let the journal have rows, pages, rows between pages, and an era more; return all of it."""
    grow(state, [event_row(n) for n in range(1, 6)])
    grow(state, [event_row(n) for n in range(10, 50)])
    grow(state, [event_row(n) for n in range(60, 95)])
    grow(state, [event_row(55), event_row(7)], late=[55, 7])
    grow(state, [event_row(n) for n in range(100, 140)])
    grow(state, [event_row(n) for n in range(1, 41)], era=2)
    return state.read(0, 1_000)


def test_rows_and_pages_are_one_sequence(disk_state: Writer, tmp_path: Path) -> None:
    """From every place on, and for every limit."""
    entries = mixed(disk_state)
    assert counted(tmp_path) == (7, 4)
    assert [entry.seq for entry in entries] == [*range(1, 163)]
    assert all(entry.whole for entry in entries)
    for after, limit in product(range(163), (0, 1, 2, 7, 50, 500)):
        assert disk_state.read(after, limit) == entries[after : after + limit]


def test_only_wanted_events_of_a_page_are_read(disk_state: Writer, tmp_path: Path) -> None:
    """By their type and route; where none is wanted, nobody looks at what the page holds."""
    routes = [("Shot_New", None, "Shot", 65), ("Shot_New", None, "Shot", None), None]
    rows = [replace(event_row(n, f"Kind_{n % 2}"), route=routes[n % 3]) for n in MANY]
    grow(disk_state, rows)
    asked = set()

    def is_wanted(event_type: str, route: Route | None) -> bool:
        asked.add((event_type, route))
        return event_type == "Kind_1" and route == routes[0]

    found, last_seq = disk_state.read_wanted(10, 50, is_wanted)
    assert [entry.seq for entry in found] == [*range(15, 61, 6)]
    assert last_seq == 60
    assert asked == set(product(("Kind_0", "Kind_1"), routes))
    change(tmp_path, "UPDATE journal_pages SET bodies = x''")
    with closing(open_state(tmp_path).reader()) as reader:
        assert reader.read_wanted(0, 500, lambda *_: False) == ([], 100)
        found, _ = reader.read_wanted(0, 500, is_wanted)
        assert [entry.whole for entry in found] == [False] * 17


def test_page_of_a_version_without_projects_is_read(disk_state: Writer, tmp_path: Path) -> None:
    """Its routes count as not known, so that each event is looked at."""
    route = ("Shot_New", None, "Shot", 65)
    grow(disk_state, [replace(event_row(n, "Shot_New"), route=route) for n in MANY])
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        ((last_seq, heads),) = db.execute("SELECT last_seq, heads FROM journal_pages")
        older_heads = heads.replace(b',"projects":[65]', b"")
        assert len(older_heads) < len(heads)
        db.execute(
            "UPDATE journal_pages SET heads = ?, sum = ?",
            (older_heads, heads_checksum(last_seq, 1, 1, older_heads)),
        )
        db.commit()

    def is_wanted(event_type: str, route: Route | None) -> bool:
        return event_type == "Shot_New" and route is None

    with closing(open_state(tmp_path).reader()) as reader:
        found, _ = reader.read_wanted(0, 500, is_wanted)
    assert [(entry.event_id, entry.whole, entry.route) for entry in found] == [
        (event_id, True, None) for event_id in MANY
    ]


def test_damaged_page_counts_as_wanted(disk_state: Writer, tmp_path: Path) -> None:
    """What its heads say of its events cannot be trusted."""
    grow(disk_state, [event_row(n) for n in MANY])
    change(tmp_path, FLIPPED.format("heads", "Shotgun", "Shotgum"))
    found, last_seq = disk_state.read_wanted(20, 30, lambda *_: False)
    assert [entry.seq for entry in found] == [*range(21, 51)]
    assert last_seq == 50


def test_events_are_found_by_id(disk_state: Writer, tmp_path: Path) -> None:
    """In rows and pages, of the newest era; ids between them are not there."""
    entries = mixed(disk_state)
    with closing(open_state(tmp_path).past()) as past:
        for event_id in range(150):
            last = next((one for one in reversed(entries) if one.event_id == event_id), None)
            event = past.event(event_id)
            assert (last is None) is (event is None)
            if event is not None and last is not None:
                assert (event.era, event.seq, event.body) == (last.era, last.seq, last.body)
        between = past.between(1, 40, 61)
        assert [event.event_id for event in between] == [*range(40, 50), 60, 61, 55]


def test_event_in_a_page_is_not_appended_again(disk_state: Writer) -> None:
    """Neither by itself nor with others; one that the page lacks is."""
    grow(disk_state, [event_row(n) for n in MANY if n != 50])
    for rows in ([event_row(7)], [event_row(n) for n in range(90, 150)]):
        with pytest.raises(StateError):
            grow(disk_state, rows)
    assert disk_state.end() == 99
    assert grow(disk_state, [event_row(50)], late=[50]) == 100


def test_event_in_a_row_is_not_appended_with_a_page(disk_state: Writer, tmp_path: Path) -> None:
    """Ids on both sides of a row, but without it, are rows as well."""
    grow(disk_state, [event_row(50)])
    with pytest.raises(StateError):
        grow(disk_state, [event_row(n) for n in MANY])
    assert counted(tmp_path) == (1, 0)
    grow(disk_state, [event_row(n) for n in MANY if n != 50])
    assert counted(tmp_path) == (100, 0)


def test_page_is_pruned_in_parts(disk_state: Writer, tmp_path: Path) -> None:
    """What was removed of it is read, found and counted no more, and may come again."""
    grow(disk_state, [event_row(n, at=AT + n) for n in MANY])
    grow(disk_state, [event_row(n, at=AT + n) for n in range(101, 201)])
    assert disk_state.prune(2 * AT, 999, entry_limit=30) == 30
    assert (disk_state.lowest(), disk_state.end(), counted(tmp_path)) == (31, 200, (0, 2))
    assert [entry.event_id for entry in disk_state.read(0, 999)] == [*range(31, 201)]
    assert disk_state.seq_before_time(AT) == disk_state.seq_before_event(1) == 30
    with closing(open_state(tmp_path).past()) as past:
        assert past.event(30) is None
        assert past.event(31) is not None
        start = past.kept_from(1)
        assert start is not None
        assert start.event_id == 31
    assert disk_state.prune(AT + 121, 999) == 90
    assert (disk_state.lowest(), counted(tmp_path)) == (121, (0, 1))
    assert grow(disk_state, [event_row(30)], late=[30]) == 201


FLIPPED = "UPDATE journal_pages SET {0} = CAST(replace(CAST({0} AS TEXT), '{1}', '{2}') AS BLOB)"
BODY_OF_FIVE = FLIPPED.format("bodies", '"id": 5,', '"id": 6,')


def test_damaged_event_of_a_page_affects_no_other(disk_state: Writer, tmp_path: Path) -> None:
    """Its checksum says so, of it alone."""
    grow(disk_state, [event_row(n) for n in MANY])
    change(tmp_path, BODY_OF_FIVE)
    entries = disk_state.read(0, 999)
    assert [entry.event_id for entry in entries if not entry.whole] == [5]


@pytest.mark.parametrize("flip", [("[1,2,3", "[1,2,4"), ("Studio", "Studip"), ("{", "[")])
def test_damaged_heads_are_made_up_from_the_rows(
    disk_state: Writer, tmp_path: Path, flip: tuple[str, str]
) -> None:
    """No event of the page counts as whole, but it is known which ones to read again."""
    grow(disk_state, [event_row(n, "Studio_Ö") for n in (*MANY, 200, 300)])
    change(tmp_path, FLIPPED.format("heads", *flip))
    entries = disk_state.read(0, 999)
    assert [entry.event_id for entry in entries] == [*MANY, 200, 300]
    assert [entry.seq for entry in entries] == [*range(1, 103)]
    assert {(entry.whole, entry.event_type, entry.era) for entry in entries} == {
        (False, "Studio_Ö", 1)
    }


def test_flipped_beginning_of_a_page_hides_nothing(disk_state: Writer, tmp_path: Path) -> None:
    """It counts as damage, so that all events of the page are read from the site again."""
    grow(disk_state, [event_row(n) for n in MANY])
    change(tmp_path, "UPDATE journal_pages SET first_seq = 65")
    entries = disk_state.read(0, 999)
    assert [entry.event_id for entry in entries if entry.whole is False] == [*MANY]


@pytest.mark.parametrize("bodies", ["7b7d7d", "7b7d", "", "5b31"])
def test_page_without_a_readable_event_is_damage(
    disk_state: Writer, tmp_path: Path, bodies: str
) -> None:
    """Nobody passes over events that cannot even be counted."""
    grow(disk_state, [event_row(n) for n in MANY])
    change(tmp_path, f"UPDATE journal_pages SET heads = x'7b7d', bodies = x'{bodies}'")
    with pytest.raises(StateDamaged, match="a page"):
        disk_state.read(0, 999)


def test_mended_event_of_a_page(tmp_path: Path) -> None:
    """It is whole again, and so are its neighbours; another that is damaged stays so."""
    with closing(open_state(tmp_path).writer()) as state:
        grow(state, [event_row(n) for n in MANY])
        before = shown(state.read(0, 999))
        change(tmp_path, BODY_OF_FIVE)
        change(tmp_path, FLIPPED.format("bodies", '"id": 9,', '"id": 8,'))
        entry = state.read(4, 1)[0]
    with closing(open_state(tmp_path).lane_writer()) as lane:
        assert lane.pass_over(entry, ["notify"], "it is not what was written")
    with closing(open_state(tmp_path).feed_writer()) as feed:
        feed.mend(1, [event_row(5)])
        after = shown(feed.read(0, 999))
    assert counted(tmp_path) == (100, 0)
    damaged = (9, 9, before[8][2].replace(b'"id": 9,', b'"id": 8,'), False)
    assert after == [*before[:8], damaged, *before[9:]]


def test_all_of_a_journal_is_moved(disk_state: Writer, tmp_path: Path) -> None:
    """As rows with the checksums of rows: those of pages as well."""
    entries = mixed(disk_state)
    with closing(Database(tmp_path)) as database:
        rows = [*read_journal(database)]
        with database.transaction() as connection:
            connection.execute("DELETE FROM journal_pages")
            connection.execute("DELETE FROM journal")
            connection.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    assert disk_state.read(0, 999) == entries


def test_page_is_seen_over_a_connection_that_is_older(tmp_path: Path) -> None:
    """Who reads while another process brings the schema up to date reads on."""
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        scripts = "".join(script for _, script in schema.migrations()[:16])
        db.executescript(scripts + "PRAGMA user_version = 16;")
    with closing(open_state(tmp_path).reader()) as reader:
        assert (reader.read(0, 99), reader.end(), reader.lowest()) == ([], 0, 1)
        with closing(open_state(tmp_path).writer()) as state:
            grow(state, [event_row(n) for n in MANY])
        assert [entry.event_id for entry in reader.read(0, 999)] == [*MANY]
        assert (reader.end(), reader.lowest()) == (100, 1)


def test_page_that_goes_while_it_is_read(disk_state: Writer, tmp_path: Path) -> None:
    """Between the query that shows it and the one that reads it: what is left is read."""
    grow(disk_state, [event_row(n) for n in MANY])
    grow(disk_state, [event_row(n) for n in range(101, 201)])
    with closing(open_state(tmp_path).reader()) as reader:
        database: Any = reader
        fetch_all: Callable[..., Any] = database.database.fetch_all
        pruned: list[int] = []

        def prune_first(sql: str, *values: Any) -> Any:
            if not pruned and "last_seq = ?" in sql:
                pruned.append(disk_state.prune(2 * AT, 999, entry_limit=100))
                return []
            return fetch_all(sql, *values)

        database.database.fetch_all = prune_first
        entries = reader.read(0, 999)
    assert pruned == [100]
    assert [entry.event_id for entry in entries] == [*range(101, 201)]
