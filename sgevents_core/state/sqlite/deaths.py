"""The counts of deaths of the process in one call, kept until the call is settled."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from sgevents_core.state.steps import CallDeaths


def write_deaths(db: sqlite3.Connection, deaths: Iterable[CallDeaths]) -> None:
    """Write counts of deaths, in the caller's transaction."""
    db.executemany("INSERT OR REPLACE INTO deaths VALUES (?, ?, ?, ?, ?, ?, ?)", deaths)


def forget_deaths(db: sqlite3.Connection, call: tuple[str, str, int]) -> None:
    """Forget the deaths in a call, `(plugin, callback, seq)`, in the caller's transaction."""
    db.execute("DELETE FROM deaths WHERE plugin = ? AND callback = ? AND seq = ?", call)
