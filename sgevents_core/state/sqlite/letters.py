"""Dead letters: events a callback failed on for good, kept with all that a retry needs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from sgevents_core.state.failures import Failure
from sgevents_core.state.letters import (
    Letter,
    LetterChange,
    LetterChoice,
    LetterGroup,
    merged_groups,
)
from sgevents_core.state.sqlite.checksums import letter_checksum, letter_checksum_column
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.sqlite.tracebacks import keep_traceback, traceback_column

_SCHEMA: Final = 2
"""The version of the schema that first had eras of failures."""


class SqliteLetters:
    """The dead letters of a state, over a connection of its own; for one thread at a time.

    Args:
        folder: The state's folder.

    Raises:
        StateError: The database cannot be used; every method raises it then.
    """

    def __init__(self, folder: Path) -> None:
        self._db = Database(folder, read_only=True, needs=_SCHEMA)
        self._traceback = traceback_column(self._db)
        self._sum = letter_checksum_column(self._db)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def get(self, number: int) -> Letter | None:
        """Return the dead letter with this number, even if retried or dismissed; None if none."""
        rows = self._select(
            "id = :number AND (dead = 1 OR outcome IN ('retried', 'dismissed'))", {"number": number}
        )
        return rows[0] if rows else None

    def find(self, plugin: str | None = None, event_id: int | None = None) -> list[Letter]:
        """Return the dead letters, oldest first.

        Args:
            plugin: Only those of this plugin.
            event_id: Only those for this event.
        """
        chosen = LetterChoice(plugin=plugin, event_id=event_id)
        return self._select(*_condition(chosen))

    def listed(self, chosen: LetterChoice, after: int = 0, limit: int = -1) -> Iterator[Letter]:
        """Yield dead letters, oldest first, without events and tracebacks; few are held in memory.

        Args:
            chosen: Which.
            after: Only those with a higher number.
            limit: At most this many; -1 for all.
        """
        condition, values = _condition(chosen)
        rows = self._db.fetch_each(
            "SELECT id, era, plugin, callback, seq, event_id, attempt, error, at, outcome"  # noqa: S608 - all our own
            f" FROM failures WHERE {condition} AND id > :after ORDER BY id LIMIT :limit",
            {**values, "after": after, "limit": limit},
        )
        for number, era, plugin, callback, seq, event_id, attempt, error, at, outcome in rows:
            failure = Failure(plugin, callback, seq, event_id, attempt, error, "", at, outcome)
            yield Letter(number, failure, True, era, b"")

    def count(self, chosen: LetterChoice, after: int = 0) -> int:
        """Count the chosen dead letters whose number is above `after`."""
        condition, values = _condition(chosen)
        return self._db.fetch_number(
            f"SELECT count(*) FROM failures WHERE {condition} AND id > :after",  # noqa: S608
            {**values, "after": after},
        )

    def groups(self, chosen: LetterChoice) -> list[LetterGroup]:
        """Return dead letters grouped by plugin, callback and error, the largest group first.

        Errors that differ only in numbers, such as ids, are grouped together.
        """
        condition, values = _condition(chosen)
        rows = self._db.fetch_each(
            "SELECT plugin, callback, error, count(*), min(id), min(at), max(at) FROM failures"  # noqa: S608 - all our own
            f" WHERE {condition} GROUP BY plugin, callback, error",
            values,
        )
        return merged_groups(LetterGroup(*row) for row in rows)

    def of_call(self, plugin: str, callback: str, seq: int, event_id: int) -> Letter | None:
        """Return a callback's dead letter for an event; None if it has none."""
        rows = self._select(
            "dead = 1 AND plugin = :plugin AND callback = :callback AND seq = :seq"
            " AND event_id = :event_id",
            {"plugin": plugin, "callback": callback, "seq": seq, "event_id": event_id},
        )
        return rows[0] if rows else None

    def _select(self, condition: str, values: Mapping[str, Any]) -> list[Letter]:
        rows = self._db.fetch_all(
            "SELECT id, dead, era, body, plugin, callback, seq, event_id, attempt, error,"  # noqa: S608 - all our own
            f" {self._traceback}, at, outcome, {self._sum} FROM failures WHERE {condition}"
            " ORDER BY id",
            values,
        )
        return [_letter(*row) for row in rows]


def write_letter(db: sqlite3.Connection, change: LetterChange) -> int:
    """Write a new dead letter or the change to one; return its number."""
    f = change.failure
    traceback_id, traceback = keep_traceback(db, f.traceback)
    if change.number is None:
        cursor = db.execute(
            "INSERT INTO failures (plugin, callback, seq, event_id, attempt, error, traceback,"
            " traceback_id, at, outcome, dead, body, era, sum)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (f.plugin, f.callback, f.seq, f.event_id, f.attempt, f.error, traceback, traceback_id,
             f.at, f.outcome, change.dead, change.body, change.era,
             letter_checksum(f.plugin, f.callback, f.seq, f.event_id, change.body)),
        )  # fmt: skip
        return cursor.lastrowid or 0
    db.execute(
        "UPDATE failures SET attempt = ?, error = ?, traceback = ?, traceback_id = ?, at = ?,"
        " outcome = ?, dead = ? WHERE id = ?",
        (f.attempt, f.error, traceback, traceback_id, f.at, f.outcome, change.dead, change.number),
    )
    return change.number


def write_dismissed(db: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Dismiss dead letters, in the caller's transaction."""
    db.executemany(
        "UPDATE failures SET outcome = 'dismissed', dead = 0 WHERE id = ? AND dead = 1",
        ((number,) for number in numbers),
    )


def _letter(number: int, dead: int, era: int, body: bytes | None, *rest: Any) -> Letter:
    *columns, checksum = rest
    failure = Failure(*columns)
    f = failure
    about = (f.plugin, f.callback, f.seq, f.event_id, body)
    whole = checksum is None or checksum == letter_checksum(*about)
    return Letter(number, failure, bool(dead), era, body or b"", whole)


def _as_glob(text: str) -> str:
    """Return a GLOB pattern for a text in which `#` stands for a number."""
    parts = [f"[{one}]" if one in "*?[" else one for one in text]
    return "".join(parts).replace("#", "[#0-9]*")


def _condition(chosen: LetterChoice) -> tuple[str, dict[str, Any]]:
    """Return an SQL condition on `failures`, and its values."""
    terms, values = ["dead = 1"], dict[str, Any]()
    for column in ("plugin", "callback", "event_id"):
        value = getattr(chosen, column)
        if value is not None:
            terms.append(f"{column} = :{column}")
            values[column] = value
    if chosen.error is not None:
        terms.append("error GLOB :error")
        values["error"] = f"*{_as_glob(chosen.error)}*"
    return " AND ".join(terms), values
