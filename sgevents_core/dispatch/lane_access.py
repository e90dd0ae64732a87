"""What an errand does in its lane: takes a strand, finds out where a plugin stands, and moves it.

Errands are people's requests, calls that were put off, and what ends batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from sgevents_core.calling.making import EventSource
from sgevents_core.dispatch.batch_lines import BatchLine, LaneBatches
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.strand import Strand
from sgevents_core.state.batches import WaitingBatch
from sgevents_core.state.entries import Entry
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import AnyPluginRecord, PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.steps import Step

if TYPE_CHECKING:
    from sgevents_core.dispatch.lane import Lane


class PluginStop(NamedTuple):
    """The event at which a plugin is stopped.

    Args:
        unit: The strand, or whatever else of the lane has to be claimed to move it.
        record: The record by which it is stopped there.
        entry: The event.
    """

    unit: int
    record: AnyPluginRecord
    entry: Entry


class LaneAccess:
    """The access of errands to a lane without workers.

    Args:
        lane: The lane.
        strand: Its strand; of a divided lane, the one of plugins that are separate from the whole.
        batches: The lane's batches; None if none of its callbacks takes any.
        call_keys: The lane's callbacks, in call order.
    """

    whole_unit = 0
    """The unit an errand claims to change a plugin that is separate from the whole lane."""

    def __init__(
        self,
        lane: Lane,
        strand: Strand,
        batches: LaneBatches | None,
        call_keys: Sequence[CallKey],
    ) -> None:
        self._lane = lane
        self._strand = strand
        self._batches = batches
        self._call_keys = call_keys

    def record_of(self, plugin_name: str) -> PluginRecord | None:
        """Return the record of a plugin of the lane, or of one that is in no lane now."""
        for lane_plugin in self._lane.lane_plugins:
            record = lane_plugin.record
            if record.name == plugin_name and isinstance(record, PluginRecord):
                return record
        return self._lane.ledger.plugins().get(plugin_name)

    def claim(self, unit: int) -> bool:
        """Take a strand for the running errand; it waits if this returns False.

        A lane without workers serves its strand itself, so errands always have it.
        """
        return True

    def release(self, unit: int) -> None:
        """Release a strand that an errand took."""

    def claim_for_call(self, lane_plugin: LanePlugin, event: EventSource) -> LanePlugin | None:
        """Take the strand of an event for a call; return the plugin in it, None if it waits."""
        return lane_plugin

    def release_after_call(self, lane_plugin: LanePlugin) -> None:
        """Release the strand that `claim_for_call` took."""

    def progress_by(self, record: AnyPluginRecord) -> Progress:
        """Return the progress that a plugin with this record leaves behind."""
        return self._lane.progress

    def is_stopped(self, record: PluginRecord) -> bool:
        """Return whether a plugin is paused, or held anywhere."""
        return record.state in {"held", "paused"}

    def next_entry_of(self, record: PluginRecord) -> Entry | None:
        """Return the next entry of a plugin separate from the lane; None after the last."""
        next_entries = self._lane.ledger.read(record.cursor, 1)
        return next_entries[0] if next_entries else None

    def stop_at(self, record: PluginRecord, event_id: int) -> PluginStop | None:
        """Return where a plugin is stopped at an event; None if it is not."""
        entry = self.next_entry_of(record)
        if entry is None or entry.event_id != event_id:
            return None
        return PluginStop(self.whole_unit, record, entry)

    def pause(self, record: PluginRecord, reason: str) -> None:
        """Pause a plugin where it is."""
        record.leave_lane(self._lane.progress)
        record.pause(reason, by_person=True)

    def resume(self, record: PluginRecord, stopped: AnyPluginRecord | None = None) -> Step:
        """Resume a plugin, within the lane if it is not behind; return the step that records it.

        Args:
            record: Its record.
            stopped: The record by which it was stopped at an event that is skipped; by default,
                it resumes wherever it is stopped.
        """
        record.resume_afresh()
        ledger_step = Step(plugins=[record])
        lane_plugin = self._find_lane_plugin(record)
        if lane_plugin is None or self._waits_to_start(lane_plugin, record):
            return ledger_step
        lane_plugin.hold_until = 0.0
        hung_call = lane_plugin.hung
        if hung_call is not None:
            lane_plugin.wait_for_call(hung_call.reason)
        elif record.is_level_with(self._lane.progress):
            record.rejoin_lane()
            ledger_step.progress = self._lane.progress
            lane_plugin.entries_ahead.clear()
        return ledger_step

    def _find_lane_plugin(self, record: PluginRecord) -> LanePlugin | None:
        return next((one for one in self._lane.lane_plugins if one.record is record), None)

    def _waits_to_start(self, lane_plugin: LanePlugin, record: PluginRecord) -> bool:
        """Hold a plugin that has not started, and start it soon; return False if it has started."""
        late_start = lane_plugin.services.late_start
        if late_start is None:
            return False
        late_start.hold(record)
        late_start.start_at_once()
        return True

    def forget(self, plugin_name: str, seq: int) -> None:
        """Forget how often a plugin's callbacks were tried for an event that it has finished."""
        self._strand.caller.forget(plugin_name, seq)  # all strands share one count of attempts

    def unit_of_batch(self, batch: WaitingBatch) -> int:
        """Return what an errand claims to change a batch."""
        return self.whole_unit

    def drop_batch(self, batch: WaitingBatch) -> None:
        """Forget a batch that an errand ends."""
        line = self._line_of(batch)
        if self._batches is not None and line is not None:
            self._batches.finish(line)

    def _line_of(self, batch: WaitingBatch) -> BatchLine | None:
        """Return the line that a batch is the first of; None if the lane does not have it."""
        if self._batches is None or batch.call_key not in self._call_keys:
            return None
        return self._batches.find(self._call_keys.index(batch.call_key), batch.number)
