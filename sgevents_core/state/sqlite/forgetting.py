"""Forgetting what calls left behind for events that have left the journal."""

from __future__ import annotations

import sqlite3
from typing import Final

from sgevents_core.state.sqlite.batches import forget_settled
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.sqlite.done_parts import forget_done_parts
from sgevents_core.state.sqlite.tracebacks import forget_tracebacks

_IS_OF_BATCH: Final = (
    "EXISTS (SELECT 1 FROM batched WHERE letter = 0 AND request = 0 AND batch = {table}.seq"
    " AND batched.plugin = {table}.plugin AND batched.callback = {table}.callback)"
)
"""Whether a count is of the call with a batch that still waits, which has the batch's number."""
_OF_OTHER_LANES: Final = "SELECT name FROM plugins WHERE lane <> ?2"


def forget_calls(connection: sqlite3.Connection, first_kept_seq: int) -> None:
    """Remove attempts, deaths and the like of events below a `seq`, in the caller's transaction."""
    for table_name in ("attempts", "deaths"):
        connection.execute(
            f"DELETE FROM {table_name} WHERE seq < ?"  # noqa: S608 - one of the two above
            f" AND NOT {_IS_OF_BATCH.format(table=table_name)}",
            (first_kept_seq,),
        )
    connection.execute("DELETE FROM ignored WHERE seq < ?", (first_kept_seq,))
    forget_done_parts(connection, first_kept_seq)


def forget_lane_calls(connection: sqlite3.Connection, lane_name: str, first_kept_seq: int) -> None:
    """Do the same for the calls of a lane's plugins, and of plugins that have no record."""
    lane_values = (first_kept_seq, lane_name)
    for table_name in ("attempts", "deaths"):
        connection.execute(
            f"DELETE FROM {table_name} WHERE seq < ?1 AND plugin NOT IN ({_OF_OTHER_LANES})"  # noqa: S608 - one of the two above
            f" AND NOT {_IS_OF_BATCH.format(table=table_name)}",
            lane_values,
        )
    connection.execute(
        f"DELETE FROM ignored WHERE seq < ?1 AND plugin NOT IN ({_OF_OTHER_LANES})",  # noqa: S608 - our own
        lane_values,
    )
    forget_done_parts(connection, first_kept_seq, lane_name)


def has_forgettable(
    database: Database, lane_name: str, first_kept_seq: int, failures_up_to: int
) -> bool:
    """Return whether the two functions for a lane would remove anything."""
    number_row = database.fetch_one(
        "SELECT 1 WHERE"  # noqa: S608 - our own
        f" EXISTS (SELECT 1 FROM attempts WHERE seq < ?1 AND plugin NOT IN ({_OF_OTHER_LANES}))"
        f" OR EXISTS (SELECT 1 FROM deaths WHERE seq < ?1 AND plugin NOT IN ({_OF_OTHER_LANES}))"
        f" OR EXISTS (SELECT 1 FROM ignored WHERE seq < ?1 AND plugin NOT IN ({_OF_OTHER_LANES}))"
        f" OR EXISTS (SELECT 1 FROM done_parts WHERE seq < ?1"
        f" AND plugin NOT IN ({_OF_OTHER_LANES}))"
        " OR EXISTS (SELECT 1 FROM failures WHERE dead = 0 AND (seq < ?1 OR id <= ?3)"
        f" AND plugin NOT IN ({_OF_OTHER_LANES}))",
        first_kept_seq,
        lane_name,
        failures_up_to,
    )
    return number_row is not None


def forget_lane_failures(
    connection: sqlite3.Connection,
    lane_name: str,
    first_kept_seq: int,
    failures_up_to: int,
    failure_limit: int,
) -> None:
    """Remove failures of a lane's plugins that are no dead letters, the oldest first.

    Args:
        connection: The connection, in the caller's transaction.
        lane_name: The lane.
        first_kept_seq: Failures for events below this `seq` are removed.
        failures_up_to: Failures up to this number are removed whatever their event.
        failure_limit: The most failures to remove.
    """
    connection.execute(
        "DELETE FROM failures WHERE id IN (SELECT id FROM failures WHERE dead = 0"  # noqa: S608 - our own
        f" AND (seq < ?1 OR id <= ?3) AND plugin NOT IN ({_OF_OTHER_LANES}) ORDER BY id LIMIT ?4)",
        (first_kept_seq, lane_name, failures_up_to, failure_limit),
    )
    forget_tracebacks(connection)
    forget_settled(connection)
