"""Tracebacks of failures, each stored once: 100,000 failures at one line share one traceback.

A failure keeps only the end of its traceback, the message, which may differ between events; the
frames before it are in a separate table.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Final

from sgevents_core.state.sqlite.database import Database

TRACEBACKS_SINCE_VERSION: Final = 6
"""The version of the schema that first had the table `tracebacks`."""
_WHOLE_TRACEBACK: Final = (
    "coalesce((SELECT text FROM tracebacks WHERE id = failures.traceback_id), '') || traceback"
)
_NO_TRACEBACK: Final = 0
"""The number of a traceback that shares no frames."""


def traceback_column(database: Database) -> str:
    """Return the SQL expression for a failure's whole traceback, in a query on `failures`."""
    schema_version = database.fetch_number(
        "PRAGMA user_version"
    )  # a read-only connection may find an older schema
    return _WHOLE_TRACEBACK if schema_version >= TRACEBACKS_SINCE_VERSION else "traceback"


def keep_traceback(connection: sqlite3.Connection, traceback_text: str) -> tuple[int, str]:
    """Store a traceback in the caller's transaction; return its number and the failure's own end.

    Args:
        connection: The connection.
        traceback_text: The traceback as Python prints it; other text is kept whole as the end.
    """
    shared_frames, traceback_end = _split_frames(traceback_text)
    if not shared_frames:
        return _NO_TRACEBACK, traceback_end
    frames_hash = hashlib.blake2b(
        shared_frames.encode("utf-8", "surrogatepass"), digest_size=16
    ).digest()
    known_row = connection.execute(
        "SELECT id FROM tracebacks WHERE hash = ?", (frames_hash,)
    ).fetchone()
    if known_row is not None:
        return int(known_row[0]), traceback_end
    traceback_number = _number_of(frames_hash)
    connection.execute(
        "INSERT INTO tracebacks (id, hash, text) VALUES (?, ?, ?)",
        (traceback_number, frames_hash, shared_frames),
    )
    return traceback_number, traceback_end


def _number_of(frames_hash: bytes) -> int:
    """Return the number of new frames, the same in every copy of a state."""
    return int.from_bytes(frames_hash[:8], "big") >> 1 or 1


def forget_traceback(connection: sqlite3.Connection, traceback_number: int | None) -> None:
    """Remove a traceback, in the caller's transaction, unless a failure uses it."""
    connection.execute(
        "DELETE FROM tracebacks WHERE id = ?1 AND NOT EXISTS"
        " (SELECT 1 FROM failures WHERE traceback_id = ?1)",
        (traceback_number,),
    )


def share_tracebacks(connection: sqlite3.Connection, failure_limit: int) -> int:
    """Let some failures written by an older version share tracebacks, in the caller's transaction.

    Returns:
        How many were processed; 0 if none are left.
    """
    failure_rows = connection.execute(
        "SELECT id, traceback FROM failures WHERE traceback_id IS NULL AND traceback <> ''"
        " ORDER BY id LIMIT ?",
        (failure_limit,),
    ).fetchall()
    shared_rows = [
        (*keep_traceback(connection, traceback_text), failure_number)
        for failure_number, traceback_text in failure_rows
    ]
    connection.executemany(
        "UPDATE failures SET traceback_id = ?, traceback = ? WHERE id = ?", shared_rows
    )
    return len(failure_rows)


def forget_tracebacks(connection: sqlite3.Connection) -> None:
    """Remove tracebacks that no failure uses any more, in the caller's transaction."""
    connection.execute(
        "DELETE FROM tracebacks WHERE NOT EXISTS"
        " (SELECT 1 FROM failures WHERE traceback_id = tracebacks.id)"
    )


def _split_frames(traceback_text: str) -> tuple[str, str]:
    """Return the frames of a traceback and the text after them."""
    traceback_lines = traceback_text.splitlines(keepends=True)
    frame_count = max(
        (
            line_number
            for line_number, traceback_line in enumerate(traceback_lines, 1)
            if traceback_line.startswith("  ")
        ),
        default=0,
    )
    return "".join(traceback_lines[:frame_count]), "".join(traceback_lines[frame_count:])
