"""The schema of the state's database: its settings and its numbered migrations."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from sgevents_core.errors import StateError, StateTooNew
from sgevents_core.state.sqlite.backup import before_upgrade

_WAL_WITHIN: Final = 5.0


def prepare(db: sqlite3.Connection) -> None:
    """Prepare a connection for writing and bring the schema up to date."""
    if _version(db) > len(migrations()):
        return  # `check` raises; a newer schema is left untouched
    _use_wal(db)
    db.execute("PRAGMA synchronous = NORMAL")
    if _version(db) < len(migrations()):
        _migrate(db)


def check(db: sqlite3.Connection, path: Path, needs: int = 0) -> None:
    """Check that this version knows the schema.

    Args:
        db: A connection.
        path: The database's file, for people.
        needs: The oldest version of the schema that is sufficient.

    Raises:
        StateError: A newer version of sgevents wrote it, or one that is too old.
    """
    version, newest = _version(db), len(migrations())
    if version < needs:
        reason = (
            f"its schema has version {version}, this needs {needs};"
            " start the daemon once, which brings it up to date"
        )
        raise StateError(path=str(path), reason=reason)
    if version > newest:
        reason = (
            f"its schema has version {version}, this version of sgevents knows up to {newest};"
            " install the version that wrote it or restore the backup made before the upgrade"
        )
        raise StateTooNew(path=str(path), reason=reason)


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """Return the number and text of each migration, in order."""
    folder = resources.files("sgevents_core.state.sqlite") / "migrations"
    scripts = sorted(
        (entry.name, entry) for entry in folder.iterdir() if entry.name.endswith(".sql")
    )
    return tuple((int(name[:4]), entry.read_text("utf-8")) for name, entry in scripts)


def _use_wal(db: sqlite3.Connection) -> None:
    """Set the journal mode; SQLite itself does not wait if another process is just doing so."""
    until = time.monotonic() + _WAL_WITHIN
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
        time.sleep(0.01)


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _migrate(db: sqlite3.Connection) -> None:
    """Apply the missing migrations, all or none; one process does so while others wait."""
    db.execute("BEGIN IMMEDIATE")
    try:
        version = _version(db)
        if 0 < version < len(migrations()):
            _back_up(db, version)
        for _, script in migrations()[version:]:
            for statement in filter(str.strip, script.split(";")):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(migrations())}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _back_up(db: sqlite3.Connection, version: int) -> None:
    """Keep a copy, over a second connection: one that holds the write lock cannot copy itself."""
    path = db.execute("PRAGMA database_list").fetchone()[2]
    with closing(sqlite3.connect(path)) as reader:
        before_upgrade(reader, version)
