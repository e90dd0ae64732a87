"""The counts of deaths of the process in one call, kept until the call is settled."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.steps import Died


def read_deaths(folder: Path) -> list[Died]:
    """Return the unsettled calls in which the process died.

    Raises:
        StateError: The state cannot be read.
    """
    db = Database(folder, read_only=True)
    try:
        found = db.all(
            "SELECT plugin, callback, seq, proved, unproved, how, traceback FROM deaths"
            " ORDER BY seq, plugin, callback"
        )
    finally:
        db.close()
    return [Died(*row) for row in found]


def write_deaths(db: sqlite3.Connection, deaths: Iterable[Died]) -> None:
    """Write counts of deaths, in the caller's transaction."""
    db.executemany("INSERT OR REPLACE INTO deaths VALUES (?, ?, ?, ?, ?, ?, ?)", deaths)


def forget_deaths(db: sqlite3.Connection, call: tuple[str, str, int]) -> None:
    """Forget the deaths in a call, `(plugin, callback, seq)`, in the caller's transaction."""
    db.execute("DELETE FROM deaths WHERE plugin = ? AND callback = ? AND seq = ?", call)
