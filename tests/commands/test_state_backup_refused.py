"""`sgevents state backup` where the copy cannot be written: the target is named, not the state."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from journal_rows import event_row, grow

from sgevents_core.errors import BackupError, StateDamaged, StateError
from sgevents_core.state.opening import open_state
from sgevents_core.state.sqlite import schema
from sgevents_core.state.sqlite.database import DATABASE, Database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state with events."""
    made = tmp_path / "state"
    made.mkdir()
    with closing(open_state(made).writer()) as state:
        grow(state, [event_row(n, filler="x" * 3000) for n in range(1, 100)])
    return made


@contextmanager
def no_file_longer(than: int) -> Iterator[None]:
    """Let the system refuse to write more into a file, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (than, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def back_up(folder: Path, target: Path) -> int:
    """Back the state up, as the command does."""
    with closing(Database(folder, read_only=True)) as db:
        return db.back_up(target)


def test_full_disk_of_the_target_is_told_of_the_target(folder: Path) -> None:
    """Nobody looks for the fault in the state; nothing half written stays."""
    target = folder.parent / "copy.db"
    with no_file_longer(40_000), pytest.raises(BackupError) as refused:
        back_up(folder, target)
    assert str(target) in str(refused.value)
    assert str(folder) not in str(refused.value)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["state"]


@pytest.mark.parametrize("where", ["nowhere/copy.db", "file/copy.db", "folder"])
def test_target_that_cannot_be_is_told(folder: Path, where: str) -> None:
    """A folder that is not there, a file in its place, a folder of that name."""
    (folder.parent / "file").touch()
    (folder.parent / "folder").mkdir()
    with pytest.raises(BackupError, match=where):
        back_up(folder, folder.parent / where)


@pytest.mark.parametrize("name", [DATABASE, f"{DATABASE}-wal", "lock"])
def test_state_is_not_written_over(folder: Path, name: str) -> None:
    """A daemon that runs on it would go on with a file that nobody finds."""
    before = (folder / DATABASE).stat().st_ino
    with pytest.raises(BackupError, match="the state itself"):
        back_up(folder, folder / name)
    assert (folder / DATABASE).stat().st_ino == before


def test_damage_of_the_state_is_told_of_the_state(folder: Path) -> None:
    """Where it is the state that cannot be read."""
    with (folder / DATABASE).open("r+b") as file:
        file.write(b"\xa5" * 4096)
    with pytest.raises(StateDamaged, match=str(folder)):
        back_up(folder, folder.parent / "copy.db")


def test_upgrade_that_cannot_keep_a_copy_changes_nothing(tmp_path: Path) -> None:
    """The copy is named, and the state is of the older version still."""
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        db.executescript(schema.migrations()[0][1] + "PRAGMA user_version = 1;")
        rows = [(n, 1, n, "Studio_A", 9, 0, b"x" * 3000) for n in range(1, 60)]
        db.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        db.commit()
    with no_file_longer(60_000), pytest.raises((BackupError, StateError)) as refused:
        open_state(tmp_path).writer()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert "cannot be" in str(refused.value)
