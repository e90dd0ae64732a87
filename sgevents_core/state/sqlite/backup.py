"""Complete copies of the state's database, each in one file, made while it is in use."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from sgevents_core.errors import BackupError


def write_backup(db: sqlite3.Connection, target: Path) -> int:
    """Copy a database as it is now, and return the size of the copy in bytes.

    The copy appears under its name once it is complete and on disk; an existing file is replaced.

    Args:
        db: A connection to the database; others can keep writing.
        target: The file to write.

    Raises:
        BackupError: The file cannot be written, or it belongs to the state itself.
        sqlite3.Error: The database cannot be read.
    """
    source = _path_of(db)
    if target.parent.resolve() == source.parent.resolve() and _is_own(target.name, source.name):
        raise BackupError(path=str(target), reason="it is the state itself")
    fresh = target.with_name(f"{target.name}.new")
    try:
        return _written(db, target, fresh, source.stat().st_mode & 0o777)
    except sqlite3.OperationalError as error:  # damage of the source raises another error
        raise BackupError(path=str(target), reason=str(error)) from None
    except OSError as error:
        raise BackupError(path=str(target), reason=error.strerror or str(error)) from None
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def _is_own(name: str, database: str) -> bool:
    """Return whether a file name belongs to the database, or would be mistaken for it."""
    return name in {database, f"{database}-wal", f"{database}-shm", f"{database}-journal", "lock"}


def _written(db: sqlite3.Connection, target: Path, fresh: Path, mode: int) -> int:
    fresh.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode))
    with closing(sqlite3.connect(fresh)) as copy:
        db.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # so that the copy is a single file
    on_disk(fresh)
    size = fresh.stat().st_size
    fresh.replace(target)
    on_disk(target.parent)
    return size


def before_upgrade(db: sqlite3.Connection, version: int) -> None:
    """Keep a copy beside the database before changing its schema: `sgevents.schema-1.db`.

    Args:
        db: A connection to the database.
        version: The version of its schema, for the copy's name.
    """
    path = _path_of(db)
    write_backup(db, path.with_name(f"{path.stem}.schema-{version}{path.suffix}"))


def _path_of(db: sqlite3.Connection) -> Path:
    return Path(db.execute("PRAGMA database_list").fetchone()[2])


def on_disk(path: Path) -> None:
    """Wait until the content of a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
