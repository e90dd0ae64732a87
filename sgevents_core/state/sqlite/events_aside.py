"""Events that are set aside because they cannot be stored or read, so that the rest can continue.

Each event is recorded by name until it can be handled or a person dismisses it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sgevents_core.state.feed_values import LONGEST_ASIDE_TEXT, SetAside
from sgevents_core.state.sqlite.database import Database

SET_ASIDE_SINCE_VERSION: Final = 4
"""The version of the schema that first had the table `set_aside`."""
_SET_ASIDE_COLUMNS: Final = "era, event, place, reason, at"


def read_events_aside(database: Database) -> list[SetAside]:
    """Return the events that are set aside, oldest first."""
    if database.fetch_number("PRAGMA user_version") < SET_ASIDE_SINCE_VERSION:
        return []  # an older daemon uses this schema, or a later start will upgrade it
    event_rows = database.fetch_all(
        f"SELECT {_SET_ASIDE_COLUMNS} FROM set_aside ORDER BY at, era, place, event"  # noqa: S608 - constant
    )
    return [
        SetAside(event_name, reason_text, record_place, set_aside_at, feed_era)
        for feed_era, event_name, record_place, reason_text, set_aside_at in event_rows
    ]


def write_events_aside(
    connection: sqlite3.Connection,
    events_aside: Iterable[SetAside],
    numbers: Iterator[int] | None = None,
) -> int:
    """Record events as set aside, in the caller's transaction; return how many are new.

    Args:
        connection: The connection.
        events_aside: The events.
        numbers: The numbers of their records; None for the next ones.
    """
    changes_before = connection.total_changes
    connection.executemany(
        f"INSERT OR IGNORE INTO set_aside (number, {_SET_ASIDE_COLUMNS})"  # noqa: S608 - our own columns
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            (
                None if numbers is None else next(numbers),
                event_aside.era,
                event_aside.event[:LONGEST_ASIDE_TEXT],
                event_aside.where,
                event_aside.reason[:LONGEST_ASIDE_TEXT],
                event_aside.at,
            )
            for event_aside in events_aside
        ),
    )
    return connection.total_changes - changes_before


def delete_events_aside(
    connection: sqlite3.Connection, feed_era: int, event_names: Sequence[str], record_place: str
) -> None:
    """Delete the records of events that are handled now, in the caller's transaction."""
    connection.executemany(
        "DELETE FROM set_aside WHERE era = ? AND event = ? AND place = ?",
        ((feed_era, event_name, record_place) for event_name in event_names),
    )
