"""One connection to the state's database: its file, its transactions, its errors as StateError."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sgevents_core.errors import StateDamaged, StateError, StateNotWritable
from sgevents_core.state.disk import not_writable
from sgevents_core.state.own_files import PRIVATE
from sgevents_core.state.sqlite import schema
from sgevents_core.state.sqlite.backup import on_disk, write_backup

DATABASE: Final = "sgevents.db"
_BUSY_MS: Final = 30_000
_DAMAGE: Final = ("malformed", "not a database", "no such table", "no such column")
"""SQLite's messages for a file that is not a state any more; error codes need Python 3.11."""


def is_made(folder: Path) -> bool:
    """Return whether a folder holds a state.

    Raises:
        StateError: The folder cannot be accessed.
    """
    try:
        return (folder / DATABASE).exists()
    except OSError as error:
        reason = error.strerror or str(error)
        raise StateError(path=str(folder), reason=reason) from error


class Database:
    """A connection to the database, for one thread at a time.

    Args:
        folder: The state's folder.
        read_only: Whether nothing may be written or created.
        needs: The oldest version of the schema that is sufficient.

    Raises:
        StateError: The database cannot be opened, or its schema is too new or too old.
    """

    def __init__(self, folder: Path, *, read_only: bool = False, needs: int = 0) -> None:
        self._path = folder / DATABASE
        self._synced: int | None = None
        self._has_written = True
        with self.translate_errors():
            is_new = not read_only and not self._path.exists()
            mode = "ro" if read_only else "rwc"
            self._db = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=_BUSY_MS / 1000,
                isolation_level=None,
                check_same_thread=False,
            )
            self._db.text_factory = _text
            try:
                if is_new:  # by path: closing a descriptor would release SQLite's locks
                    self._path.chmod(self._path.stat().st_mode & PRIVATE)
                if not read_only:
                    schema.prepare(self._db)
                schema.check(self._db, self._path, needs)
            except BaseException:
                self._db.close()
                raise

    @property
    def path(self) -> Path:
        """The database's file."""
        return self._path

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def back_up(self, target: Path) -> int:
        """Copy the database as it is now to a file, and return its size in bytes."""
        with self.translate_errors():
            return write_backup(self._db, target)

    def fetch_all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query; a mapping as the only value fills in names."""
        with self.translate_errors():
            return self._db.execute(sql, _parameters(values)).fetchall()

    def fetch_each(self, sql: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query one by one, as `fetch_all` returns them."""
        with self.translate_errors():
            yield from self._db.execute(sql, _parameters(values))

    def fetch_one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        """Return the first row of a query, None if there is none."""
        rows = self.fetch_all(sql, *values)
        return rows[0] if rows else None

    def fetch_number(self, sql: str, *values: Any) -> int:
        """Return the number that is all a query finds."""
        return int(self.fetch_all(sql, *values)[0][0])

    def sync(self) -> None:
        """Flush to disk everything committed since the last time, by any connection.

        A commit that is not `durable` stays in the system's memory, which survives a kill but not a
        power cut. Costs nothing if nothing was committed.
        """
        with self.translate_errors():
            seen = self.fetch_number("PRAGMA data_version")  # counts commits of other connections
            if seen == self._synced and not self._has_written:
                return
            self._has_written = False
            if self._synced is None:
                on_disk(self._path.parent)
            on_disk(self._path.with_name(f"{DATABASE}-wal"))
            self._synced = seen

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Write everything that the block writes, or nothing.

        Args:
            durable: Whether it must survive a power cut, not only a kill.
        """
        with self.translate_errors():
            if durable:
                self._db.execute("PRAGMA synchronous = FULL")
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
                self._has_written = True
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if durable:
                    self._db.execute("PRAGMA synchronous = NORMAL")

    def _state_error(self, reason: str) -> StateError:
        if "unable to open" in reason and (why := _no_descriptor()):
            return StateError(path=str(self._path), reason=why)
        if "unable to open" in reason or "readonly" in reason:  # error codes need Python 3.11
            why = not_writable(self._path.parent) or not_writable(self._path)
            if why:
                return StateNotWritable(path=str(self._path), reason=why)
        is_damaged = any(words in reason for words in _DAMAGE)
        kind = StateDamaged if is_damaged else StateError
        return kind(path=str(self._path), reason=reason)

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise errors of the database as StateError."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._state_error(str(error)) from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise StateError(path=str(self._path), reason=reason) from error


def _parameters(values: tuple[Any, ...]) -> Any:
    """Return the values of a query as SQLite takes them, by position or by name."""
    return values[0] if len(values) == 1 and isinstance(values[0], dict) else values


def _text(content: bytes) -> str:
    """Decode a text leniently: a flipped byte must not make the other rows unreadable."""
    return content.decode("utf-8", "surrogateescape")


def _no_descriptor() -> str:
    """Return why no file can be opened now; empty if one can."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.strerror or str(error)
    return ""
