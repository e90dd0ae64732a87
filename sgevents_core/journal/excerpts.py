"""Excerpts: single events and stretches of the journal, read beside a running daemon."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sgevents_core.journal.database import DATABASE, Database


class Excerpts:
    """Reads rows of a journal as the site sent them; writes nothing.

    Args:
        folder: The state's folder.

    Raises:
        StateError: The journal cannot be read; every method raises it where that is so.
    """

    def __init__(self, folder: Path) -> None:
        self._db = Database(folder, read_only=True)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def named(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Return event id -> row, for those of `ids` that are kept; of the newest era."""
        found: dict[int, bytes] = {}
        for event_id in ids:
            row = self._db.one(
                "SELECT body FROM journal WHERE event_id = ?1 ORDER BY era DESC LIMIT 1", event_id
            )
            if row is not None:
                found[event_id] = row[0]
        return found

    def last(self, count: int) -> list[bytes]:
        """Return the last rows, in the order in which they were seen."""
        newest = self._db.all("SELECT body FROM journal ORDER BY seq DESC LIMIT ?", count)
        return [body for (body,) in reversed(newest)]

    def since(self, at: float) -> list[bytes]:
        """Return all rows of events that happened at `at` or later, in the order seen.

        Args:
            at: On the site's clock, in seconds since 1970.
        """
        rows = self._db.all("SELECT body FROM journal WHERE created_at >= ? ORDER BY seq", at)
        return [body for (body,) in rows]


def has_journal(folder: Path) -> bool:
    """Return whether there is a journal in a state's folder."""
    return (folder / DATABASE).is_file()
