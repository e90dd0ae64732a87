"""What people ask of a state, written down: each request is kept until it is carried out.

The commands write requests, the daemon (or the command itself, where none runs) carries them out;
how is the affair of `dispatch.requests`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from sgevents_core.journal.database import Database
from sgevents_core.journal.letters import write_dismissed, write_letter
from sgevents_core.journal.steps import Answer, LetterChange, RequestStep

_encode: Final = msgspec.json.Encoder().encode
_COLUMNS: Final = "id, kind, plugin, detail, asked_by, begun, progress"


class Request(NamedTuple):
    """One request.

    Args:
        number: Its own number.
        kind: `pause`, `resume`, `skip`, `retry`, `dismiss`, `replay`; about the feed `reset`,
            `parked`.
        plugin: The plugin it is about; empty for the feed.
        detail: What else it says, by kind.
        asked_by: Who asked, for people.
        begun: How often the call it asks for now was begun.
        progress: How far a long one is.
    """

    number: int
    kind: str
    plugin: str
    detail: dict[str, Any]
    asked_by: str
    begun: int
    progress: dict[str, Any]


class Asked(NamedTuple):
    """One request as people see it, answered or not.

    Args:
        number: Its own number.
        kind: See `Request`.
        plugin: The plugin it is about; empty for the feed.
        about: Which event, dead letters or place it names, for people; empty for none.
        asked_by: Who asked: `anna@host`.
        asked_at: When, in seconds since 1970.
        reason: Why, in the words of who asked; empty for none.
        outcome: `done`, `refused` or `failed`; None while it waits.
        answer: What came of it, for people; empty while it waits.
        answered_at: When, in seconds since 1970; None while it waits.
    """

    number: int
    kind: str
    plugin: str
    about: str
    asked_by: str
    asked_at: float
    reason: str
    outcome: str | None
    answer: str
    answered_at: float | None


class Replayed(NamedTuple):
    """One event that is to be replayed; `seq` is 0 where the journal does not hold it."""

    era: int
    seq: int
    event_id: int
    body: bytes


Asking: TypeAlias = tuple[str, str, Mapping[str, Any], Iterable[Replayed]]
"""Kind, plugin, detail and events of a request that is made; see `Requests.ask`."""


class Requests:
    """The requests of a state, over a connection of its own; for one thread at a time.

    Args:
        folder: The state's folder.

    Raises:
        StateError: The database cannot be used; every method raises it where that is so.
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
        events: Iterable[Replayed] = (),
    ) -> int:
        """Write a request down and return its number.

        Args:
            kind: What is asked for.
            plugin: Of which plugin; empty for the feed.
            detail: What else there is to say, as JSON knows it.
            asked_by: Who asks, for people.
            events: What is to be replayed, in order.
        """
        return self.ask_all([(kind, plugin, detail, events)], asked_by)[0]

    def ask_all(self, asked: Iterable[Asking], asked_by: str) -> list[int]:
        """Write requests down as one, `(kind, plugin, detail, events)` each; see `ask`."""
        with self._db.transaction() as db:
            return [write_asked(db, asked_by, one) for one in asked]

    def waiting(self, above: int = 0, plugin: str | None = None) -> list[Request]:
        """Return the requests that are not answered, in the order they were made.

        Args:
            above: Only those with a higher number.
            plugin: Only those about this plugin; None for all.
        """
        found = self._db.all(
            f"SELECT {_COLUMNS} FROM requests"  # noqa: S608 - our own columns
            " WHERE outcome IS NULL AND id > ?1 AND (?2 IS NULL OR plugin = ?2) ORDER BY id",
            above,
            plugin,
        )
        return [_request(row) for row in found]

    def get(self, number: int) -> Request | None:
        """Return a request as it is now, None if it is not kept or is answered."""
        found = self._db.one(
            f"SELECT {_COLUMNS} FROM requests WHERE id = ? AND outcome IS NULL",  # noqa: S608
            number,
        )
        return None if found is None else _request(found)

    def unanswered(self, numbers: Iterable[int]) -> list[int]:
        """Return those of some requests that wait, in their order."""
        found = {row[0] for row in self._db.all("SELECT id FROM requests WHERE outcome IS NULL")}
        return [number for number in numbers if number in found]

    def answer_of(self, number: int) -> Answer | None:
        """Return what came of a request, None while it waits."""
        found = self._db.one(
            "SELECT outcome, answer FROM requests WHERE id = ? AND outcome IS NOT NULL", number
        )
        return None if found is None else Answer(*found)

    def last(self, count: int) -> list[Asked]:
        """Return the last requests, answered or not, the newest last."""
        found = self._db.all(
            "SELECT id, kind, plugin, asked_by, asked_at, detail, outcome, answer, answered_at"
            " FROM requests ORDER BY id DESC LIMIT ?",
            count,
        )
        return [_asked(row) for row in reversed(found)]

    def begin(self, number: int) -> None:
        """Note that a call of a plugin is about to be made: the process may not survive it."""
        with self._db.transaction() as db:
            db.execute("UPDATE requests SET begun = begun + 1 WHERE id = ?", (number,))

    def answer(self, number: int, answer: Answer) -> None:
        """Answer a request whose work needs no other record."""
        with self._db.transaction() as db:
            write_request(db, RequestStep(number, answer=answer))

    def replayed(self, number: int, place: int) -> Replayed | None:
        """Return the event at a place of a replay, None behind the last."""
        found = self._db.one(
            "SELECT era, seq, event_id, body FROM replays WHERE request = ? AND place = ?",
            number,
            place,
        )
        return None if found is None else Replayed(*found)

    def forget(self, before: float) -> None:
        """Remove requests that were answered before a time, in seconds since 1970."""
        with self._db.transaction() as db:
            db.execute("DELETE FROM requests WHERE answered_at < ?", (before,))
            db.execute("DELETE FROM deaths WHERE seq < (SELECT min(seq) FROM journal)")


def write_asked(db: sqlite3.Connection, asked_by: str, one: Asking) -> int:
    """Write a request down, in a transaction of the caller's, and return its number."""
    kind, plugin, detail, events = one
    number = db.execute(
        "INSERT INTO requests (kind, plugin, detail, asked_by, asked_at) VALUES (?, ?, ?, ?, ?)",
        (kind, plugin, _encode(detail).decode(), asked_by, time.time()),
    ).lastrowid
    assert number is not None  # noqa: S101 - a row was inserted
    db.executemany(
        "INSERT INTO replays VALUES (?, ?, ?, ?, ?, ?)",
        ((number, place, *event) for place, event in enumerate(events)),
    )
    return number


def write_request(db: sqlite3.Connection, step: RequestStep) -> int:
    """Write what became of a request; return the number of the dead letter concerned, else 0.

    Part of a larger step of work: the caller's transaction holds both.
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


def _asked(row: tuple[Any, ...]) -> Asked:
    number, kind, plugin, asked_by, asked_at, detail, outcome, answer, answered_at = row
    said = msgspec.json.decode(detail)
    reason = str(said.get("reason") or "")
    about = _about(said)
    return Asked(
        number, kind, plugin, about, asked_by, asked_at, reason, outcome, answer, answered_at
    )


def _about(detail: Mapping[str, Any]) -> str:
    """Return what a request names, in the words of the command that made it."""
    if "letters" in detail:
        return f"{len(detail['letters'])} dead letters"
    if "letter" in detail:
        return f"dead letter {detail['letter']}"
    if "events" in detail:
        return f"events {detail['events']}"
    return str(detail.get("event_id") or detail.get("from") or detail.get("decision") or "")


def _request(row: tuple[Any, ...]) -> Request:
    number, kind, plugin, detail, asked_by, begun, progress = row
    decode = msgspec.json.decode
    return Request(number, kind, plugin, decode(detail), asked_by, begun, decode(progress))
