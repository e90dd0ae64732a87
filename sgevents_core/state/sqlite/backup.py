"""Complete copies of the state's database, each in one file, made while the database is in use."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection
from contextlib import closing, suppress
from pathlib import Path

from sgevents_core.errors import BackupError


def write_backup(
    connection: sqlite3.Connection, target: Path, without_tables: Collection[str] = ()
) -> int:
    """Copy a database as it is now, and return the size of the copy in bytes.

    The copy appears under its name once it is complete and on disk; an existing file is replaced.

    Args:
        connection: A connection to the database; others can keep writing.
        target: The file to write.
        without_tables: Names of tables that the copy does not have.

    Raises:
        BackupError: The file cannot be written, or it belongs to the state itself.
        sqlite3.Error: The database cannot be read.
    """
    database_path = _database_path(connection)
    if target.parent.resolve() == database_path.parent.resolve() and _belongs_to_state(
        target.name, database_path.name
    ):
        raise BackupError(path=str(target), reason="it is the state itself")
    unfinished_path = target.with_name(f"{target.name}.new")
    try:
        return _write_copy(
            connection,
            target,
            unfinished_path,
            without_tables,
            file_mode=database_path.stat().st_mode & 0o777,
        )
    except sqlite3.OperationalError as error:  # damage of the source raises another error
        raise BackupError(path=str(target), reason=str(error)) from None
    except OSError as error:
        raise BackupError(path=str(target), reason=error.strerror or str(error)) from None
    finally:
        with suppress(OSError):
            unfinished_path.unlink(missing_ok=True)


def _belongs_to_state(file_name: str, database_name: str) -> bool:
    """Return whether a file name belongs to the database, or would be mistaken for it."""
    return file_name in {
        database_name,
        f"{database_name}-wal",
        f"{database_name}-shm",
        f"{database_name}-journal",
        "lock",
    }


def _write_copy(
    connection: sqlite3.Connection,
    target: Path,
    unfinished_path: Path,
    without_tables: Collection[str],
    *,
    file_mode: int,
) -> int:
    unfinished_path.unlink(missing_ok=True)
    os.close(os.open(unfinished_path, os.O_CREAT | os.O_EXCL | os.O_RDWR, file_mode))
    with closing(sqlite3.connect(unfinished_path)) as copied_database:
        connection.backup(copied_database)
        for table_name in without_tables:
            copied_database.execute(f'DROP TABLE IF EXISTS "{table_name}"')
        copied_database.execute("PRAGMA journal_mode = DELETE")  # so that the copy is a single file
    flush_to_disk(unfinished_path)
    copy_size = unfinished_path.stat().st_size
    unfinished_path.replace(target)
    flush_to_disk(target.parent)
    return copy_size


def back_up_before_upgrade(connection: sqlite3.Connection, schema_version: int) -> None:
    """Keep a copy beside the database before changing its schema: `sgevents.schema-1.db`.

    Args:
        connection: A connection to the database.
        schema_version: The version of its schema, for the copy's name.
    """
    database_path = _database_path(connection)
    write_backup(
        connection,
        database_path.with_name(
            f"{database_path.stem}.schema-{schema_version}{database_path.suffix}"
        ),
    )


def _database_path(connection: sqlite3.Connection) -> Path:
    return Path(connection.execute("PRAGMA database_list").fetchone()[2])


def flush_to_disk(path: Path) -> None:
    """Wait until the content of a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
