"""The same for a divided lane: errands share its strands with the workers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from sgevents_core.calling.making import EventSource
from sgevents_core.dispatch.batch_lines import LaneBatches
from sgevents_core.dispatch.intake import Intake
from sgevents_core.dispatch.lane_access import LaneAccess, PluginStop
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.strand import Strand
from sgevents_core.dispatch.strand_unit import (
    ERRANDS_UNIT,
    NO_CALL_SLOT,
    WHOLE_LANE_UNIT,
    StrandUnit,
)
from sgevents_core.dispatch.worker_executors import WorkerExecutors
from sgevents_core.state.batches import WaitingBatch
from sgevents_core.state.entries import Entry
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import AnyPluginRecord, PluginRecord, StrandRecord
from sgevents_core.state.progress import BEGINNING, Progress
from sgevents_core.state.steps import Step
from sgevents_core.state.strands import STRANDS, strand_in, strands_of_body

if TYPE_CHECKING:
    from sgevents_core.dispatch.divided_lane import DividedLane


class DividedLaneAccess(LaneAccess):
    """The access of errands to a lane with strands and workers.

    Args:
        lane: The lane.
        strand: The strand of plugins that are separate from the whole lane.
        batches: The lane's batches; None if none of its callbacks takes any.
        call_keys: The lane's callbacks, in call order.
        intake: The queues and workers of its strands.
        strand_units: Its strands.
        executors: Where its workers make calls.
    """

    whole_unit = WHOLE_LANE_UNIT

    def __init__(
        self,
        lane: DividedLane,
        strand: Strand,
        batches: LaneBatches | None,
        call_keys: Sequence[CallKey],
        *,
        intake: Intake,
        strand_units: Sequence[StrandUnit],
        executors: WorkerExecutors,
    ) -> None:
        super().__init__(lane, strand, batches, call_keys)
        self.errand_worker = 1
        """The number of the worker that runs errands now."""
        self._note_pause: Callable[[], None] = lane.note_pause
        self._intake = intake
        self._strand_units = strand_units
        self._executors = executors
        self._awaited_units: set[int] = set()

    def claim(self, unit: int) -> bool:
        """Take a strand for an errand; if a worker has it, the errand waits until it is free."""
        self._lane.errands.wait_for(unit)
        is_claimed = self._intake.claim(unit)
        if not is_claimed:
            self._awaited_units.add(unit)
            is_claimed = self._intake.claim(unit)  # it may have become free before that
        if is_claimed:
            self._lane.errands.has(unit)
        return is_claimed

    def release(self, unit: int) -> None:
        """Release a strand that an errand took."""
        self.give_back(unit, has_work=True)

    def claim_for_call(self, lane_plugin: LanePlugin, event: EventSource) -> LanePlugin | None:
        """Take the strand of an event for a call; return the plugin in it, None if it waits."""
        packed_strands = strands_of_body(event.body, event.event_id)
        strand_number = strand_in(packed_strands, self._intake.order_by)
        if not self.claim(strand_number):
            return None
        if lane_plugin.admission is not None and not lane_plugin.admission.take():
            self._lane.errands.wait_for(NO_CALL_SLOT)
            self.release(strand_number)
            return None
        strand_unit = self._strand_units[strand_number]
        strand_unit.strand.slot.serve(self.errand_worker)
        self._executors.lend(strand_unit.strand.lane_plugins, self.errand_worker)
        return strand_unit.strand.lane_plugins[self._lane.lane_plugins.index(lane_plugin)]

    def release_after_call(self, lane_plugin: LanePlugin) -> None:
        """Release the strand that `claim_for_call` took."""
        record = lane_plugin.record
        if not isinstance(record, StrandRecord):
            raise TypeError("it is not in a strand")
        strand_unit = self._strand_units[record.strand]
        strand_unit.gate.over(lane_plugin)
        self._executors.take_back(strand_unit.strand.lane_plugins)
        strand_unit.has_apart = strand_unit.has_apart or record.apart
        self.release(record.strand)

    def progress_by(self, record: AnyPluginRecord) -> Progress:
        """Return the progress that a plugin with this record leaves behind."""
        return self._intake.place(record.strand) if isinstance(record, StrandRecord) else BEGINNING

    def is_stopped(self, record: PluginRecord) -> bool:
        """Return whether a plugin is paused, or held anywhere."""
        return super().is_stopped(record) or any(one.is_held for one in self._strands_of(record))

    def next_entry_of(self, record: PluginRecord) -> Entry | None:
        """Return the entry that a plugin is at in the strand furthest behind; None if in none."""
        if record.apart:
            return super().next_entry_of(record)
        places = self._intake.places()
        strand_records = self._strands_of(record)
        cursors = [
            places.lowest,
            *(strand_record.cursor for strand_record in strand_records if strand_record.apart),
        ]
        next_entries = self._lane.ledger.read(min(cursors), 1)
        return next_entries[0] if next_entries else None

    def stop_at(self, record: PluginRecord, event_id: int) -> PluginStop | None:
        """Return where a plugin is stopped at an event; None if it is not."""
        if record.apart:
            return super().stop_at(record, event_id)
        journal_end = self._lane.ledger.end()
        for strand_record in self._strands_of(record):
            if strand_record.apart and strand_record.state in {"held", "paused"}:
                entries, _ = self._lane.ledger.read_strand(
                    strand_record.strand, self._intake.order_by, strand_record.cursor, journal_end
                )
                if entries and entries[0].event_id == event_id:
                    return PluginStop(strand_record.strand, strand_record, entries[0])
        return None

    def pause(self, record: PluginRecord, reason: str) -> None:
        """Pause a plugin in all strands; each worker sees it before its next call or event."""
        if self._find_lane_plugin(record) is None:
            record.leave_strands(self._intake.places())
        record.pause(reason, by_person=True)
        self._note_pause()

    def resume(self, record: PluginRecord, stopped: AnyPluginRecord | None = None) -> Step:
        """Resume a plugin wherever it is stopped, or only by one record if it is not paused."""
        is_everywhere = record.state == "paused" or stopped is None
        record.resume_afresh()
        lane_plugin = self._find_lane_plugin(record)
        if lane_plugin is not None and self._waits_to_start(lane_plugin, record):
            return Step(plugins=[record])
        stopped_records = self._strands_of(record) if is_everywhere else [stopped]
        held_records = [
            strand_record
            for strand_record in stopped_records
            if isinstance(strand_record, StrandRecord) and strand_record.is_held
        ]
        if lane_plugin is None:
            for strand_record in held_records:
                strand_record.resume()
            return Step(plugins=[record, *held_records])
        self._end_holds(lane_plugin, {strand_record.strand for strand_record in held_records})
        skipped_records = [stopped] if isinstance(stopped, StrandRecord) else []
        return Step(plugins=[record, *skipped_records])

    def _end_holds(self, lane_plugin: LanePlugin, strand_numbers: Collection[int]) -> None:
        """Let a plugin be called again at once in some strands, and look at all of its strands."""
        plugin_index = self._lane.lane_plugins.index(lane_plugin)
        lane_plugin.hold_until = 0.0
        for strand_number in strand_numbers:
            strand_plugin = self._strand_units[strand_number].strand.lane_plugins[plugin_index]
            strand_plugin.hold_until, strand_plugin.waiting = 0.0, None
        self._intake.wake(range(STRANDS + 1))

    def _strands_of(self, record: PluginRecord) -> list[StrandRecord]:
        """Return the current records of a plugin in the strands."""
        lane_plugin = self._find_lane_plugin(record)
        if lane_plugin is None:
            return list(record.strands.values())
        plugin_index = self._lane.lane_plugins.index(lane_plugin)
        strands = [strand_unit.strand for strand_unit in self._strand_units]
        strand_records = [strand.lane_plugins[plugin_index].record for strand in strands]
        return [record for record in strand_records if isinstance(record, StrandRecord)]

    def give_back(self, unit: int, *, has_work: bool) -> None:
        """Give back a unit of work; errands that wait for it come first."""
        was_awaited = self._free_for_errands(unit)
        self._intake.give_back(
            unit, has_work=has_work, units_before=[ERRANDS_UNIT] if was_awaited else []
        )
        if self._free_for_errands(unit):  # an errand tried to claim it in between
            self._intake.wake([ERRANDS_UNIT])

    def _free_for_errands(self, unit: int) -> bool:
        """Let errands try again that wait for a unit; return whether any did."""
        if unit not in self._awaited_units:
            return False
        self._awaited_units.discard(unit)
        self._lane.errands.is_free(unit)
        return True

    def unit_of_batch(self, batch: WaitingBatch) -> int:
        """Return what an errand claims to change a batch: the strand in which it is called."""
        line = self._line_of(batch)
        return self.whole_unit if line is None else line.strand
