"""Writing the ledger: each step of a lane is written under the lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection

from sgevents_core.errors import StaleWriter
from sgevents_core.state.entries import Entry
from sgevents_core.state.feed_values import ASIDE_IN_JOURNAL, SetAside
from sgevents_core.state.lane_trouble import LaneTrouble
from sgevents_core.state.memory.reading import MemoryReader
from sgevents_core.state.memory.step_writing import write_events_aside, write_step
from sgevents_core.state.memory.tables import KeptLane
from sgevents_core.state.progress import BEGINNING
from sgevents_core.state.protocols import RecordedLane
from sgevents_core.state.register import Register
from sgevents_core.state.steps import Step


class MemoryLaneWriter(MemoryReader):
    """A lane's connection; see `protocols.LaneWriter`."""

    def take_lane(self, lane_name: str) -> int:
        """Return a new fence for the lane; older ones are refused from now on."""
        with self._tables.lock:
            kept_lane = self._tables.lanes.setdefault(lane_name, KeptLane())
            kept_lane.fence += 1
            return kept_lane.fence

    def record(self, lane_name: str, fence: int, step: Step) -> int:
        """Write one step atomically, and return the number of its failure, 0 if it has none."""
        with self._tables.lock:
            self._check_fence(lane_name, fence)
            return write_step(self._tables, lane_name, step)

    def advance(
        self, lane_name: str, fence: int, step_from_record: Callable[[RecordedLane], Step]
    ) -> None:
        """Advance a lane and its plugins from their recorded positions, atomically."""
        with self._tables.lock:
            self._check_fence(lane_name, fence)
            plugin_records = [
                plugin_record
                for plugin_record in self.plugins().values()
                if plugin_record.lane == lane_name
            ]
            lane_progress, strand_places = (
                self.lane_progress(lane_name) or BEGINNING,
                self.lane_places(lane_name),
            )
            write_step(
                self._tables,
                lane_name,
                step_from_record(RecordedLane(lane_progress, strand_places, plugin_records)),
            )

    def share_register(
        self,
        lane_name: str,
        fence: int,
        register: Register,
        *,
        stopping: threading.Event,
        trouble: LaneTrouble,
    ) -> None:
        """Do nothing: a lane of this state starts again only in this process."""

    def pass_over(self, entry: Entry, plugin_names: Collection[str], reason_text: str) -> bool:
        """Set aside an entry that cannot be read, and record the plugins that still need it."""
        event_aside = SetAside(
            str(entry.event_id), reason_text, ASIDE_IN_JOURNAL, time.time(), entry.era
        )
        with self._tables.lock:
            for plugin_name in (*plugin_names, ""):
                event_key = (entry.era, entry.event_id)
                self._tables.passed_over.setdefault((entry.seq, plugin_name), event_key)
            return write_events_aside(self._tables, [event_aside]) > 0

    def record_first_cursors(self) -> None:
        """Record where each plugin began; it never gets earlier events."""
        with self._tables.lock:
            for plugin_name, plugin_record in self._tables.plugins.items():
                self._tables.joined.setdefault(plugin_name, plugin_record.cursor)

    def sync(self) -> None:
        """Do nothing: memory has no disk to flush to."""

    def _check_fence(self, lane_name: str, fence: int) -> None:
        kept_lane = self._tables.lanes.get(lane_name)
        if kept_lane is None or kept_lane.fence != fence:
            raise StaleWriter(what=f"lane {lane_name}")
