"""The schema of the state's database: its settings and its numbered migrations."""

from __future__ import annotations

import sqlite3
from importlib import resources
from pathlib import Path

from sgevents_core.errors import StateError


def prepare(db: sqlite3.Connection) -> None:
    """Set a connection up for writing and bring the schema up to date."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    for number, script in _migrations():
        if number > _version(db):
            _migrate(db, number, script)


def check(db: sqlite3.Connection, path: Path) -> int:
    """Return the schema's version.

    Raises:
        StateError: A newer version of sgevents has written it.
    """
    version, newest = _version(db), len(_migrations())
    if version > newest:
        reason = (
            f"its schema has version {version}, this version of sgevents knows up to {newest};"
            " install the version that wrote it or restore the backup made before the upgrade"
        )
        raise StateError(path=str(path), reason=reason)
    return version


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _migrations() -> list[tuple[int, str]]:
    folder = resources.files("sgevents_core.journal") / "migrations"
    scripts = sorted(
        (entry.name, entry) for entry in folder.iterdir() if entry.name.endswith(".sql")
    )
    return [(int(name[:4]), entry.read_text("utf-8")) for name, entry in scripts]


def _migrate(db: sqlite3.Connection, number: int, script: str) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        if _version(db) < number:  # another process may have been faster
            for statement in filter(str.strip, script.split(";")):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
