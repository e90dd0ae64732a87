"""Whether a state is still the one that the daemon opened: its folder, its files, its content.

SQLite does not notice when an open file is deleted or replaced: it keeps writing to a file that
nobody can find again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from sgevents_core.errors import StateDamaged, StateError, StateGone
from sgevents_core.state.lock import LOCK_FILE
from sgevents_core.state.sqlite.database import DATABASE, Database

_DATABASE_HEADER: Final = b"SQLite format 3\0"
_WATCHED_FILES: Final = ("", LOCK_FILE, DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm")
_REQUIRED_FILES: Final = ("", DATABASE)
_READ_INTERVAL: Final = 4
"""The number of looks after which the database is reopened and sampled, in milliseconds."""
_SAMPLE_QUERIES: Final = (
    "SELECT * FROM feed",
    "SELECT * FROM lanes",
    "SELECT * FROM plugins",
    "SELECT * FROM journal WHERE seq = (SELECT min(seq) FROM journal)",
    "SELECT * FROM journal WHERE seq = (SELECT max(seq) FROM journal)",
    "SELECT * FROM journal_pages WHERE last_seq = (SELECT min(last_seq) FROM journal_pages)",
    "SELECT * FROM journal_pages WHERE last_seq = (SELECT max(last_seq) FROM journal_pages)",
)


class SqlitePresence:
    """The files of a state in use, watched from one thread.

    Args:
        state_folder: The state's folder; the files found at the first look must stay.
    """

    def __init__(self, state_folder: Path) -> None:
        self._state_folder = state_folder
        self._known_identities: dict[str, tuple[int, int]] = {}
        self._header_descriptor: int | None = None
        self._look_count = 0

    def look(self) -> None:
        """Check that the state still exists and is readable.

        Raises:
            StateGone: One of its files was deleted or replaced.
            StateDamaged: Its database can no longer be read.
        """
        for file_name in _WATCHED_FILES:
            self._compare_identity(file_name)
        self._check_header()
        self._look_count += 1
        if self._look_count % _READ_INTERVAL == 0:
            self._read_samples()

    def close(self) -> None:
        """Close the database's file; only when this process has no open connection.

        Closing a file releases all locks that the process holds on it, including SQLite's.
        """
        if self._header_descriptor is not None:
            os.close(self._header_descriptor)
            self._header_descriptor = None

    def _compare_identity(self, file_name: str) -> None:
        file_path = self._state_folder / file_name
        try:
            file_status = file_path.stat()
        except FileNotFoundError:
            if file_name in self._known_identities or file_name in _REQUIRED_FILES:
                change_text = (
                    f"{file_name} was deleted" if file_name else "its folder was deleted or moved"
                )
                raise StateGone(path=str(self._state_folder), reason=change_text) from None
            return
        except OSError:
            return  # the file is inaccessible at the moment; a failing write will report that
        file_identity = (file_status.st_dev, file_status.st_ino)
        if self._known_identities.setdefault(file_name, file_identity) != file_identity:
            change_text = file_name or "its folder"
            raise StateGone(
                path=str(self._state_folder), reason=f"{change_text} was replaced by another"
            )

    def _check_header(self) -> None:
        file_path = self._state_folder / DATABASE
        if self._header_descriptor is None:
            with suppress(OSError):
                self._header_descriptor = os.open(file_path, os.O_RDONLY | os.O_NOFOLLOW)
        if self._header_descriptor is None:
            return
        try:
            first_bytes = os.pread(self._header_descriptor, len(_DATABASE_HEADER), 0)
        except OSError:
            return
        if first_bytes != _DATABASE_HEADER:
            raise StateDamaged(path=str(file_path), reason="file is not a database")

    def _read_samples(self) -> None:
        """Read samples as a new process would: open connections cache much of the database."""
        try:
            fresh_database = Database(self._state_folder, read_only=True)
            try:
                for sample_query in _SAMPLE_QUERIES:
                    fresh_database.fetch_all(sample_query)
            finally:
                fresh_database.close()
        except StateDamaged:
            raise
        except StateError:
            return  # a full disk or too many open files, not damage
