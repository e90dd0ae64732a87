"""People's requests to a state, each kept until it is carried out.

The commands write requests, the daemon (or the command itself if none runs) carries them out; see
the room `requests`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from sgevents_core.state.letters import LetterChange
from sgevents_core.state.requests import (
    ReplayEvent,
    Request,
    RequestAnswer,
    RequestDraft,
    RequestStep,
    ShownRequest,
    request_subject,
)
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.sqlite.letters import write_dismissed, write_letter

_encode: Final = msgspec.json.Encoder().encode
_COLUMNS: Final = "id, kind, plugin, detail, asked_by, begun, progress"


class SqliteRequests:
    """The requests of a state, over a connection of its own; for one thread at a time.

    Args:
        folder: The state's folder.

    Raises:
        StateError: The database cannot be used; every method raises it then.
    """

    def __init__(self, folder: Path) -> None:
        self._db = Database(folder)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def ask(
        self,
        kind: str,
        plugin: str,
        detail: Mapping[str, Any],
        asked_by: str,
        events: Iterable[ReplayEvent] = (),
    ) -> int:
        """Record a request and return its number.

        Args:
            kind: What is asked for.
            plugin: The plugin concerned; empty for the feed.
            detail: Further values, as JSON types.
            asked_by: The person who asks, for people.
            events: The events to replay, in order.
        """
        return self.ask_all([(kind, plugin, detail, events)], asked_by)[0]

    def ask_all(self, asked: Iterable[RequestDraft], asked_by: str) -> list[int]:
        """Record several requests atomically, `(kind, plugin, detail, events)` each; see `ask`."""
        with self._db.transaction() as db:
            return [write_asked(db, asked_by, one) for one in asked]

    def waiting(self, above: int = 0, plugin: str | None = None) -> list[Request]:
        """Return the unanswered requests, in the order they were made.

        Args:
            above: Only those with a higher number.
            plugin: Only those about this plugin; None for all.
        """
        rows = self._db.fetch_all(
            f"SELECT {_COLUMNS} FROM requests"  # noqa: S608 - our own columns
            " WHERE outcome IS NULL AND id > ?1 AND (?2 IS NULL OR plugin = ?2) ORDER BY id",
            above,
            plugin,
        )
        return [_request(row) for row in rows]

    def get(self, number: int) -> Request | None:
        """Return a request as it is now; None if it is unknown or answered."""
        row = self._db.fetch_one(
            f"SELECT {_COLUMNS} FROM requests WHERE id = ? AND outcome IS NULL",  # noqa: S608
            number,
        )
        return None if row is None else _request(row)

    def unanswered(self, numbers: Iterable[int]) -> list[int]:
        """Return those of the given requests that are unanswered, in their order."""
        rows = {
            row[0] for row in self._db.fetch_all("SELECT id FROM requests WHERE outcome IS NULL")
        }
        return [number for number in numbers if number in rows]

    def answer_of(self, number: int) -> RequestAnswer | None:
        """Return the answer to a request; None while it is unanswered."""
        row = self._db.fetch_one(
            "SELECT outcome, answer FROM requests WHERE id = ? AND outcome IS NOT NULL", number
        )
        return None if row is None else RequestAnswer(*row)

    def list_latest(self, count: int) -> list[ShownRequest]:
        """Return the last requests, answered or not, the newest last."""
        rows = self._db.fetch_all(
            "SELECT id, kind, plugin, asked_by, asked_at, detail, outcome, answer, answered_at"
            " FROM requests ORDER BY id DESC LIMIT ?",
            count,
        )
        return [_asked(row) for row in reversed(rows)]

    def begin(self, number: int) -> None:
        """Record that a plugin is about to be called: the process may not survive it."""
        with self._db.transaction() as db:
            db.execute("UPDATE requests SET begun = begun + 1 WHERE id = ?", (number,))

    def answer(self, number: int, answer: RequestAnswer) -> None:
        """Answer a request that needs no other record."""
        with self._db.transaction() as db:
            write_request(db, RequestStep(number, answer=answer))

    def replay_event(self, number: int, index: int) -> ReplayEvent | None:
        """Return the event at a position of a replay; None after the last."""
        row = self._db.fetch_one(
            "SELECT era, seq, event_id, body FROM replays WHERE request = ? AND place = ?",
            number,
            index,
        )
        return None if row is None else ReplayEvent(*row)

    def forget(self, before: float) -> None:
        """Remove requests that were answered before a time, in seconds since 1970."""
        with self._db.transaction() as db:
            db.execute("DELETE FROM requests WHERE answered_at < ?", (before,))
            db.execute("DELETE FROM deaths WHERE seq < (SELECT min(seq) FROM journal)")


def write_asked(db: sqlite3.Connection, asked_by: str, one: RequestDraft) -> int:
    """Record a request in the caller's transaction, and return its number."""
    kind, plugin, detail, events = one
    number = db.execute(
        "INSERT INTO requests (kind, plugin, detail, asked_by, asked_at) VALUES (?, ?, ?, ?, ?)",
        (kind, plugin, _encode(detail).decode(), asked_by, time.time()),
    ).lastrowid
    assert number is not None  # noqa: S101 - a row was inserted
    db.executemany(
        "INSERT INTO replays VALUES (?, ?, ?, ?, ?, ?)",
        ((number, index, *event) for index, event in enumerate(events)),
    )
    return number


def write_request(db: sqlite3.Connection, step: RequestStep) -> int:
    """Write the change to a request; return the number of its dead letter, 0 if it has none.

    It is part of a larger step of work, in the caller's transaction.
    """
    letter = _letter(db, step.letter)
    write_dismissed(db, step.dismissed)
    if step.passed is not None:
        db.execute("DELETE FROM attempts WHERE plugin = ? AND seq = ?", step.passed)
        db.execute("DELETE FROM deaths WHERE plugin = ? AND seq = ?", step.passed)
    if step.progress is not None:
        db.execute(
            "UPDATE requests SET progress = ?, begun = 0 WHERE id = ?",
            (_encode(step.progress).decode(), step.number),
        )
    if step.answer is not None:
        db.execute(
            "UPDATE requests SET outcome = ?, answer = ?, answered_at = ?"
            " WHERE id = ? AND outcome IS NULL",
            (step.answer.outcome, step.answer.text, time.time(), step.number),
        )
        db.execute("DELETE FROM replays WHERE request = ?", (step.number,))
    return letter


def _letter(db: sqlite3.Connection, change: LetterChange | None) -> int:
    return 0 if change is None else write_letter(db, change)


def _asked(row: tuple[Any, ...]) -> ShownRequest:
    number, kind, plugin, asked_by, asked_at, encoded, outcome, answer, answered_at = row
    detail = msgspec.json.decode(encoded)
    return ShownRequest(
        number=number,
        kind=kind,
        plugin=plugin,
        about=request_subject(detail),
        asked_by=asked_by,
        asked_at=asked_at,
        reason=str(detail.get("reason") or ""),
        outcome=outcome,
        answer=answer,
        answered_at=answered_at,
    )


def _request(row: tuple[Any, ...]) -> Request:
    number, kind, plugin, detail, asked_by, begun, progress = row
    decode = msgspec.json.decode
    return Request(number, kind, plugin, decode(detail), asked_by, begun, decode(progress))
