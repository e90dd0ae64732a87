"""Writing the ledger: each step of a lane is written under the lock."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from sgevents_core.errors import StaleWriter
from sgevents_core.state.entries import Entry
from sgevents_core.state.feed_values import JOURNAL, SetAside
from sgevents_core.state.memory.reading import MemoryReader
from sgevents_core.state.memory.step_writing import write_aside, write_step
from sgevents_core.state.memory.tables import KeptLane
from sgevents_core.state.progress import BEGINNING
from sgevents_core.state.protocols import RecordedLane
from sgevents_core.state.steps import Step


class MemoryLaneWriter(MemoryReader):
    """A lane's connection; see `protocols.LaneWriter`."""

    def take_lane(self, lane: str) -> int:
        """Return a new fence for the lane; older ones are refused from now on."""
        with self._tables.lock:
            kept_lane = self._tables.lanes.setdefault(lane, KeptLane())
            kept_lane.fence += 1
            return kept_lane.fence

    def record(self, lane: str, fence: int, step: Step) -> int:
        """Write one step atomically, and return the number of its failure, 0 if it has none."""
        with self._tables.lock:
            self._check_fence(lane, fence)
            return write_step(self._tables, lane, step)

    def advance(self, lane: str, fence: int, advanced: Callable[[RecordedLane], Step]) -> None:
        """Advance a lane and its plugins from their recorded positions, atomically."""
        with self._tables.lock:
            self._check_fence(lane, fence)
            records = [record for record in self.plugins().values() if record.lane == lane]
            progress, places = self.lane_progress(lane) or BEGINNING, self.lane_places(lane)
            write_step(self._tables, lane, advanced(RecordedLane(progress, places, records)))

    def pass_over(self, entry: Entry, plugins: Collection[str], reason: str) -> bool:
        """Set aside an entry that cannot be read, and record the plugins that still need it."""
        aside = SetAside(str(entry.event_id), reason, JOURNAL, time.time(), entry.era)
        with self._tables.lock:
            for name in (*plugins, ""):
                event = (entry.era, entry.event_id)
                self._tables.passed_over.setdefault((entry.seq, name), event)
            return write_aside(self._tables, [aside]) > 0

    def record_first_cursors(self) -> None:
        """Record where each plugin began: earlier events were never meant for it."""
        with self._tables.lock:
            for name, record in self._tables.plugins.items():
                self._tables.joined.setdefault(name, record.cursor)

    def sync(self) -> None:
        """Do nothing: memory has no disk to flush to."""

    def _check_fence(self, lane: str, fence: int) -> None:
        kept_lane = self._tables.lanes.get(lane)
        if kept_lane is None or kept_lane.fence != fence:
            raise StaleWriter(what=f"lane {lane}")
