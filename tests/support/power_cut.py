"""A disk that holds only what was synced, as a power cut would leave it."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sgevents_core.state import register
from sgevents_core.state.sqlite import backup, database


class Disk:
    """Keeps the part of each state's database that has reached the disk.

    Args:
        patch: Puts it between the code under test and the real disk.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._taken: dict[Path, sqlite3.Connection] = {}
        self._lock = threading.Lock()
        self._boots = 1
        disk, on_disk = self, backup.flush_to_disk

        class Watched(sqlite3.Connection):
            """A connection whose durable commits are seen."""

            def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
                cursor = super().execute(sql, *values)
                if sql == "PRAGMA synchronous = FULL":
                    self.is_full = True
                elif sql == "PRAGMA synchronous = NORMAL":
                    self.is_full = False
                elif sql == "COMMIT" and getattr(self, "is_full", False):
                    name = super().execute("PRAGMA database_list").fetchone()[2]
                    disk.take(Path(name).parent)
                return cursor

        def connect(*args: Any, **more: Any) -> sqlite3.Connection:
            return sqlite3.connect(*args, **more, factory=Watched)

        def synced(path: Path) -> None:
            on_disk(path)
            if path.name.endswith("-wal"):
                self.take(path.parent)

        fake = SimpleNamespace(connect=connect, Error=sqlite3.Error, Connection=sqlite3.Connection)
        patch.setattr(database, "sqlite3", fake)
        patch.setattr(database, "flush_to_disk", synced)
        patch.setattr(register, "boot_id", lambda: f"boot-{self._boots}")

    def take(self, folder: Path) -> None:
        """Record what is committed in a folder by now."""
        with self._lock, closing(sqlite3.connect(folder / database.DATABASE)) as db:
            copy = sqlite3.connect(":memory:", check_same_thread=False)
            db.backup(copy)
            self._taken[folder] = copy

    def cut(self, folder: Path, after: Path) -> None:
        """Cut the power: copy what the disk holds of a folder to another, for the next boot."""
        after.mkdir()
        for path in folder.glob("*.register"):
            (after / path.name).write_bytes(path.read_bytes())
        self._boots += 1
        with closing(sqlite3.connect(after / database.DATABASE)) as db, self._lock:
            self._taken[folder].backup(db)
