"""Events that are set aside because they cannot be stored or read, so that the rest can continue.

Each is recorded by name until it can be handled or a person dismisses it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from sgevents_core.state.feed_values import LONGEST, SetAside
from sgevents_core.state.sqlite.database import Database

SET_ASIDE_SINCE: Final = 4
"""The version of the schema that first had the table `set_aside`."""
_COLUMNS: Final = "era, event, place, reason, at"


def read_aside(db: Database) -> list[SetAside]:
    """Return the events that are set aside, oldest first."""
    if db.fetch_number("PRAGMA user_version") < SET_ASIDE_SINCE:
        return []  # read-only: an older daemon runs on it, or it will be upgraded later
    rows = db.fetch_all(f"SELECT {_COLUMNS} FROM set_aside ORDER BY number")  # noqa: S608 - constant
    return [SetAside(event, reason, where, at, era) for era, event, where, reason, at in rows]


def write_aside(db: sqlite3.Connection, set_aside: Iterable[SetAside]) -> int:
    """Record events as set aside, in the caller's transaction; return how many are new."""
    before = db.total_changes
    db.executemany(
        f"INSERT OR IGNORE INTO set_aside ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)",  # noqa: S608
        (
            (aside.era, aside.event[:LONGEST], aside.where, aside.reason[:LONGEST], aside.at)
            for aside in set_aside
        ),
    )
    return db.total_changes - before


def delete_aside(db: sqlite3.Connection, era: int, events: Sequence[str], where: str) -> None:
    """Delete the records of events that are handled now, in the caller's transaction."""
    db.executemany(
        "DELETE FROM set_aside WHERE era = ? AND event = ? AND place = ?",
        ((era, event, where) for event in events),
    )
