"""The counts of deaths of the process in one call, kept until the call is settled."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from sgevents_core.state.steps import CallDeaths


def write_deaths(connection: sqlite3.Connection, call_deaths: Iterable[CallDeaths]) -> None:
    """Write counts of deaths, in the caller's transaction."""
    connection.executemany(
        "INSERT OR REPLACE INTO deaths VALUES (?, ?, ?, ?, ?, ?, ?)", call_deaths
    )


def forget_deaths(connection: sqlite3.Connection, settled_call: tuple[str, str, int]) -> None:
    """Forget the deaths in a call, `(plugin, callback, seq)`, in the caller's transaction."""
    connection.execute(
        "DELETE FROM deaths WHERE plugin = ? AND callback = ? AND seq = ?", settled_call
    )
