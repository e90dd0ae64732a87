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
from sgevents_core.state.lock import LOCK
from sgevents_core.state.sqlite.database import DATABASE, Database

_BEGINS: Final = b"SQLite format 3\0"
_FILES: Final = ("", LOCK, DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm")
_ALWAYS: Final = ("", DATABASE)
_READ_EACH: Final = 4
"""The number of looks after which the database is reopened and read, which takes milliseconds."""
_READ: Final = (
    "SELECT * FROM feed",
    "SELECT * FROM lanes",
    "SELECT * FROM plugins",
    "SELECT * FROM journal WHERE seq = (SELECT min(seq) FROM journal)",
    "SELECT * FROM journal WHERE seq = (SELECT max(seq) FROM journal)",
)


class SqlitePresence:
    """The files of a state in use, watched from one thread.

    Args:
        folder: The state's folder; the files found at the first look must stay.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[int, int]] = {}
        self._header: int | None = None
        self._looks = 0

    def look(self) -> None:
        """Check that the state still exists and is readable.

        Raises:
            StateGone: One of its files was deleted or replaced.
            StateDamaged: Its database can no longer be read.
        """
        for name in _FILES:
            self._compare(name)
        self._look_at_header()
        self._looks += 1
        if self._looks % _READ_EACH == 0:
            self._read()

    def close(self) -> None:
        """Close the database's file; only when this process has no open connection.

        Closing a file releases all locks that the process holds on it, including SQLite's.
        """
        if self._header is not None:
            os.close(self._header)
            self._header = None

    def _compare(self, name: str) -> None:
        path = self._folder / name
        try:
            found = path.stat()
        except FileNotFoundError:
            if name in self._known or name in _ALWAYS:
                what = f"{name} was deleted" if name else "its folder was deleted or moved"
                raise StateGone(path=str(self._folder), reason=what) from None
            return
        except OSError:
            return  # no access at the moment; a failing write will report it
        identity = (found.st_dev, found.st_ino)
        if self._known.setdefault(name, identity) != identity:
            what = name or "its folder"
            raise StateGone(path=str(self._folder), reason=f"{what} was replaced by another")

    def _look_at_header(self) -> None:
        path = self._folder / DATABASE
        if self._header is None:
            with suppress(OSError):
                self._header = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        if self._header is None:
            return
        try:
            begins = os.pread(self._header, len(_BEGINS), 0)
        except OSError:
            return
        if begins != _BEGINS:
            raise StateDamaged(path=str(path), reason="file is not a database")

    def _read(self) -> None:
        """Read as a new process would: open connections have much of the database in memory."""
        try:
            db = Database(self._folder, read_only=True)
            try:
                for query in _READ:
                    db.fetch_all(query)
            finally:
                db.close()
        except StateDamaged:
            raise
        except StateError:
            return  # a full disk or too many open files, not damage
