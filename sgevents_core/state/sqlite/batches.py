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
_REPLAYS_SINCE_VERSION: Final = 18
"""The version that first knew when a batch was put off, and batches of replays."""
_COLUMNS: Final = (
    "plugin, callback, batch, key, seq, era, event_id, body, strands, collected_at, due_at,"
    " closed, letter, sum, put_off_at, reason, request"
)
_OLDER_TABLE: Final = (
    "(SELECT rowid, *, 0.0 AS put_off_at, '' AS reason, 0 AS request FROM batched)"
)


def _write_collected(connection: sqlite3.Connection, event: BatchedEvent) -> None:
    """Add an event to its batch, in the caller's transaction."""
    checksum = letter_checksum(event.plugin, event.callback, event.seq, event.event_id, event.body)
    connection.execute(
        f"INSERT INTO batched ({_COLUMNS})"  # noqa: S608 - our own
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*event[:11], event.is_closed, event.letter, checksum, *event[14:]),
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
    is_of_batch = "letter = 0 AND plugin = ? AND callback = ? AND batch = ? AND request = ?"
    batch = (change.plugin, change.callback, change.number, change.request)
    if change.action == "close":
        connection.execute(
            f"UPDATE batched SET closed = 1, due_at = collected_at WHERE {is_of_batch}",  # noqa: S608 - our own
            batch,
        )
    elif change.action == "bury":
        connection.execute(
            f"UPDATE batched SET closed = 1, letter = ?, request = 0 WHERE {is_of_batch}",  # noqa: S608 - our own
            (letter_number, *batch),
        )
    elif change.later_call is not None:
        connection.execute(
            f"UPDATE batched SET due_at = ?, put_off_at = ?, reason = ? WHERE {is_of_batch}",  # noqa: S608 - our own
            (*change.later_call, *batch),
        )
    else:
        connection.execute(f"DELETE FROM batched WHERE {is_of_batch}", batch)  # noqa: S608 - our own


def forget_settled(connection: sqlite3.Connection) -> None:
    """Remove the events of dead letters that were settled and have been removed."""
    connection.execute(
        "DELETE FROM batched WHERE letter > 0 AND letter NOT IN (SELECT id FROM failures)"
    )


def forget_replay(connection: sqlite3.Connection, request_number: int) -> None:
    """Remove the batches that a replay has not called, in the caller's transaction.

    There are none unless it ended early.
    """
    of_replay = "FROM batched WHERE request = ? AND request > 0"
    if connection.execute(f"SELECT 1 {of_replay} LIMIT 1", (request_number,)).fetchone():
        connection.execute(f"DELETE {of_replay}", (request_number,))


def read_waiting(database: Database) -> list[WaitingBatch]:
    """Return the batches whose call has not ended for good, the oldest first."""
    table = _table(database)
    if table is None:
        return []
    event_rows = database.fetch_all(
        "SELECT plugin, callback, batch, key, seq, era, event_id, x'', strands, collected_at,"  # noqa: S608 - our own
        " due_at, closed, put_off_at, reason"
        f" FROM {table} WHERE letter = 0 AND request = 0"
    )
    return waiting_batches(
        BatchedEvent._make([*values, bool(is_closed), 0, True, put_off_at, reason, 0])
        for *values, is_closed, put_off_at, reason in event_rows
    )


def read_batch(
    database: Database, plugin_name: str, callback_name: str, batch_number: int
) -> list[BatchedEvent]:
    """Return the events of a waiting batch, in order."""
    return _select(
        database,
        "letter = 0 AND request = 0 AND plugin = ? AND callback = ? AND batch = ?",
        plugin_name,
        callback_name,
        batch_number,
    )


def read_event_batches(database: Database, seq: int) -> list[BatchedEvent]:
    """Return an event as it is in batches and in dead letters of batches."""
    return _select(database, "seq = ? AND request = 0", seq)


def count_replay_batch(
    database: Database, request_number: int, callback_name: str, key: str
) -> tuple[int, int] | None:
    """Return the number of a replay's batch of a key, and that of its events; None without one."""
    batch_row = database.fetch_one(
        "SELECT batch, count(*) FROM batched WHERE request = ? AND request > 0 AND callback = ?"
        " AND key = ? GROUP BY batch",
        request_number,
        callback_name,
        key,
    )
    return None if batch_row is None else (int(batch_row[0]), int(batch_row[1]))


def read_replay_batch(
    database: Database, request_number: int, callback_name: str | None, batch_number: int | None
) -> list[BatchedEvent]:
    """Return the events of a batch that a replay has collected, in order; see `Requests`."""
    first_row = database.fetch_one(
        "SELECT callback, batch FROM batched WHERE request = ?1 AND request > 0"
        " AND (?2 IS NULL OR callback = ?2) AND (?3 IS NULL OR batch = ?3)"
        " ORDER BY batch, callback LIMIT 1",
        request_number,
        callback_name,
        batch_number,
    )
    if first_row is None:
        return []
    return _select(
        database, "request = ? AND request > 0 AND callback = ? AND batch = ?",
        request_number, *first_row,
    )  # fmt: skip


def read_letter_events(database: Database, letter_number: int) -> list[BatchedEvent]:
    """Return the events of a batch that became a dead letter, in order."""
    return _select(database, "letter = ? AND letter > 0", letter_number)


def read_all_batched(database: Database) -> Iterator[BatchedEvent]:
    """Yield the events of batches, and of the dead letters of batches, in order."""
    table = _table(database)
    if table is None:
        return
    for row in database.fetch_each(f"SELECT {_COLUMNS} FROM {table} ORDER BY batch, seq"):  # noqa: S608 - our own
        yield _build_event(*row)


def _select(database: Database, sql_condition: str, *values: Any) -> list[BatchedEvent]:
    table = _table(database)
    if table is None:
        return []
    event_rows = database.fetch_all(
        f"SELECT {_COLUMNS} FROM {table} WHERE {sql_condition} ORDER BY seq, rowid",  # noqa: S608 - our own
        *values,
    )
    return [_build_event(*event_row) for event_row in event_rows]


def _build_event(*columns: Any) -> BatchedEvent:
    *values, is_closed, letter_number, stored_checksum, put_off_at, reason, request = columns
    event = BatchedEvent._make(
        [*values, bool(is_closed), letter_number, True, put_off_at, reason, request]
    )
    checksum = letter_checksum(event.plugin, event.callback, event.seq, event.event_id, event.body)
    return event._replace(whole=checksum == stored_checksum)


def _table(database: Database) -> str | None:
    """Return the table of batches, as this version reads it; None if the schema has none.

    An older daemon may use the schema, or a later start upgrade it.
    """
    version = database.fetch_number("PRAGMA user_version")
    if version < _BATCHES_SINCE_VERSION:
        return None
    return "batched" if version >= _REPLAYS_SINCE_VERSION else _OLDER_TABLE


def letter_event_ids(database: Database) -> str:
    """Return an SQL expression for the ids of the events of a row of `failures`.

    They are those of the batch of a dead letter, separated by commas; null for any other.
    """
    if _table(database) is None:
        return "NULL"
    return (
        "(SELECT group_concat(event_id) FROM (SELECT event_id FROM batched"
        " WHERE letter = failures.id ORDER BY seq, rowid))"
    )
