"""Calls that were put off, and calls that did nothing: reading and writing them."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from typing import Final

from sgevents_core.state.deferred import (
    DeferredCall,
    DeferredCount,
    DeferredEvent,
    DeferredKey,
    IgnoredCall,
)
from sgevents_core.state.keys import CallKey
from sgevents_core.state.sqlite.checksums import checksum_of
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.sqlite.done_parts import write_done_part
from sgevents_core.state.steps import Step

_CALL_COLUMNS: Final = (
    "plugin, callback, era, event_id, seq, due_at, first_at, attempts, deferrals, begun, reason"
)


def write_deferrals(connection: sqlite3.Connection, step: Step, part_seq: int | None) -> None:
    """Write what a step says of one call: put off, no longer so, nothing done, a part done."""
    if step.deferred is not None:
        _write_deferred(connection, step.deferred)
    if step.no_more_deferred is not None:
        connection.execute(
            "DELETE FROM deferred WHERE plugin = ? AND callback = ? AND era = ? AND event_id = ?",
            step.no_more_deferred,
        )
    if step.ignored is not None:
        _write_ignored(connection, step.ignored)
    if step.done_part is not None:
        write_done_part(connection, step.done_part, part_seq)


def _write_deferred(connection: sqlite3.Connection, deferred_event: DeferredEvent) -> None:
    call, row_json = deferred_event.call, deferred_event.body
    connection.execute(
        f"INSERT OR REPLACE INTO deferred ({_CALL_COLUMNS}, body, sum)"  # noqa: S608 - our own columns
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*call, row_json, checksum_of(*call, row_json)),
    )


def _write_ignored(connection: sqlite3.Connection, ignored_call: IgnoredCall) -> None:
    callback = (ignored_call.plugin, ignored_call.callback)
    if ignored_call.reason:
        connection.executemany(
            "INSERT OR REPLACE INTO ignored VALUES (?, ?, ?, ?)",
            ((seq, *callback, ignored_call.reason) for seq in ignored_call.seqs),
        )
        return
    connection.executemany(
        "DELETE FROM ignored WHERE seq = ? AND plugin = ? AND callback = ?",
        ((seq, *callback) for seq in ignored_call.seqs),
    )


def read_deferred_calls(
    database: Database, plugin_name: str | None = None, event_id: int | None = None
) -> list[DeferredCall]:
    """Return the calls that are put off, the next one first.

    Args:
        database: The database.
        plugin_name: Only those of this plugin.
        event_id: Only those for this event.
    """
    if not _has_tables(database):
        return []
    call_rows = database.fetch_all(
        f"SELECT {_CALL_COLUMNS} FROM deferred"  # noqa: S608 - our own columns
        " WHERE (?1 IS NULL OR plugin = ?1) AND (?2 IS NULL OR event_id = ?2)"
        " ORDER BY due_at, seq, event_id, plugin, callback",
        plugin_name,
        event_id,
    )
    return [DeferredCall(*call_row) for call_row in call_rows]


def read_deferred_event(database: Database, deferred_key: DeferredKey) -> DeferredEvent | None:
    """Return a call that is put off, with its event; None if it is not."""
    event_rows = _deferred_events(
        database, " WHERE plugin = ? AND callback = ? AND era = ? AND event_id = ?", *deferred_key
    )
    return next(event_rows, None)


def read_deferred_counts(database: Database) -> dict[str, DeferredCount]:
    """Return, for each plugin that has put off calls, their number and the next due time."""
    if not _has_tables(database):
        return {}
    count_rows = database.fetch_all(
        "SELECT plugin, count(*), min(due_at) FROM deferred GROUP BY plugin"
    )
    return {
        plugin_name: DeferredCount(call_count, next_due_at)
        for plugin_name, call_count, next_due_at in count_rows
    }


def read_lowest_deferred(database: Database, plugin_names: Collection[str]) -> int | None:
    """Return the lowest `seq` among the calls that plugins have put off; None if there is none."""
    seq_rows = database.fetch_all(
        "SELECT plugin, min(seq) FROM deferred WHERE seq > 0 GROUP BY plugin"
    )
    return min((seq for name, seq in seq_rows if name in plugin_names), default=None)


def read_ignored_reasons(database: Database, seq: int) -> dict[CallKey, str]:
    """Return why callbacks did nothing with an event, for those that did not."""
    if not _has_tables(database):
        return {}
    reason_rows = database.fetch_all(
        "SELECT plugin, callback, reason FROM ignored WHERE seq = ?", seq
    )
    return {
        CallKey(plugin_name, callback_name): reason_text
        for plugin_name, callback_name, reason_text in reason_rows
    }


def inspected_deferred(database: Database) -> Iterator[DeferredEvent]:
    """Yield all calls that are put off, with whether each is what was written."""
    if _has_tables(database):
        yield from _deferred_events(database, " ORDER BY seq, event_id")


def _deferred_events(
    database: Database, sql_clause: str, *condition_values: object
) -> Iterator[DeferredEvent]:
    event_rows = database.fetch_each(
        f"SELECT {_CALL_COLUMNS}, body, sum FROM deferred{sql_clause}",  # noqa: S608 - our own
        *condition_values,
    )
    for *call_columns, row_json, stored_checksum in event_rows:
        is_intact = stored_checksum == checksum_of(*call_columns, row_json)
        yield DeferredEvent(DeferredCall(*call_columns), row_json, is_intact)


def _has_tables(database: Database) -> bool:
    """Return whether the schema has the tables: a state of an older version may lack them."""
    return database.fetch_one("SELECT 1 FROM sqlite_master WHERE name = 'deferred'") is not None
