"""A state in memory. All its connections share one set of tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sgevents_core.state.call_figures import MinuteFigures
from sgevents_core.state.feed_values import FeedChange
from sgevents_core.state.imported import ImportedPosition, JournalStanding
from sgevents_core.state.memory.feed_writing import MemoryFeedWriter, write_feed
from sgevents_core.state.memory.figures import write_figures
from sgevents_core.state.memory.lane_writing import MemoryLaneWriter
from sgevents_core.state.memory.letters import MemoryLetters
from sgevents_core.state.memory.past_events import MemoryPast
from sgevents_core.state.memory.reading import MemoryReader
from sgevents_core.state.memory.requests import MemoryRequests
from sgevents_core.state.memory.tables import Tables
from sgevents_core.state.plugin_record import PluginRecord


class MemoryWriter(MemoryFeedWriter, MemoryLaneWriter):
    """A connection that writes every kind of record."""

    def import_positions(
        self, change: FeedChange, positions: Mapping[str, ImportedPosition], lane_name: str
    ) -> bool:
        """Begin a state where another daemon ended, atomically; see `protocols.Writer`."""
        tables = self._tables
        with tables.lock:
            feed = self.load_feed()
            standing = JournalStanding.of(
                feed and feed.state, tables.end(), tables.plugins.values()
            )
            if not standing.takes(change.state.floor):
                return False
            if not standing.keeps_feed:
                tables.missing.clear()
                write_feed(tables, change)
            tables.plugins.clear()
            tables.imported = dict(positions)
            for plugin_name in positions:
                tables.plugins[plugin_name] = PluginRecord(plugin_name, lane_name, apart=True)
        return True

    def record_figures(self, figures: MinuteFigures, current_time: float) -> None:
        """Add figures to those recorded for the same minutes and hours; forget those too old."""
        with self._tables.lock:
            write_figures(self._tables, figures, current_time)

    def upgrade_records(self, limit: int = 1_000) -> int:
        """Return 0: no record was written by an older version."""
        return 0


class MemoryPresence:
    """The watch of a state in memory, which cannot be deleted or replaced."""

    def look(self) -> None:
        """Do nothing: the state exists as long as the process."""

    def close(self) -> None:
        """Do nothing: a state in memory holds nothing open."""


class MemoryState:
    """An empty state in memory.

    Args:
        state_folder: The folder of the host's files, such as the registers.
    """

    def __init__(self, state_folder: Path) -> None:
        self.folder: Final = state_folder
        self._tables = Tables(state_folder)

    def leases(self) -> None:
        """Return None: nobody shares this state."""

    def host_notes(self) -> None:
        """Return None: nobody shares this state."""

    def is_made(self) -> bool:
        """Return True: the state exists as long as this object."""
        return True

    def reader(self) -> MemoryReader:
        """Open a connection that reads."""
        return MemoryReader(self._tables)

    def feed_writer(self) -> MemoryFeedWriter:
        """Open the feed's connection."""
        return MemoryFeedWriter(self._tables)

    def lane_writer(self) -> MemoryLaneWriter:
        """Open the connection of a lane."""
        return MemoryLaneWriter(self._tables)

    def writer(self) -> MemoryWriter:
        """Open a connection that writes every kind of record."""
        return MemoryWriter(self._tables)

    def requests(self) -> MemoryRequests:
        """Open the requests."""
        return MemoryRequests(self._tables)

    def letters(self) -> MemoryLetters:
        """Open the dead letters."""
        return MemoryLetters(self._tables)

    def past(self) -> MemoryPast:
        """Open the past events."""
        return MemoryPast(self._tables)

    def presence(self) -> MemoryPresence:
        """Open the watch on the state's continued existence."""
        return MemoryPresence()
