"""Dead letters: events a callback failed on for good, kept with all that is needed to try again."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final, NamedTuple

from sgevents_core.journal.base import Failure
from sgevents_core.journal.database import Database
from sgevents_core.journal.steps import LetterChange

_SCHEMA: Final = 2
"""The version of the schema that knows eras of failures."""
_FAILURE: Final = "plugin, callback, seq, event_id, attempt, error, traceback, at, outcome"


class Letter(NamedTuple):
    """One dead letter, or one that was retried or dismissed.

    Args:
        number: Its own number.
        failure: The last failure.
        dead: Whether it still is one.
        era: The era of its event.
        body: The event's row as JSON; empty where it was not kept.
    """

    number: int
    failure: Failure
    dead: bool
    era: int
    body: bytes


class Letters:
    """The dead letters of a state, over a connection of its own; for one thread at a time.

    Args:
        folder: The state's folder.

    Raises:
        StateError: The database cannot be used; every method raises it where that is so.
    """

    def __init__(self, folder: Path) -> None:
        self._db = Database(folder, read_only=True, needs=_SCHEMA)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def get(self, number: int) -> Letter | None:
        """Return the dead letter of a number, also one retried or dismissed; None for none."""
        found = self._select("id = ? AND (dead = 1 OR outcome IN ('retried', 'dismissed'))", number)
        return found[0] if found else None

    def find(self, plugin: str | None = None, event_id: int | None = None) -> list[Letter]:
        """Return the dead letters, oldest first.

        Args:
            plugin: Only those of this plugin.
            event_id: Only those for this event.
        """
        return self._select(
            "dead = 1 AND (?1 IS NULL OR plugin = ?1) AND (?2 IS NULL OR event_id = ?2)",
            plugin,
            event_id,
        )

    def of(self, plugin: str, callback: str, seq: int, event_id: int) -> Letter | None:
        """Return the dead letter that a callback has for an event, None if it has none."""
        found = self._select(
            "dead = 1 AND plugin = ? AND callback = ? AND seq = ? AND event_id = ?",
            plugin,
            callback,
            seq,
            event_id,
        )
        return found[0] if found else None

    def _select(self, condition: str, *values: Any) -> list[Letter]:
        found = self._db.all(
            f"SELECT id, dead, era, body, {_FAILURE} FROM failures"  # noqa: S608 - all our own
            f" WHERE {condition} ORDER BY id",
            *values,
        )
        return [
            Letter(row[0], Failure(*row[4:]), bool(row[1]), row[2], row[3] or b"") for row in found
        ]


def write_letter(db: sqlite3.Connection, change: LetterChange) -> int:
    """Write a new dead letter, or what became of one; return its number."""
    f = change.failure
    if change.number is None:
        cursor = db.execute(
            f"INSERT INTO failures ({_FAILURE}, dead, body, era)"  # noqa: S608 - all our own
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (f.plugin, f.callback, f.seq, f.event_id, f.attempt, f.error, f.traceback, f.at,
             f.outcome, change.dead, change.body, change.era),
        )  # fmt: skip
        return cursor.lastrowid or 0
    db.execute(
        "UPDATE failures SET attempt = ?, error = ?, traceback = ?, at = ?, outcome = ?, dead = ?"
        " WHERE id = ?",
        (f.attempt, f.error, f.traceback, f.at, f.outcome, change.dead, change.number),
    )
    return change.number
