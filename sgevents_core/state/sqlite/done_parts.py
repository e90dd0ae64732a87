"""Parts of calls that are done: reading, writing and forgetting them."""

from __future__ import annotations

import sqlite3
from typing import Final

from sgevents_core.state.done_parts import DonePart
from sgevents_core.state.sqlite.database import Database

_NEEDED_LATER: Final = (
    "EXISTS (SELECT 1 FROM failures WHERE failures.event_id = done_parts.event_id"
    " AND failures.dead = 1)"
    " OR EXISTS (SELECT 1 FROM deferred WHERE deferred.event_id = done_parts.event_id)"
)
"""The condition for parts of events that a later call may have again."""


def write_done_part(connection: sqlite3.Connection, done_part: DonePart) -> None:
    """Write that a part is done, in the caller's transaction."""
    connection.execute(
        "INSERT OR IGNORE INTO done_parts (plugin, callback, era, event_id, name, seq)"
        " VALUES (?1, ?2, ?3, ?4, ?5, coalesce((SELECT seq FROM journal"
        " WHERE era = ?3 AND event_id = ?4), 0))",
        done_part,
    )


def read_part_done(database: Database, done_part: DonePart) -> bool:
    """Return whether a part is done."""
    return (
        database.fetch_one(
            "SELECT 1 FROM done_parts WHERE plugin = ? AND callback = ? AND era = ?"
            " AND event_id = ? AND name = ?",
            *done_part,
        )
        is not None
    )


def forget_done_parts(connection: sqlite3.Connection, first_kept_seq: int) -> None:
    """Remove the parts of events that left the journal, in the caller's transaction."""
    connection.execute(
        f"DELETE FROM done_parts WHERE seq < ? AND NOT ({_NEEDED_LATER})",  # noqa: S608 - our own
        (first_kept_seq,),
    )
