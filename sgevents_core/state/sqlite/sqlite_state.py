"""A state in one SQLite database on a local disk, so that a step is one commit.

Each thread opens its own connection; SQLite keeps the writers apart.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Final

from sgevents_core.state import lock
from sgevents_core.state.inspection import LogDamage
from sgevents_core.state.sqlite.database import DATABASE, Database, is_made
from sgevents_core.state.sqlite.feed_writing import SqliteFeedWriter
from sgevents_core.state.sqlite.inspecting import SqliteInspection
from sgevents_core.state.sqlite.lane_writing import SqliteLaneWriter
from sgevents_core.state.sqlite.letters import SqliteLetters
from sgevents_core.state.sqlite.past import SqlitePast
from sgevents_core.state.sqlite.presence import SqlitePresence
from sgevents_core.state.sqlite.reading import SqliteReader
from sgevents_core.state.sqlite.requests import SqliteRequests
from sgevents_core.state.sqlite.tracebacks import share_tracebacks
from sgevents_core.state.sqlite.wal import damage_in


class SqliteWriter(SqliteFeedWriter, SqliteLaneWriter):
    """A connection for all that is written."""

    def share_tracebacks(self, limit: int = 1_000) -> int:
        """Let failures written by an older version share their tracebacks, up to `limit` at once.

        Returns:
            How many were processed; 0 if none are left.
        """
        if self._db.one("SELECT 1 FROM failures WHERE traceback_id IS NULL AND traceback <> ''"):
            with self._db.transaction() as db:
                return share_tracebacks(db, limit)
        return 0


class SqliteState:
    """The state in the database of a folder.

    Args:
        folder: The state's folder.
    """

    files: Final = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm")
    repair: Final = (
        "stop the daemon and keep a copy of the folder. Then go back to the last sgevents state"
        " backup, or save what can be read: sqlite3 sgevents.db .recover | sqlite3 new.db, and put"
        " new.db in its place. With neither, empty the folder and set start in [feed] and in"
        " [plugins.NAME] to the last event that was handled"
    )

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder

    def is_made(self) -> bool:
        """Return whether the database exists.

        Raises:
            StateError: The folder cannot be accessed.
        """
        return is_made(self.folder)

    def is_outdated(self) -> bool:
        """Return whether an older version wrote the database.

        Raises:
            StateError: It cannot be read.
        """
        with closing(SqliteInspection(self.folder)) as inspection:
            version, newest = inspection.format_version()
        return version < newest

    def reader(self) -> SqliteReader:
        """Open a connection that reads."""
        return SqliteReader(self.folder)

    def feed_writer(self) -> SqliteFeedWriter:
        """Open the feed's connection."""
        return SqliteFeedWriter(self.folder)

    def lane_writer(self) -> SqliteLaneWriter:
        """Open the connection of a lane."""
        return SqliteLaneWriter(self.folder)

    def writer(self) -> SqliteWriter:
        """Open a connection for all that is written."""
        return SqliteWriter(self.folder)

    def requests(self) -> SqliteRequests:
        """Open the requests."""
        return SqliteRequests(self.folder)

    def letters(self) -> SqliteLetters:
        """Open the dead letters."""
        return SqliteLetters(self.folder)

    def past(self) -> SqlitePast:
        """Open the past events."""
        return SqlitePast(self.folder)

    def presence(self) -> SqlitePresence:
        """Watch that the database still exists."""
        return SqlitePresence(self.folder)

    def inspection(self) -> SqliteInspection:
        """Open an inspection of the database."""
        return SqliteInspection(self.folder)

    def log_damage(self) -> LogDamage | None:
        """Return where the write-ahead log is damaged; one in use changes while it is read.

        Raises:
            OSError: It cannot be read.
        """
        if lock.holder(self.folder) is not None:
            return None
        path = self.folder / f"{DATABASE}-wal"
        damage = damage_in(path)
        return damage and LogDamage(path.name, damage.frame, damage.behind)

    def back_up(self, target: Path) -> int:
        """Copy the database as it is now to a file, and return its size in bytes."""
        with closing(Database(self.folder, read_only=True)) as db:
            return db.back_up(target)
