"""The state's database: made, brought up to date, refused when a newer version wrote it."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from journal_rows import event_row, grow

from sgevents_core.errors import StateError
from sgevents_core.reading.overview import read_overview
from sgevents_core.state.keys import CallKey
from sgevents_core.state.opening import open_state
from sgevents_core.state.progress import Progress
from sgevents_core.state.sqlite import schema
from sgevents_core.state.sqlite.database import DATABASE, Database
from sgevents_core.state.steps import Step

NEWEST = len(schema.migrations())


def version(folder: Path) -> int:
    """The version that the file says its schema has."""
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def test_migrations_are_numbered_without_a_gap() -> None:
    """A schema's version is the number of its last migration."""
    assert [number for number, _ in schema.migrations()] == list(range(1, NEWEST + 1))


def test_new_state_has_the_newest_schema(tmp_path: Path) -> None:
    """A folder without a database gets one, in WAL mode, which others may not read."""
    before = os.umask(0o022)
    try:
        state = open_state(tmp_path).writer()
        grow(state, [event_row(1)])
    finally:
        os.umask(before)
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert files == {DATABASE + end: 0o640 for end in ("", "-wal", "-shm")}
    state.close()
    assert version(tmp_path) == NEWEST


@pytest.mark.parametrize("page_size", [None, 4096])
def test_size_of_pages(tmp_path: Path, page_size: int | None) -> None:
    """A new state has large pages, an older one keeps its own; the log of writes is as short."""
    if page_size is not None:
        with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
            db.execute(f"PRAGMA page_size = {page_size}")
            db.execute("VACUUM")
    with closing(Database(tmp_path)) as database:
        assert database.fetch_number("PRAGMA page_size") == (page_size or 16_384)
        pages_in_log = database.fetch_number("PRAGMA wal_autocheckpoint")
        assert pages_in_log * (page_size or 16_384) == 4_096_000


@pytest.mark.parametrize("read_only", [False, True])
def test_newer_schema_is_refused_with_a_clear_error(tmp_path: Path, read_only: bool) -> None:
    """A state that a newer version wrote is left as it is, and the error says what to do."""
    open_state(tmp_path).writer().close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        db.execute(f"PRAGMA user_version = {NEWEST + 7}")
        db.execute("PRAGMA journal_mode = DELETE")
    before = (tmp_path / DATABASE).read_bytes()
    state = open_state(tmp_path)
    with pytest.raises(StateError) as refused:
        (state.reader if read_only else state.writer)()
    assert f"version {NEWEST + 7}" in str(refused.value)
    assert f"knows up to {NEWEST}" in str(refused.value)
    assert "install the version that wrote it" in str(refused.value)
    assert (tmp_path / DATABASE).read_bytes() == before


def test_state_of_an_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    """Migrations that a state lacks are applied in order; what it holds stays."""
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        db.executescript(schema.migrations()[0][1] + "PRAGMA user_version = 1;")
        db.execute("INSERT INTO journal VALUES (1, 1, 5, 'Shotgun_Task_New', 9, 0, x'7b7d')")
        db.commit()
    state = open_state(tmp_path).writer()
    assert [entry.event_id for entry in state.read(0, 9)] == [5]
    state.close()
    assert version(tmp_path) == NEWEST


def test_several_open_a_new_state_at_once(tmp_path: Path) -> None:
    """Whoever comes first makes the schema, the others find it made."""
    for turn in range(5):
        folder = tmp_path / str(turn)
        folder.mkdir()
        together = threading.Barrier(6)

        def open_one(folder: Path = folder, together: threading.Barrier = together) -> int:
            together.wait()
            state = open_state(folder).writer()
            end = state.end()
            state.close()
            return end

        with ThreadPoolExecutor(6) as pool:
            opened = [pool.submit(open_one) for _ in range(6)]
            assert [one.result() for one in opened] == [0] * 6
        assert version(folder) == NEWEST


def test_migration_that_fails_leaves_the_state_as_it_was(tmp_path: Path) -> None:
    """A migration is kept whole or not at all."""
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        db.execute("CREATE TABLE stores (in_the_way)")
        db.commit()
    with pytest.raises(StateError, match="stores"):
        open_state(tmp_path).writer()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert tables == [("stores",)]
    assert version(tmp_path) == 0


def test_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    """A file of something else is an error that names it."""
    (tmp_path / DATABASE).write_bytes(b"no database at all, but long enough to be one" * 100)
    with pytest.raises(StateError, match=DATABASE):
        open_state(tmp_path).writer()


def test_damage_is_told_wherever_it_is_met(tmp_path: Path) -> None:
    """A database that is damaged while in use is the same error for reading and for writing."""
    state = open_state(tmp_path).writer()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        db.executescript("DROP TABLE journal; DROP TABLE lanes; DROP TABLE plugins")
    for use in (state.end, state.plugins, lambda: state.read(0, 1), lambda: state.take_lane("x")):
        with pytest.raises(StateError, match="no such table"):
            use()
    state.close()


def test_reading_makes_nothing(tmp_path: Path) -> None:
    """To look at a state that is not there is an error, and leaves no file."""
    with pytest.raises(StateError):
        open_state(tmp_path).reader()
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A state's folder is made by who takes its lock, and by nobody else."""
    with pytest.raises(StateError, match="unable to open"):
        open_state(tmp_path / "nowhere").writer()


def test_state_that_is_just_being_made_says_that_nothing_has_run(tmp_path: Path) -> None:
    """Between the file and its tables there is a moment; who looks then is told nothing wrong."""
    sqlite3.connect(tmp_path / DATABASE).close()
    assert read_overview(tmp_path, frozenset()) is None


def test_state_of_an_older_version_can_be_looked_at(tmp_path: Path) -> None:
    """`status` works before the daemon has brought the state up to date."""
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        scripts = "".join(script for _, script in schema.migrations()[:2])
        db.executescript(scripts + "PRAGMA user_version = 2;")
        db.execute("INSERT INTO feed VALUES (1, '{\"frontier\": 7}')")
        db.commit()
    found = read_overview(tmp_path, frozenset())
    assert found is not None
    assert found.feed is not None
    assert (found.feed.newest_id, found.feed.parked) == (7, 0)


@pytest.mark.parametrize("before", range(1, NEWEST))
def test_state_of_every_earlier_version_goes_on(tmp_path: Path, before: int) -> None:
    """Its events, places, stores and failures are read and written, with a copy kept beside."""
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        scripts = "".join(script for _, script in schema.migrations()[:before])
        db.executescript(scripts + f"PRAGMA user_version = {before};")
        db.executescript(
            """
            INSERT INTO journal (seq, era, event_id, event_type, created_at, late, body)
                VALUES (1, 1, 5, 'Studio_A', 9, 0, x'7b226964223a357d');
            INSERT INTO feed (one, state) VALUES (1, '{"frontier": 5}');
            INSERT INTO lanes (name, fence, seq) VALUES ('main', 3, 1);
            INSERT INTO plugins (name, lane, cursor, apart, done, state, reason, retry_at, failures)
                VALUES ('p', 'main', 1, 1, '[]', 'held', 'why', 2.0, 1);
            INSERT INTO stores (plugin, key, value) VALUES ('p', 'n', '[7]');
            INSERT INTO attempts VALUES ('p', 'p:on', 1, 2, 'E');
            INSERT INTO failures (plugin, callback, seq, event_id, attempt, error, traceback, at,
                outcome, dead, body)
                VALUES ('p', 'p:on', 1, 5, 1, 'E', 'Traceback', 1.0, 'dead-letter', 1, x'7b7d');
            """
        )
    with closing(open_state(tmp_path).reader()) as old:
        seen = (old.read(0, 9), old.plugins(), old.store("p"), old.dead_letters())
    with closing(open_state(tmp_path).writer()) as state:
        assert (state.read(0, 9), state.plugins(), state.store("p"), state.dead_letters()) == seen
        feed = state.load_feed()
        assert feed is not None
        assert feed.state.frontier == 5
        assert state.attempts() == {(CallKey("p", "p:on"), 1): 2}
        step = Step(Progress(1), [state.plugins()["p"]], store={"p": {"n": [8]}})
        state.record("main", state.take_lane("main"), step)
        grow(state, [event_row(6)])
        assert [entry.event_id for entry in state.read(0, 9)] == [5, 6]
        assert state.store("p") == {"n": [8]}
    assert version(tmp_path) == NEWEST
    assert (tmp_path / f"sgevents.schema-{before}.db").exists()
