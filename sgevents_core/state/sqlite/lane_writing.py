"""Writing the ledger: each step of a lane is one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from sgevents_core.errors import StaleWriter
from sgevents_core.state.entries import Entry
from sgevents_core.state.feed_values import JOURNAL, SetAside
from sgevents_core.state.progress import BEGINNING
from sgevents_core.state.protocols import RecordedLane
from sgevents_core.state.sqlite.aside import write_aside
from sgevents_core.state.sqlite.reading import SqliteReader
from sgevents_core.state.sqlite.writing import write_step
from sgevents_core.state.steps import Step


class SqliteLaneWriter(SqliteReader):
    """A lane's connection.

    Args:
        folder: The state's folder.

    Raises:
        StateError: See `SqliteReader`.
    """

    _read_only = False

    def take_lane(self, lane: str) -> int:
        """Return a new fence for the lane; older ones are refused from now on."""
        with self._db.transaction() as db:
            db.execute(
                "INSERT INTO lanes (name, fence) VALUES (?, 1)"
                " ON CONFLICT (name) DO UPDATE SET fence = fence + 1",
                (lane,),
            )
            return self._db.fetch_number("SELECT fence FROM lanes WHERE name = ?", lane)

    def record(self, lane: str, fence: int, step: Step) -> int:
        """Write one step atomically, and return the number of its failure, 0 if it has none."""
        with self._db.transaction(durable=step.durable) as db:
            self._check_fence(lane, fence)
            return write_step(db, lane, step)

    def advance(self, lane: str, fence: int, advanced: Callable[[RecordedLane], Step]) -> None:
        """Advance a lane and its plugins from their recorded positions, in one transaction.

        Args:
            lane: The lane.
            fence: The lane's newest fence.
            advanced: Returns the step to write, from what is recorded of the lane.

        Raises:
            StaleWriter: `fence` is not the lane's newest; nothing was written.
        """
        with self._db.transaction() as db:
            self._check_fence(lane, fence)
            mine = [record for record in self.plugins().values() if record.lane == lane]
            progress, places = self.lane_progress(lane) or BEGINNING, self.lane_places(lane)
            write_step(db, lane, advanced(RecordedLane(progress, places, mine)))

    def pass_over(self, entry: Entry, plugins: Collection[str], reason: str) -> bool:
        """Set aside an entry that cannot be read, and record the plugins that still need its event.

        Returns:
            Whether it is newly set aside.
        """
        aside = SetAside(str(entry.event_id), reason, JOURNAL, time.time(), entry.era)
        with self._db.transaction(durable=True) as db:
            db.executemany(
                "INSERT OR IGNORE INTO passed_over VALUES (?, ?, ?, ?)",
                ((entry.seq, name, entry.era, entry.event_id) for name in (*plugins, "")),
            )
            return write_aside(db, [aside]) > 0

    def record_first_cursors(self) -> None:
        """Record where each plugin began: earlier events were never meant for it."""
        with self._db.transaction() as db:
            db.execute("INSERT OR IGNORE INTO joined SELECT name, cursor FROM plugins")

    def sync(self) -> None:
        """Flush to disk everything committed by any connection."""
        self._db.sync()

    def _check_fence(self, lane: str, fence: int) -> None:
        if self._db.fetch_one("SELECT fence FROM lanes WHERE name = ?", lane) != (fence,):
            raise StaleWriter(what=f"lane {lane}")
