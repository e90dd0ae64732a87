"""Parts of calls that are done: reading, writing and forgetting them."""

from __future__ import annotations

import sqlite3
from typing import Final

from sgevents_core.state.done_parts import DonePart
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.sqlite.journal_reading import Fetch, fetch_with, find_event

_NEEDED_LATER: Final = (
    "EXISTS (SELECT 1 FROM failures WHERE failures.event_id = done_parts.event_id"
    " AND failures.plugin = done_parts.plugin AND failures.dead = 1)"
    " OR EXISTS (SELECT 1 FROM deferred WHERE deferred.event_id = done_parts.event_id"
    " AND deferred.plugin = done_parts.plugin)"
)
"""The condition for parts of events that a later call of the plugin may have again."""


def write_done_part(
    connection: sqlite3.Connection, done_part: DonePart, given_seq: int | None = None
) -> None:
    """Write that a part is done, in the caller's transaction.

    Args:
        connection: The connection.
        done_part: The part.
        given_seq: The event's place in the journal; None to look it up.
    """
    if given_seq is None:
        given_seq = find_part_seq(fetch_with(connection), done_part)
    connection.execute(
        "INSERT OR IGNORE INTO done_parts (plugin, callback, era, event_id, name, seq)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (*done_part, given_seq),
    )


def find_part_seq(fetch: Fetch, done_part: DonePart) -> int:
    """Return the place in the journal of a part's event; 0 if it has none."""
    event = find_event(fetch, done_part.era, done_part.event_id)
    return 0 if event is None else event.seq


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


def forget_done_parts(
    connection: sqlite3.Connection, first_kept_seq: int, lane_name: str | None = None
) -> None:
    """Remove the parts of events that left the journal, in the caller's transaction.

    Args:
        connection: The connection.
        first_kept_seq: The lowest entry that the journal keeps.
        lane_name: Only parts of no other lane's plugins.
    """
    connection.execute(
        f"DELETE FROM done_parts WHERE seq < ?1 AND NOT ({_NEEDED_LATER})"  # noqa: S608 - our own
        " AND plugin NOT IN (SELECT name FROM plugins WHERE ?2 IS NOT NULL AND lane <> ?2)",
        (first_kept_seq, lane_name),
    )
