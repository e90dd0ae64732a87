"""A state in one SQLite database on a local disk, so that a step is one commit.

Each thread opens its own connection; SQLite keeps the writers apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sgevents_core.state.call_figures import MinuteFigures
from sgevents_core.state.feed_values import FeedChange
from sgevents_core.state.imported import ImportedPosition, JournalStanding
from sgevents_core.state.sqlite.database import database_exists
from sgevents_core.state.sqlite.feed_writing import SqliteFeedWriter
from sgevents_core.state.sqlite.figures import write_figures
from sgevents_core.state.sqlite.importing import write_import
from sgevents_core.state.sqlite.lane_writing import SqliteLaneWriter
from sgevents_core.state.sqlite.letters import SqliteLetters
from sgevents_core.state.sqlite.past_events import SqlitePast
from sgevents_core.state.sqlite.presence import SqlitePresence
from sgevents_core.state.sqlite.reading import SqliteReader
from sgevents_core.state.sqlite.requests import SqliteRequests
from sgevents_core.state.sqlite.tracebacks import share_tracebacks


class SqliteWriter(SqliteFeedWriter, SqliteLaneWriter):
    """A connection that writes every kind of record."""

    def import_positions(
        self, change: FeedChange, positions: Mapping[str, ImportedPosition], lane_name: str
    ) -> bool:
        """Begin a state where another daemon ended, atomically; see `protocols.Writer`."""
        with self._database.transaction(durable=True) as connection:
            feed = self.load_feed()
            standing = JournalStanding.of(feed and feed.state, self.end(), self.plugins().values())
            if not standing.takes(change.state.floor):
                return False
            feed_change = None if standing.keeps_feed else change
            write_import(connection, feed_change, positions, lane_name)
        return True

    def record_figures(self, figures: MinuteFigures, current_time: float) -> None:
        """Add figures to those recorded for the same minutes and hours; forget those too old."""
        with self._database.transaction() as connection:
            write_figures(connection, figures, current_time)

    def upgrade_records(self, limit: int = 1_000) -> int:
        """Let failures of an older version share their tracebacks, up to `limit` at once.

        Returns:
            How many were processed; 0 if none are left.
        """
        if self._database.fetch_one(
            "SELECT 1 FROM failures WHERE traceback_id IS NULL AND traceback <> ''"
        ):
            with self._database.transaction() as connection:
                return share_tracebacks(connection, limit)
        return 0


class SqliteState:
    """The state in the database of a folder.

    Args:
        state_folder: The state's folder.
    """

    def __init__(self, state_folder: Path) -> None:
        self.folder: Final = state_folder

    def leases(self) -> None:
        """Return None: nobody shares this state."""

    def host_notes(self) -> None:
        """Return None: nobody shares this state."""

    def is_made(self) -> bool:
        """Return whether the database exists.

        Raises:
            StateError: The folder cannot be accessed.
        """
        return database_exists(self.folder)

    def reader(self) -> SqliteReader:
        """Open a connection that reads."""
        return SqliteReader(self.folder)

    def feed_writer(self) -> SqliteFeedWriter:
        """Open the feed's connection."""
        return SqliteFeedWriter(self.folder)

    def lane_writer(self) -> SqliteLaneWriter:
        """Open the connection of a lane."""
        return SqliteLaneWriter(self.folder)

    def writer(self) -> SqliteWriter:
        """Open a connection that writes every kind of record."""
        return SqliteWriter(self.folder)

    def requests(self) -> SqliteRequests:
        """Open the requests."""
        return SqliteRequests(self.folder)

    def letters(self) -> SqliteLetters:
        """Open the dead letters."""
        return SqliteLetters(self.folder)

    def past(self) -> SqlitePast:
        """Open the past events."""
        return SqlitePast(self.folder)

    def presence(self) -> SqlitePresence:
        """Watch that the database still exists."""
        return SqlitePresence(self.folder)
