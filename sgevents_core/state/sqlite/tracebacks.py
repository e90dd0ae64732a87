"""Tracebacks of failures, each stored once: 100,000 failures at one line share one traceback.

A failure keeps only the end of its traceback, the message, which may differ between events; the
frames before it are in a separate table.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Final

from sgevents_core.state.sqlite.database import Database

TRACEBACKS_SINCE: Final = 6
"""The version of the schema that first had the table `tracebacks`."""
_WHOLE: Final = (
    "coalesce((SELECT text FROM tracebacks WHERE id = failures.traceback_id), '') || traceback"
)
_NONE: Final = 0
"""The number of a traceback without frames that could be shared."""


def traceback_column(db: Database) -> str:
    """Return the SQL expression for a failure's whole traceback, in a query on `failures`."""
    version = db.fetch_number("PRAGMA user_version")  # read-only, an older schema may remain
    return _WHOLE if version >= TRACEBACKS_SINCE else "traceback"


def keep_traceback(db: sqlite3.Connection, text: str) -> tuple[int, str]:
    """Store a traceback in the caller's transaction; return its number and its own end.

    Args:
        db: The connection.
        text: The traceback as Python prints it; other text is kept whole as the end.
    """
    frames, end = _parts(text)
    if not frames:
        return _NONE, end
    key = hashlib.blake2b(frames.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    row = db.execute("SELECT id FROM tracebacks WHERE hash = ?", (key,)).fetchone()
    if row is not None:
        return int(row[0]), end
    cursor = db.execute("INSERT INTO tracebacks (hash, text) VALUES (?, ?)", (key, frames))
    return cursor.lastrowid or _NONE, end


def share_tracebacks(db: sqlite3.Connection, limit: int) -> int:
    """Let some failures written by an older version share tracebacks, in the caller's transaction.

    Returns:
        How many were processed; 0 if none are left.
    """
    rows = db.execute(
        "SELECT id, traceback FROM failures WHERE traceback_id IS NULL AND traceback <> ''"
        " ORDER BY id LIMIT ?",
        (limit,),
    ).fetchall()
    kept = [(*keep_traceback(db, text), number) for number, text in rows]
    db.executemany(
        "UPDATE failures SET traceback_id = ?, traceback = ? WHERE id = ?",
        kept,
    )
    return len(rows)


def forget_tracebacks(db: sqlite3.Connection) -> None:
    """Remove tracebacks that no failure uses any more, in the caller's transaction."""
    db.execute(
        "DELETE FROM tracebacks WHERE NOT EXISTS"
        " (SELECT 1 FROM failures WHERE traceback_id = tracebacks.id)"
    )


def _parts(text: str) -> tuple[str, str]:
    """Return the frames of a traceback and the text after them."""
    lines = text.splitlines(keepends=True)
    frames = max((n for n, line in enumerate(lines, 1) if line.startswith("  ")), default=0)
    return "".join(lines[:frames]), "".join(lines[frames:])
