"""A copy of the state's database, whole and in one file, made while it is in use."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path


def write_backup(db: sqlite3.Connection, target: Path) -> int:
    """Copy a database as it is now, and return the size of the copy in bytes.

    The copy appears under its name when it is complete and on the disk; a file that is there
    is replaced.

    Args:
        db: A connection to the database; writers go on meanwhile.
        target: The file to write.

    Raises:
        sqlite3.Error: The copy cannot be made.
        OSError: The file cannot be written.
    """
    fresh = target.with_name(f"{target.name}.new")
    fresh.unlink(missing_ok=True)
    mode = _path_of(db).stat().st_mode & 0o777
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode))
    try:
        with closing(sqlite3.connect(fresh)) as copy:
            db.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
        on_disk(fresh)
        size = fresh.stat().st_size
        fresh.replace(target)
        on_disk(target.parent)
    finally:
        fresh.unlink(missing_ok=True)
    return size


def before_upgrade(db: sqlite3.Connection, version: int) -> None:
    """Keep a copy beside the database before its schema is changed: `sgevents.schema-1.db`.

    Args:
        db: A connection to the database.
        version: The version of its schema, which becomes part of the copy's name.
    """
    path = _path_of(db)
    write_backup(db, path.with_name(f"{path.stem}.schema-{version}{path.suffix}"))


def _path_of(db: sqlite3.Connection) -> Path:
    return Path(db.execute("PRAGMA database_list").fetchone()[2])


def on_disk(path: Path) -> None:
    """Wait until what a file or folder holds has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
