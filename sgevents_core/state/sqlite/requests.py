"""People's requests to a state, each kept until it is carried out.

The commands write requests, the daemon (or the command itself if none runs) carries them out; see
the room `requests`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from sgevents_core.state.batches import BatchedEvent
from sgevents_core.state.letters import LetterChange
from sgevents_core.state.move_record import refuse_elsewhere
from sgevents_core.state.requests import (
    LAST_REQUESTS,
    ReplayEvent,
    Request,
    RequestAnswer,
    RequestDraft,
    RequestProgress,
    RequestStep,
    ShownRequest,
    request_subject,
)
from sgevents_core.state.sqlite.batches import (
    count_replay_batch,
    forget_replay,
    read_replay_batch,
)
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.sqlite.letters import settle_letters, write_letter
from sgevents_core.state.steps import NOTHING_GIVEN, GivenValues

_encode_json: Final = msgspec.json.Encoder().encode
_REQUEST_COLUMNS: Final = "id, kind, plugin, detail, asked_by, begun, progress"


class SqliteRequests:
    """The requests of a state, over a connection of its own; for one thread at a time.

    Args:
        state_folder: The state's folder.

    Raises:
        StateError: The database cannot be used; every method raises it then.
    """

    def __init__(self, state_folder: Path) -> None:
        self._state_folder = state_folder
        self._database = Database(state_folder)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def ask(
        self,
        request_kind: str,
        plugin_name: str,
        request_detail: Mapping[str, Any],
        asked_by: str,
        events: Iterable[ReplayEvent] = (),
    ) -> int:
        """Record a request and return its number.

        Args:
            request_kind: The kind of request.
            plugin_name: The plugin concerned; empty for the feed.
            request_detail: Further values, as JSON types.
            asked_by: The person who asks, for people.
            events: The events to replay, in order.
        """
        return self.ask_all([(request_kind, plugin_name, request_detail, events)], asked_by)[0]

    def ask_all(self, request_drafts: Iterable[RequestDraft], asked_by: str) -> list[int]:
        """Record several requests atomically, `(kind, plugin, detail, events)` each; see `ask`.

        Raises:
            StateElsewhere: The state was moved, or is on its way.
        """
        with self._database.transaction() as connection:
            refuse_elsewhere(self._state_folder, is_on_servers=False)
            return [
                write_new_request(connection, asked_by, request_draft)
                for request_draft in request_drafts
            ]

    def waiting(self, above_number: int = 0, plugin_name: str | None = None) -> list[Request]:
        """Return the unanswered requests, in the order they were made.

        Args:
            above_number: Only those with a higher number.
            plugin_name: Only those about this plugin; None for all.
        """
        request_rows = self._database.fetch_all(
            f"SELECT {_REQUEST_COLUMNS} FROM requests"  # noqa: S608 - our own columns
            " WHERE outcome IS NULL AND id > ?1 AND (?2 IS NULL OR plugin = ?2) ORDER BY id",
            above_number,
            plugin_name,
        )
        return [_build_request(request_row) for request_row in request_rows]

    def get(self, request_number: int) -> Request | None:
        """Return a request as it is now; None if it is unknown or answered."""
        request_row = self._database.fetch_one(
            f"SELECT {_REQUEST_COLUMNS} FROM requests WHERE id = ? AND outcome IS NULL",  # noqa: S608 - our own columns
            request_number,
        )
        return None if request_row is None else _build_request(request_row)

    def unanswered(self, request_numbers: Iterable[int]) -> list[int]:
        """Return those of the given requests that are unanswered, in their order."""
        unanswered_numbers = {
            number_row[0]
            for number_row in self._database.fetch_all(
                "SELECT id FROM requests WHERE outcome IS NULL"
            )
        }
        return [
            request_number
            for request_number in request_numbers
            if request_number in unanswered_numbers
        ]

    def answer_of(self, request_number: int) -> RequestAnswer | None:
        """Return the answer to a request; None while it is unanswered."""
        answer_row = self._database.fetch_one(
            "SELECT outcome, answer FROM requests WHERE id = ? AND outcome IS NOT NULL",
            request_number,
        )
        return None if answer_row is None else RequestAnswer(*answer_row)

    def list_latest(self, request_limit: int) -> list[ShownRequest]:
        """Return the last requests, answered or not, the newest last."""
        request_rows = self._database.fetch_all(
            "SELECT id, kind, plugin, asked_by, asked_at, detail, outcome, answer, answered_at"
            " FROM requests ORDER BY id DESC LIMIT ?",
            request_limit,
        )
        return [_shown_request(request_row) for request_row in reversed(request_rows)]

    def progress_of_kinds(self, kinds: Collection[str], since: float) -> list[RequestProgress]:
        """Return how many requests of some kinds wait, and how many were answered since a time."""
        progress_rows = self._database.fetch_all(
            "SELECT kind, plugin, sum(outcome IS NULL), sum(outcome IS 'done'),"
            " sum(outcome IS NOT NULL AND outcome <> 'done') FROM requests"
            " WHERE id > (SELECT coalesce(max(id), 0) FROM requests) - ?"
            " AND (outcome IS NULL OR answered_at >= ?)"
            " GROUP BY kind, plugin ORDER BY kind, plugin",
            LAST_REQUESTS,
            since,
        )
        return [RequestProgress(*row) for row in progress_rows if row[0] in kinds]

    def begin(self, request_number: int) -> None:
        """Record that a plugin is about to be called: the process may not survive it."""
        with self._database.transaction() as connection:
            begin_request(connection, request_number)

    def answer(self, request_number: int, request_answer: RequestAnswer) -> None:
        """Answer a request that changes no other record."""
        with self._database.transaction() as connection:
            write_request_step(connection, RequestStep(request_number, answer=request_answer))

    def replay_event(self, request_number: int, event_index: int) -> ReplayEvent | None:
        """Return the event at a position of a replay; None after the last."""
        event_row = self._database.fetch_one(
            "SELECT era, seq, event_id, body FROM replays WHERE request = ? AND place = ?",
            request_number,
            event_index,
        )
        return None if event_row is None else ReplayEvent(*event_row)

    def count_batch(
        self, request_number: int, callback_name: str, key: str
    ) -> tuple[int, int] | None:
        """Return the number of a replay's batch of a key, and that of its events; None if none."""
        return count_replay_batch(self._database, request_number, callback_name, key)

    def replay_batch(
        self,
        request_number: int,
        callback_name: str | None = None,
        batch_number: int | None = None,
    ) -> list[BatchedEvent]:
        """Return the events of a batch that a replay has collected, in order; none if it is called.

        Args:
            request_number: The replay.
            callback_name: The batch's callback; by default, that of the first batch.
            batch_number: The batch's number; by default, the lowest.
        """
        return read_replay_batch(self._database, request_number, callback_name, batch_number)

    def forget(self, answered_before: float) -> None:
        """Remove requests that were answered before a time, in seconds since 1970."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM requests WHERE answered_at < ?", (answered_before,))


def write_new_request(
    connection: sqlite3.Connection,
    asked_by: str,
    request_draft: RequestDraft,
    asked_at: float | None = None,
) -> int:
    """Record a request in the caller's transaction, and return its number.

    Args:
        connection: The connection.
        asked_by: The person who asks, for people.
        request_draft: The request.
        asked_at: When it was made, in seconds since 1970; None for now.
    """
    request_kind, plugin_name, request_detail, events = request_draft
    request_number = connection.execute(
        "INSERT INTO requests (kind, plugin, detail, asked_by, asked_at) VALUES (?, ?, ?, ?, ?)",
        (
            request_kind,
            plugin_name,
            _encode_json(request_detail).decode(),
            asked_by,
            time.time() if asked_at is None else asked_at,
        ),
    ).lastrowid
    assert request_number is not None  # noqa: S101 - a row was inserted
    connection.executemany(
        "INSERT INTO replays VALUES (?, ?, ?, ?, ?, ?)",
        (
            (request_number, event_index, *replay_event)
            for event_index, replay_event in enumerate(events)
        ),
    )
    return request_number


def write_request_step(
    connection: sqlite3.Connection, step: RequestStep, given_values: GivenValues = NOTHING_GIVEN
) -> int:
    """Write the change to a request; return the number of its dead letter, 0 if it has none.

    The change is part of a larger step of work, in the caller's transaction.
    """
    letter_number = _write_letter(connection, step.letter, given_values.letter_number)
    settle_letters(connection, step.dismissed, "dismissed")
    settle_letters(connection, step.retried, "retried")
    if step.passed is not None:
        connection.execute("DELETE FROM attempts WHERE plugin = ? AND seq = ?", step.passed)
        connection.execute("DELETE FROM deaths WHERE plugin = ? AND seq = ?", step.passed)
    if step.progress is not None:
        connection.execute(
            "UPDATE requests SET progress = ?, begun = 0 WHERE id = ?",
            (_encode_json(step.progress).decode(), step.number),
        )
    if step.answer is not None:
        _write_answer(connection, step.number, step.answer, given_values.answered_at)
        connection.execute("DELETE FROM replays WHERE request = ?", (step.number,))
        forget_replay(connection, step.number)
    return letter_number


def delete_requests(connection: sqlite3.Connection, request_numbers: Iterable[int]) -> None:
    """Remove requests, in the caller's transaction."""
    connection.executemany(
        "DELETE FROM requests WHERE id = ?", ((number,) for number in request_numbers)
    )


def begin_request(connection: sqlite3.Connection, request_number: int) -> None:
    """Count one more call that is about to be made, in the caller's transaction."""
    connection.execute("UPDATE requests SET begun = begun + 1 WHERE id = ?", (request_number,))


def _write_answer(
    connection: sqlite3.Connection,
    request_number: int,
    request_answer: RequestAnswer,
    given_time: float | None,
) -> None:
    """Write an answer unless there is one; with times from several hosts the earliest stays."""
    if given_time is None:
        connection.execute(
            "UPDATE requests SET outcome = ?, answer = ?, answered_at = ?"
            " WHERE id = ? AND outcome IS NULL",
            (*request_answer, time.time(), request_number),
        )
        return
    connection.execute(
        "UPDATE requests SET outcome = ?1, answer = ?2, answered_at = ?3 WHERE id = ?4"
        " AND (outcome IS NULL OR (answered_at, outcome, answer) > (?3, ?1, ?2))",
        (*request_answer, given_time, request_number),
    )


def _write_letter(
    connection: sqlite3.Connection, letter_change: LetterChange | None, new_number: int | None
) -> int:
    return 0 if letter_change is None else write_letter(connection, letter_change, new_number)


def _shown_request(request_row: tuple[Any, ...]) -> ShownRequest:
    (
        request_number,
        request_kind,
        plugin_name,
        asked_by,
        asked_at,
        encoded_detail,
        outcome,
        answer_text,
        answered_at,
    ) = request_row
    request_detail = msgspec.json.decode(encoded_detail)
    return ShownRequest(
        number=request_number,
        kind=request_kind,
        plugin=plugin_name,
        about=request_subject(request_detail),
        asked_by=asked_by,
        asked_at=asked_at,
        reason=str(request_detail.get("reason") or ""),
        outcome=outcome,
        answer=answer_text,
        answered_at=answered_at,
    )


def _build_request(request_row: tuple[Any, ...]) -> Request:
    (
        request_number,
        request_kind,
        plugin_name,
        encoded_detail,
        asked_by,
        begun_count,
        encoded_progress,
    ) = request_row
    decode_json = msgspec.json.decode
    return Request(
        request_number,
        request_kind,
        plugin_name,
        decode_json(encoded_detail),
        asked_by,
        begun_count,
        decode_json(encoded_progress),
    )
