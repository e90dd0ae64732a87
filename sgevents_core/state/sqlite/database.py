"""One connection to the state's database: its file, its transactions, its errors as StateError."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

from sgevents_core.errors import StateDamaged, StateError, StateNotWritable
from sgevents_core.state.disk import not_writable
from sgevents_core.state.plain_files import PRIVATE_FILE_MODE
from sgevents_core.state.sqlite import schema
from sgevents_core.state.sqlite.backup import flush_to_disk, write_backup

Transaction: TypeAlias = sqlite3.Connection
"""A connection within a transaction, as functions that write take it."""
DATABASE: Final = "sgevents.db"
_FILE_ENDINGS: Final = ("", "-wal", "-shm", "-journal")
"""What SQLite appends to the name of the database for each of its files."""
_BUSY_TIMEOUT: Final = 30_000
_CHECKPOINT_SIZE: Final = 4_096_000
"""Bytes of the write-ahead log after which a commit moves them into the database."""
_DAMAGE_MESSAGES: Final = ("malformed", "not a database", "no such table", "no such column")
"""SQLite's messages for a file that is no longer a state; error codes need Python 3.11."""
_NO_PAGES: Final = (
    "CREATE TEMP TABLE journal_pages (last_seq INTEGER PRIMARY KEY, first_seq, era, first_id,"
    " last_id, latest_at, sum, heads, bodies)"
)
"""An empty table for a connection that reads an older schema, which has no pages."""


def database_exists(state_folder: Path) -> bool:
    """Return whether a folder holds a state.

    Raises:
        StateError: The folder cannot be accessed.
    """
    try:
        return (state_folder / DATABASE).exists()
    except OSError as error:
        reason_text = error.strerror or str(error)
        raise StateError(path=str(state_folder), reason=reason_text) from error


class Database:
    """A connection to the database, for one thread at a time.

    Args:
        state_folder: The state's folder.
        read_only: Whether the connection may neither write nor create anything.
        oldest_version: The oldest version of the schema that is sufficient.

    Raises:
        StateError: The database cannot be opened, or its schema is too new or too old.
    """

    def __init__(
        self, state_folder: Path, *, read_only: bool = False, oldest_version: int = 0
    ) -> None:
        self._database_path = state_folder / DATABASE
        self._synced_data_version: int | None = None
        self._has_unsynced_commits = True
        self._lacks_pages = False
        self.before_read: Callable[[], None] | None = None
        """Called before each query; of a copy, it waits for what this process has written."""
        _check_files_are_plain(self._database_path)
        with self.translate_errors():
            is_new = not read_only and not self._database_path.exists()
            open_mode = "ro" if read_only else "rwc"
            self._connection = sqlite3.connect(
                f"{self._database_path.absolute().as_uri()}?mode={open_mode}",
                uri=True,
                timeout=_BUSY_TIMEOUT / 1000,
                isolation_level=None,
                check_same_thread=False,
            )
            self._connection.text_factory = _decode_leniently
            try:
                if is_new:  # by path: closing a descriptor would release SQLite's locks
                    self._database_path.chmod(
                        self._database_path.stat().st_mode & PRIVATE_FILE_MODE
                    )
                if not read_only:
                    schema.prepare_for_writing(self._connection)
                    self.set_checkpoint_size(_CHECKPOINT_SIZE)
                schema.check_version(self._connection, self._database_path, oldest_version)
                if not schema.has_pages(self._connection):
                    self._connection.execute(_NO_PAGES)
                    self._lacks_pages = True
            except BaseException:
                self._connection.close()
                raise

    @property
    def file_path(self) -> Path:
        """The database's file."""
        return self._database_path

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def set_checkpoint_size(self, byte_count: int) -> None:
        """Set the size of the write-ahead log from which a commit of this connection moves it."""
        page_count = byte_count // self.fetch_number("PRAGMA page_size")
        self.fetch_all(f"PRAGMA wal_autocheckpoint = {page_count}")

    def back_up(self, target_path: Path, without_tables: Collection[str] = ()) -> int:
        """Copy the database as it is now to a file, and return its size in bytes.

        Args:
            target_path: The file.
            without_tables: Names of tables that the copy does not have.
        """
        with self.translate_errors():
            return write_backup(self._connection, target_path, without_tables)

    def fetch_all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query; a mapping as the only value fills in names."""
        self._prepare_read()
        with self.translate_errors():
            return self._connection.execute(sql, _query_parameters(values)).fetchall()

    def fetch_each(self, sql: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query one by one, as `fetch_all` returns them."""
        self._prepare_read()
        with self.translate_errors():
            yield from self._connection.execute(sql, _query_parameters(values))

    def _prepare_read(self) -> None:
        """Wait for what has to be read; look where the pages are, which an older schema lacks."""
        if self.before_read is not None:
            self.before_read()
        if self._lacks_pages:
            with self.translate_errors():
                self._find_pages()

    def _find_pages(self) -> None:
        """Look for the pages in the database itself once another process has added them."""
        if schema.has_pages(self._connection):
            self._connection.execute("DROP TABLE temp.journal_pages")
            self._lacks_pages = False

    def fetch_one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        """Return the first row of a query, None if there is none."""
        found_rows = self.fetch_all(sql, *values)
        return found_rows[0] if found_rows else None

    def fetch_number(self, sql: str, *values: Any) -> int:
        """Return the single number that a query yields."""
        return int(self.fetch_all(sql, *values)[0][0])

    def sync(self) -> None:
        """Flush to disk everything committed since the last time, by any connection.

        A commit that is not `durable` stays in the system's memory, which survives a kill but not a
        power cut. Costs nothing if nothing was committed.
        """
        with self.translate_errors():
            # It counts the commits of other connections.
            version = self.fetch_number("PRAGMA data_version")
            if version == self._synced_data_version and not self._has_unsynced_commits:
                return
            self._has_unsynced_commits = False
            if self._synced_data_version is None:
                flush_to_disk(self._database_path.parent)
            flush_to_disk(self._database_path.with_name(f"{DATABASE}-wal"))
            self._synced_data_version = version

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Write everything that the block writes, or nothing.

        Args:
            durable: Whether the commit must survive a power cut, not only a kill.
        """
        with self.translate_errors():
            if durable:
                self._connection.execute("PRAGMA synchronous = FULL")
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
                self._has_unsynced_commits = True
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if durable:
                    self._connection.execute("PRAGMA synchronous = NORMAL")

    def _state_error(self, error_text: str) -> StateError:
        path = self._database_path
        if "unable to open" in error_text and (shortage := _descriptor_shortage()):
            return StateError(path=str(path), reason=shortage)
        # Error codes need Python 3.11.
        if "unable to open" in error_text or "readonly" in error_text:
            access_problem = not_writable(path.parent) or not_writable(path)
            if access_problem:
                return StateNotWritable(path=str(path), reason=access_problem)
        is_damaged = any(message in error_text for message in _DAMAGE_MESSAGES)
        error_type = StateDamaged if is_damaged else StateError
        return error_type(path=str(path), reason=error_text)

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise errors of the database as StateError."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._state_error(str(error)) from error
        except OSError as error:
            error_text = error.strerror or str(error)
            raise StateError(path=str(self._database_path), reason=error_text) from error


def _query_parameters(values: tuple[Any, ...]) -> Any:
    """Return the values of a query as SQLite takes them, by position or by name."""
    are_named = len(values) == 1 and isinstance(values[0], dict)
    return values[0] if are_named else values


def _check_files_are_plain(database_path: Path) -> None:
    """Check that no file of the database is a pipe or a device, which SQLite would wait for.

    Raises:
        StateError: One of them is.
    """
    for file_ending in _FILE_ENDINGS:
        file_path = database_path.with_name(f"{database_path.name}{file_ending}")
        try:
            file_mode = file_path.stat().st_mode
        except OSError:
            continue  # SQLite says what is wrong with it
        if not stat.S_ISREG(file_mode):
            reason_text = f"{file_path.name} is not a plain file; remove it, or restore the state"
            raise StateError(path=str(database_path.parent), reason=reason_text)


def _decode_leniently(text: bytes) -> str:
    """Decode a text leniently: a flipped byte must not make the other rows unreadable."""
    return text.decode("utf-8", "surrogateescape")


def _descriptor_shortage() -> str:
    """Return why no file can be opened now; empty if one can."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.strerror or str(error)
    return ""
