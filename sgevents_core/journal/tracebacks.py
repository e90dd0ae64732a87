"""Tracebacks of failures, each kept once: 100,000 failures at one line have one traceback.

A failure keeps the end of its own, the message, which may differ from event to event; the frames
before it are in a table of their own.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Final

from sgevents_core.journal.database import Database

TRACEBACKS_SINCE: Final = 6
"""The version of the schema that first had the table `tracebacks`."""
_WHOLE: Final = (
    "coalesce((SELECT text FROM tracebacks WHERE id = failures.traceback_id), '') || traceback"
)
_NONE: Final = 0
"""As the number of a traceback: there are no frames, or none that could be shared."""


def traceback_column(db: Database) -> str:
    """Return what gives a failure's whole traceback, as a column of a query on `failures`."""
    version = db.number("PRAGMA user_version")  # only read, an older one may not be upgraded yet
    return _WHOLE if version >= TRACEBACKS_SINCE else "traceback"


def keep_traceback(db: sqlite3.Connection, text: str) -> tuple[int, str]:
    """Keep a traceback in a transaction of the caller's; return its number and its own end.

    Args:
        db: The connection.
        text: The traceback, as Python prints it; what is no such thing is all its own.
    """
    frames, end = _parts(text)
    if not frames:
        return _NONE, end
    key = hashlib.blake2b(frames.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    found = db.execute("SELECT id FROM tracebacks WHERE hash = ?", (key,)).fetchone()
    if found is not None:
        return int(found[0]), end
    cursor = db.execute("INSERT INTO tracebacks (hash, text) VALUES (?, ?)", (key, frames))
    return cursor.lastrowid or _NONE, end


def share_tracebacks(db: sqlite3.Connection, limit: int) -> int:
    """Let some failures of an older version share their tracebacks, in the caller's transaction.

    Returns:
        How many were looked at; 0 if there are no more.
    """
    found = db.execute(
        "SELECT id, traceback FROM failures WHERE traceback_id IS NULL AND traceback <> ''"
        " ORDER BY id LIMIT ?",
        (limit,),
    ).fetchall()
    kept = [(*keep_traceback(db, text), number) for number, text in found]
    db.executemany(
        "UPDATE failures SET traceback_id = ?, traceback = ? WHERE id = ?",
        kept,
    )
    return len(found)


def forget_tracebacks(db: sqlite3.Connection) -> None:
    """Remove the tracebacks that no failure has any more, in a transaction of the caller's."""
    db.execute(
        "DELETE FROM tracebacks WHERE id NOT IN"
        " (SELECT traceback_id FROM failures WHERE traceback_id > 0)"
    )


def _parts(text: str) -> tuple[str, str]:
    """Return the frames of a traceback and what comes behind them."""
    lines = text.splitlines(keepends=True)
    frames = max((n for n, line in enumerate(lines, 1) if line.startswith("  ")), default=0)
    return "".join(lines[:frames]), "".join(lines[frames:])
