"""The database as files on a disk: check, copy and repair them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Final

from sgevents_core.state import lock
from sgevents_core.state.inspection import LogDamage
from sgevents_core.state.sqlite.database import DATABASE, Database
from sgevents_core.state.sqlite.inspecting import SqliteInspection
from sgevents_core.state.sqlite.write_ahead_log import find_wal_damage


class SqliteStorage:
    """The files of a state.

    Args:
        state_folder: The state's folder.
    """

    files: Final = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm")
    repair: Final = (
        "stop the daemon and keep a copy of the folder. Then go back to the last sgevents state"
        " backup, or save what can be read: sqlite3 sgevents.db .recover | sqlite3 new.db, and put"
        " new.db in its place. With neither, empty the folder and set start in [feed] and in"
        " [plugins.NAME] to the last event that was handled"
    )

    def __init__(self, state_folder: Path) -> None:
        self.folder: Final = state_folder

    def is_outdated(self) -> bool:
        """Return whether an older version wrote the database.

        Raises:
            StateError: The database cannot be read.
        """
        with closing(SqliteInspection(self.folder)) as inspection:
            schema_version, newest_version = inspection.format_version()
        return schema_version < newest_version

    def inspection(self) -> SqliteInspection:
        """Open an inspection of the database."""
        return SqliteInspection(self.folder)

    def log_damage(self) -> LogDamage | None:
        """Return where the write-ahead log is damaged; None if it is intact or in use.

        Raises:
            OSError: The log cannot be read.
        """
        if lock.find_holder(self.folder) is not None:
            return None
        log_path = self.folder / f"{DATABASE}-wal"
        wal_damage = find_wal_damage(log_path)
        return wal_damage and LogDamage(log_path.name, wal_damage.frame, wal_damage.behind)

    def back_up(self, target_path: Path) -> int:
        """Copy the database as it is now to a file, and return its size in bytes."""
        with closing(Database(self.folder, read_only=True)) as database:
            return database.back_up(target_path)
