"""A state that is deleted, replaced or overwritten while it is open: seen at the next look."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from journal_rows import event_row, grow

from sgevents_core.errors import StateDamaged, StateError, StateGone
from sgevents_core.state.lock import StateLock
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Presence
from sgevents_core.state.sqlite.database import DATABASE
from sgevents_core.state.sqlite.presence import _READ_INTERVAL


def look(presence: Presence, times: int) -> None:
    """Look so many times."""
    for _ in range(times):
        presence.look()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The folder of a state that is open."""
    made = tmp_path / "state"
    lock, state = StateLock(made), open_state(made).writer()
    grow(state, [event_row(number) for number in range(1, 40)])
    yield made
    state.close()
    lock.close()


@pytest.fixture
def presence(folder: Path) -> Iterator[Presence]:
    """What looks at it, and has found it whole."""
    made = open_state(folder).presence()
    look(made, 2 * _READ_INTERVAL)
    yield made
    made.close()


def moved(folder: Path) -> None:
    """Move the folder away."""
    folder.rename(folder.with_name("elsewhere"))


def copied_over(folder: Path) -> None:
    """Put a copy of the folder in its place."""
    shutil.copytree(folder, folder.with_name("copy"))
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)


def made_anew(folder: Path) -> None:
    """Delete the database and make an empty one."""
    (folder / DATABASE).rename(folder.with_name("kept"))
    (folder / DATABASE).touch()


def without_log(folder: Path) -> None:
    """Delete the write-ahead log."""
    (folder / f"{DATABASE}-wal").unlink()


def unlocked(folder: Path) -> None:
    """Delete the lock."""
    (folder / "lock").unlink()


@pytest.mark.parametrize(
    "act", [shutil.rmtree, moved, copied_over, made_anew, without_log, unlocked]
)
def test_state_that_is_deleted_or_replaced_is_seen(
    folder: Path, presence: Presence, act: Callable[[Path], None]
) -> None:
    """Whatever of it is no longer the file that is open, the next look says which."""
    act(folder)
    with pytest.raises(StateGone, match=r"deleted|moved|replaced") as seen:
        presence.look()
    assert str(folder) in str(seen.value)
    assert seen.value.exit_code == 4


@pytest.mark.parametrize("begins", [0, 16_384])
def test_database_that_is_overwritten_is_seen(
    folder: Path, presence: Presence, begins: int
) -> None:
    """Garbage under an open connection is found, though that has most of it in memory."""
    database = folder / DATABASE
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with database.open("r+b") as file:
        file.seek(begins)
        file.write(b"\xa5" * (database.stat().st_size - begins))
    with pytest.raises(StateDamaged):
        look(presence, _READ_INTERVAL)


def test_state_that_cannot_be_looked_at_is_not_taken_for_gone(
    presence: Presence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process without free descriptors goes on."""

    def no_more(*args: object, **more: object) -> None:
        raise StateError(path="state", reason="unable to open database file")

    monkeypatch.setattr("sgevents_core.state.sqlite.presence.Database", no_more)
    look(presence, 2 * _READ_INTERVAL)
