"""The events of batches in the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from sgevents_core.state.batches import (
    BatchChange,
    BatchedEvent,
    WaitingBatch,
    waiting_batches,
)
from sgevents_core.state.sqlite.checksums import letter_checksum
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.steps import Step

_BATCHES_SINCE_VERSION: Final = 15
"""The version of the schema that first had the table `batched`."""
_COLUMNS: Final = (
    "plugin, callback, batch, key, seq, era, event_id, body, strands, collected_at, due_at,"
    " closed, letter, sum"
)


def _write_collected(connection: sqlite3.Connection, event: BatchedEvent) -> None:
    """Add an event to its batch, in the caller's transaction."""
    checksum = letter_checksum(event.plugin, event.callback, event.seq, event.event_id, event.body)
    connection.execute(
        "INSERT INTO batched VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*event[:11], event.is_closed, event.letter, checksum),
    )


def write_batches(connection: sqlite3.Connection, step: Step, failure_number: int) -> None:
    """Write what a step changes in batches, in the caller's transaction.

    Args:
        connection: The connection.
        step: The step.
        failure_number: The number of its failure; 0 if it has none.
    """
    if step.collected is not None:
        _write_collected(connection, step.collected)
    if step.batch is not None:
        _write_batch_change(connection, step.batch, failure_number)


def _write_batch_change(
    connection: sqlite3.Connection, change: BatchChange, letter_number: int
) -> None:
    is_of_batch = "letter = 0 AND plugin = ? AND callback = ? AND batch = ?"
    batch = (change.plugin, change.callback, change.number)
    if change.action == "close":
        connection.execute(f"UPDATE batched SET closed = 1 WHERE {is_of_batch}", batch)  # noqa: S608 - our own
    elif change.action == "bury":
        connection.execute(
            f"UPDATE batched SET closed = 1, letter = ? WHERE {is_of_batch}",  # noqa: S608 - our own
            (letter_number, *batch),
        )
    else:
        connection.execute(f"DELETE FROM batched WHERE {is_of_batch}", batch)  # noqa: S608 - our own


def forget_settled(connection: sqlite3.Connection) -> None:
    """Remove the events of dead letters that were settled and have been removed."""
    connection.execute(
        "DELETE FROM batched WHERE letter > 0 AND letter NOT IN (SELECT id FROM failures)"
    )


def read_waiting(database: Database) -> list[WaitingBatch]:
    """Return the batches whose call has not ended for good, the oldest first."""
    if _is_older(database):
        return []
    event_rows = database.fetch_all(
        "SELECT plugin, callback, batch, key, seq, era, event_id, x'', strands, collected_at,"
        " due_at, closed FROM batched WHERE letter = 0"
    )
    return waiting_batches(
        BatchedEvent._make([*values, bool(is_closed), 0, True]) for *values, is_closed in event_rows
    )


def read_batch(
    database: Database, plugin_name: str, callback_name: str, batch_number: int
) -> list[BatchedEvent]:
    """Return the events of a waiting batch, in order."""
    return _select(
        database,
        "letter = 0 AND plugin = ? AND callback = ? AND batch = ?",
        plugin_name,
        callback_name,
        batch_number,
    )


def read_event_batches(database: Database, seq: int) -> list[BatchedEvent]:
    """Return an event as it is in batches and in dead letters of batches."""
    return _select(database, "seq = ?", seq)


def read_letter_events(database: Database, letter_number: int) -> list[BatchedEvent]:
    """Return the events of a batch that became a dead letter, in order."""
    return _select(database, "letter = ? AND letter > 0", letter_number)


def read_all_batched(database: Database) -> Iterator[BatchedEvent]:
    """Yield the events of batches, and of the dead letters of batches, in order."""
    if _is_older(database):
        return
    for row in database.fetch_each(f"SELECT {_COLUMNS} FROM batched ORDER BY batch, seq"):  # noqa: S608 - our own
        yield _build_event(*row)


def _select(database: Database, sql_condition: str, *values: Any) -> list[BatchedEvent]:
    if _is_older(database):
        return []
    event_rows = database.fetch_all(
        f"SELECT {_COLUMNS} FROM batched WHERE {sql_condition} ORDER BY seq",  # noqa: S608 - our own
        *values,
    )
    return [_build_event(*event_row) for event_row in event_rows]


def _build_event(*columns: Any) -> BatchedEvent:
    *values, is_closed, letter_number, stored_checksum = columns
    event = BatchedEvent._make([*values, bool(is_closed), letter_number, True])
    checksum = letter_checksum(event.plugin, event.callback, event.seq, event.event_id, event.body)
    return event._replace(whole=checksum == stored_checksum)


def _is_older(database: Database) -> bool:
    """Return whether an older daemon uses this schema, or a later start will upgrade it."""
    return database.fetch_number("PRAGMA user_version") < _BATCHES_SINCE_VERSION
