"""Dead letters: events that a callback failed on for good, kept with everything a retry needs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from sgevents_core.state.batches import BatchedEvent
from sgevents_core.state.failures import Failure, FailureOutcome
from sgevents_core.state.letters import (
    FailureGroup,
    Letter,
    LetterChange,
    LetterChoice,
    LetterGroup,
    group_letters,
    merge_failure_groups,
)
from sgevents_core.state.sqlite.batches import letter_event_ids, read_letter_events
from sgevents_core.state.sqlite.checksums import letter_checksum, letter_checksum_column
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.sqlite.tracebacks import (
    forget_traceback,
    keep_traceback,
    traceback_column,
)

_OLDEST_SCHEMA: Final = 2
"""The version of the schema that first had eras of failures."""


class SqliteLetters:
    """The dead letters of a state, over a connection of its own; for one thread at a time.

    Args:
        state_folder: The state's folder.

    Raises:
        StateError: The database cannot be used; every method raises it then.
    """

    def __init__(self, state_folder: Path) -> None:
        self._database = Database(state_folder, read_only=True, oldest_version=_OLDEST_SCHEMA)
        self._traceback_expression = traceback_column(self._database)
        self._checksum_column = letter_checksum_column(self._database)
        self._event_ids = letter_event_ids(self._database)

    @property
    def database(self) -> Database:
        """The connection."""
        return self._database

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def get(self, letter_number: int) -> Letter | None:
        """Return the dead letter with this number, even if retried or dismissed; None if none."""
        found_letters = self._select_letters(
            "id = :number AND (dead = 1 OR outcome IN ('retried', 'dismissed'))",
            {"number": letter_number},
        )
        return found_letters[0] if found_letters else None

    def find(self, plugin_name: str | None = None, event_id: int | None = None) -> list[Letter]:
        """Return the dead letters, oldest first.

        Args:
            plugin_name: Only those of this plugin.
            event_id: Only those for this event.
        """
        letter_choice = LetterChoice(plugin=plugin_name, event_id=event_id)
        return self._select_letters(*self._sql_condition(letter_choice))

    def listed(
        self, letter_choice: LetterChoice, after_number: int = 0, letter_limit: int = -1
    ) -> Iterator[Letter]:
        """Yield dead letters, oldest first, without events and tracebacks; few are held in memory.

        Args:
            letter_choice: The letters to list.
            after_number: Only those with a higher number.
            letter_limit: The most letters to list; -1 for all.
        """
        sql_condition, condition_values = self._sql_condition(letter_choice)
        letter_rows = self._database.fetch_each(
            "SELECT id, era, plugin, callback, seq, event_id, attempt, error, '', at, outcome,"  # noqa: S608 - all our own
            f" {self._event_ids}"
            f" FROM failures WHERE {sql_condition} AND id > :after ORDER BY id LIMIT :limit",
            {**condition_values, "after": after_number, "limit": letter_limit},
        )
        for letter_number, event_era, *failure_columns, joined_ids in letter_rows:
            last_failure = Failure(*failure_columns)
            batch = _event_ids(joined_ids)
            yield Letter(letter_number, last_failure, True, event_era, b"", batch=batch)

    def count(self, letter_choice: LetterChoice, after_number: int = 0) -> int:
        """Count the chosen dead letters whose number is above `after_number`."""
        sql_condition, condition_values = self._sql_condition(letter_choice)
        return self._database.fetch_number(
            f"SELECT count(*) FROM failures WHERE {sql_condition} AND id > :after",  # noqa: S608 - our own condition
            {**condition_values, "after": after_number},
        )

    def groups(self, letter_choice: LetterChoice) -> list[LetterGroup]:
        """Return dead letters grouped by plugin, callback and error, the largest group first.

        Errors of one kind are grouped together; see `error_kind`.
        """
        sql_condition, condition_values = self._sql_condition(letter_choice)
        letter_rows = self._database.fetch_each(
            f"SELECT plugin, callback, error, id, at FROM failures WHERE {sql_condition}",  # noqa: S608 - all our own
            condition_values,
        )
        return group_letters(letter_rows)

    def failure_groups(self, plugin_name: str | None = None) -> list[FailureGroup]:
        """Return the failures that are no dead letters, grouped by cause, the newest first."""
        group_rows = self._database.fetch_each(
            "SELECT plugin, callback, error, outcome, failures, events,"
            " (SELECT event_id FROM failures WHERE id = newest), since, until FROM"
            " (SELECT plugin, callback, error, outcome, count(*) AS failures,"
            "  count(DISTINCT event_id) AS events, max(id) AS newest, min(at) AS since,"
            "  max(at) AS until FROM failures WHERE dead = 0 AND (?1 IS NULL OR plugin = ?1)"
            "  GROUP BY plugin, callback, error, outcome)",
            plugin_name,
        )
        return merge_failure_groups(FailureGroup(*group_row) for group_row in group_rows)

    def of_call(
        self, plugin_name: str, callback_name: str, seq: int, event_id: int
    ) -> Letter | None:
        """Return a callback's dead letter for an event; None if it has none."""
        found_letters = self._select_letters(
            "dead = 1 AND plugin = :plugin AND callback = :callback AND seq = :seq"
            " AND event_id = :event_id",
            {"plugin": plugin_name, "callback": callback_name, "seq": seq, "event_id": event_id},
        )
        return found_letters[0] if found_letters else None

    def events_of(self, letter_number: int) -> list[BatchedEvent]:
        """Return the events of a dead letter of a batch, in order; none for any other letter."""
        return read_letter_events(self._database, letter_number)

    def _select_letters(
        self, sql_condition: str, condition_values: Mapping[str, Any]
    ) -> list[Letter]:
        letter_rows = self._database.fetch_all(
            "SELECT id, dead, era, body, plugin, callback, seq, event_id, attempt, error,"  # noqa: S608 - all our own
            f" {self._traceback_expression}, at, outcome, {self._checksum_column},"
            f" {self._event_ids}"
            f" FROM failures WHERE {sql_condition} ORDER BY id",
            condition_values,
        )
        return [_build_letter(*letter_row) for letter_row in letter_rows]

    def _sql_condition(self, letter_choice: LetterChoice) -> tuple[str, dict[str, Any]]:
        """Return an SQL condition on `failures`, and its values."""
        sql_terms, condition_values = ["dead = 1"], dict[str, Any]()
        for column in ("plugin", "callback"):
            chosen_value = getattr(letter_choice, column)
            if chosen_value is not None:
                sql_terms.append(f"{column} = :{column}")
                condition_values[column] = chosen_value
        if letter_choice.event_id is not None:
            sql_terms.append(
                "event_id = :event_id"
                if self._event_ids == "NULL"
                else "(event_id = :event_id OR id IN"
                " (SELECT letter FROM batched WHERE letter > 0 AND event_id = :event_id))"
            )
            condition_values["event_id"] = letter_choice.event_id
        if letter_choice.error is not None:
            sql_terms.append("error GLOB :error")
            condition_values["error"] = f"*{_glob_pattern(letter_choice.error)}*"
        return " AND ".join(sql_terms), condition_values


def insert_failure(
    connection: sqlite3.Connection,
    failure: Failure,
    *,
    is_dead: bool,
    event_era: int,
    row_json: bytes | None,
    failure_number: int | None = None,
) -> int:
    """Insert a failure, and return its number.

    Args:
        connection: The connection, in the caller's transaction.
        failure: The failure.
        is_dead: Whether it makes a dead letter.
        event_era: The era of its event.
        row_json: The event's row; None if it is not kept.
        failure_number: Its number; None for the next one.
    """
    call = (failure.plugin, failure.callback, failure.seq, failure.event_id)
    traceback_id, traceback_end = keep_traceback(connection, failure.traceback)
    insert_cursor = connection.execute(
        "INSERT INTO failures (id, plugin, callback, seq, event_id, attempt, error, traceback,"
        " traceback_id, at, outcome, dead, body, era, sum)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (failure_number, *call, failure.attempt, failure.error, traceback_end, traceback_id,
         failure.at, failure.outcome, is_dead, row_json, event_era,
         letter_checksum(*call, row_json)),
    )  # fmt: skip
    return insert_cursor.lastrowid or 0


def write_letter(
    connection: sqlite3.Connection, letter_change: LetterChange, new_number: int | None = None
) -> int:
    """Write a new dead letter or the change to one; return its number.

    Args:
        connection: The connection, in the caller's transaction.
        letter_change: The letter or the change.
        new_number: The number of a new letter; None for the next one.
    """
    failure, is_dead = letter_change.failure, letter_change.dead
    if letter_change.number is None:
        era, body = letter_change.era, letter_change.body
        return insert_failure(
            connection,
            failure,
            is_dead=is_dead,
            event_era=era,
            row_json=body,
            failure_number=new_number,
        )
    traceback_before = connection.execute(
        "SELECT traceback_id FROM failures WHERE id = ?", (letter_change.number,)
    ).fetchone()
    traceback_id, traceback_end = keep_traceback(connection, failure.traceback)
    connection.execute(
        "UPDATE failures SET attempt = ?, error = ?, traceback = ?, traceback_id = ?, at = ?,"
        " outcome = ?, dead = ? WHERE id = ?",
        (failure.attempt, failure.error, traceback_end, traceback_id, failure.at, failure.outcome,
         is_dead, letter_change.number),
    )  # fmt: skip
    for unused_number in {*(traceback_before or ()), traceback_id} - {0, None}:
        forget_traceback(connection, unused_number)
    return letter_change.number


def settle_letters(
    connection: sqlite3.Connection, letter_numbers: Iterable[int], outcome: FailureOutcome
) -> None:
    """Settle dead letters as `retried` or `dismissed`, in the caller's transaction."""
    connection.executemany(
        "UPDATE failures SET outcome = ?, dead = 0 WHERE id = ? AND dead = 1",
        ((outcome, letter_number) for letter_number in letter_numbers),
    )


def _build_letter(
    letter_number: int, is_dead: int, event_era: int, row_json: bytes | None, *other_columns: Any
) -> Letter:
    *failure_columns, stored_checksum, joined_ids = other_columns
    last_failure = Failure(*failure_columns)
    plugin_name, callback_name, seq, event_id = failure_columns[:4]
    checksum = letter_checksum(plugin_name, callback_name, seq, event_id, row_json)
    is_intact = stored_checksum in {None, checksum}
    row_json = row_json or b""
    batch = _event_ids(joined_ids)
    return Letter(letter_number, last_failure, bool(is_dead), event_era, row_json, is_intact, batch)


def _event_ids(joined_ids: str | None) -> tuple[int, ...]:
    """Return the ids of the events of a batch from `letter_event_ids`."""
    return tuple(map(int, str(joined_ids).split(","))) if joined_ids else ()


def _glob_pattern(error_text: str) -> str:
    """Return a GLOB pattern for a text in which `#` stands for a number, `…` for any text."""
    escaped_characters = [
        f"[{character}]" if character in "*?[" else character for character in error_text
    ]
    return "".join(escaped_characters).replace("#", "[#0-9]*").replace("…", "*")
