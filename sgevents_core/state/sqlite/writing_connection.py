"""A connection that writes, and shares with those of its process what was appended last."""

from __future__ import annotations

from pathlib import Path

from sgevents_core.state.entries import Entry
from sgevents_core.state.sqlite.reading import SqliteReader
from sgevents_core.state.sqlite.recent_entries import RecentEntries


class WritingConnection(SqliteReader):
    """A connection that also writes.

    Args:
        state_folder: The state's folder.
        recent_entries: What this process has appended last.

    Raises:
        StateError: See `SqliteReader`.
    """

    _is_read_only = False

    def __init__(self, state_folder: Path, recent_entries: RecentEntries) -> None:
        super().__init__(state_folder)
        self._recent_entries = recent_entries

    def read(self, after: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries above `after`, ascending: from memory as far as possible."""
        entries = self._recent_entries.read(after, limit)
        if len(entries) < limit:  # another process may have appended more
            entries += super().read(after + len(entries), limit - len(entries))
        return entries
