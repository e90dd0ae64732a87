"""The point at which a lane continues, from the ledger and the register left behind. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from sgevents_core.state.batches import WaitingBatch
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import AnyPluginRecord, PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import RecordedLane
from sgevents_core.state.register import ATTEMPT_MODULUS, NotedCall, NotedLane, NotedSlot
from sgevents_core.state.steps import Step
from sgevents_core.state.strand_places import StrandPlaces
from sgevents_core.state.strands import STRANDS


class DoubtfulCall(NamedTuple):
    """A call that was running when the process died: whether it finished is not known.

    Args:
        seq: The event's place in the journal.
        call_key: The callback.
        worker_number: The number of the worker that made it; 0 if the lane has none.
    """

    seq: int
    call_key: CallKey
    worker_number: int = 0


def join_progress(ledger_progress: Progress, noted_call: NotedCall | None) -> Progress:
    """Return the progress of a lane, from the ledger and its register together."""
    return ledger_progress if noted_call is None else ledger_progress.joined(noted_call.progress)


def restore_catching_up(record: AnyPluginRecord, noted_call: NotedCall | None) -> None:
    """Move a plugin that was catching up to where its register says it was.

    A register holds one such plugin; the others were where the ledger says.
    """
    if noted_call is not None and _belongs_to_plugin(record, noted_call):
        record.stop_at(noted_call.progress.of(record.name))


def advance_ledger(noted_lane: NotedLane, recorded_lane: RecordedLane) -> Step:
    """Return the step that brings the ledger up to date with a register.

    Args:
        noted_lane: The content of the register.
        recorded_lane: The ledger's record of the lane; records of plugins that moved are changed.
    """
    changed_records = restore_plugins(noted_lane, recorded_lane.plugins)
    if recorded_lane.places is not None:
        return Step(places=join_places(recorded_lane.places, noted_lane), plugins=changed_records)
    joined_progress = join_progress(recorded_lane.progress, noted_lane.of().lane)
    return Step(
        None if joined_progress == recorded_lane.progress else joined_progress, changed_records
    )


def join_places(strand_places: StrandPlaces, noted_lane: NotedLane) -> StrandPlaces:
    """Return the places of a lane's strands, from the ledger and its register together."""
    if noted_lane.order_by != strand_places.order_by:
        return strand_places  # it dates from before the lane was divided like this
    noted_calls = (
        (strand, slot.lane) for strand, slot in noted_lane.slots.items() if strand < STRANDS
    )
    for strand, noted_call in noted_calls:
        if noted_call is not None:
            strand_places = strand_places.with_place(
                strand, join_progress(strand_places.places[strand], noted_call)
            )
    return strand_places


def restore_plugins(
    noted_lane: NotedLane, records: Iterable[PluginRecord]
) -> list[AnyPluginRecord]:
    """Move plugins that were catching up to where a register says they were; return those."""
    moved_records: list[AnyPluginRecord] = []
    for record, slot in _pair_slots(noted_lane, records):
        progress_before = record.progress
        restore_catching_up(record, slot.apart)
        if record.progress != progress_before:
            moved_records.append(record)
    return moved_records


def _pair_slots(
    noted_lane: NotedLane, records: Iterable[PluginRecord]
) -> Iterator[tuple[AnyPluginRecord, NotedSlot]]:
    """Yield each record with the slot in which its catching up is recorded."""
    whole_slot = noted_lane.of(0 if noted_lane.order_by is None else STRANDS)
    for record in records:
        yield record, whole_slot
        if record.order_by is not None and record.order_by == noted_lane.order_by:
            for strand, strand_record in record.strands.items():
                yield strand_record, noted_lane.of(strand)


def find_doubtful_calls(
    noted_lane: NotedLane,
    recorded_lane: RecordedLane,
    attempts_by_call: Mapping[tuple[CallKey, int], int],
) -> list[DoubtfulCall]:
    """Return the calls that had begun and that neither register nor ledger records as over.

    Args:
        noted_lane: The content of the register.
        recorded_lane: The ledger's record of the lane.
        attempts_by_call: `(callback, seq)` -> attempts in the ledger.
    """
    doubtful_calls = []
    for strand, slot in noted_lane.slots.items():
        lane_call, strand_place = (slot.lane, _recorded_place(noted_lane, recorded_lane, strand))
        if (
            lane_call is None
            or strand_place is None
            or not _is_unfinished(lane_call, attempts_by_call)
        ):
            continue
        if not strand_place.is_done(lane_call.seq, lane_call.key):
            doubtful_calls.append(DoubtfulCall(lane_call.seq, lane_call.key, slot.worker))
    for record, slot in _pair_slots(noted_lane, recorded_lane.plugins):
        plugin_call = slot.apart
        if (
            plugin_call is None
            or not _belongs_to_plugin(record, plugin_call)
            or not _is_unfinished(plugin_call, attempts_by_call)
        ):
            continue
        if not record.progress.is_done(plugin_call.seq, plugin_call.key):
            doubtful_calls.append(DoubtfulCall(plugin_call.seq, plugin_call.key, slot.worker))
    return doubtful_calls


def find_doubtful_batches(
    noted_lane: NotedLane,
    waiting_batches: Iterable[WaitingBatch],
    attempts_by_call: Mapping[tuple[CallKey, int], int],
) -> list[DoubtfulCall]:
    """Return the calls with batches that had begun and that nothing records as over.

    Args:
        noted_lane: The content of the register.
        waiting_batches: The batches whose call has not ended for good.
        attempts_by_call: `(callback, seq)` -> attempts in the ledger.
    """
    begun_batches = {(batch.call_key, batch.number) for batch in waiting_batches if batch.is_closed}
    return [
        DoubtfulCall(slot.apart.seq, slot.apart.key, slot.worker)
        for slot in noted_lane.slots.values()
        if slot.apart is not None
        and (slot.apart.key, slot.apart.seq) in begun_batches
        and _is_unfinished(slot.apart, attempts_by_call)
    ]


def _recorded_place(
    noted_lane: NotedLane, recorded_lane: RecordedLane, strand: int
) -> Progress | None:
    """Return the recorded place of a slot's strand; None if it has none."""
    strand_places = recorded_lane.places
    if strand_places is None:
        return recorded_lane.progress if noted_lane.order_by is None else None
    return (
        strand_places.places[strand]
        if noted_lane.order_by == strand_places.order_by and strand < STRANDS
        else None
    )


def _is_unfinished(
    noted_call: NotedCall, attempts_by_call: Mapping[tuple[CallKey, int], int]
) -> bool:
    """Return whether a call had begun, and the ledger has no outcome of this attempt."""
    # The ledger counts an attempt together with its outcome; a word has it modulo 16.
    attempt_count = attempts_by_call.get((noted_call.key, noted_call.seq), 0)
    is_in_ledger = attempt_count > 0 and attempt_count % ATTEMPT_MODULUS == noted_call.attempt
    return not noted_call.returned and not is_in_ledger


def _belongs_to_plugin(record: AnyPluginRecord, noted_call: NotedCall) -> bool:
    """Return whether a register's word about a plugin catching up is about this one."""
    return record.apart and noted_call.key.plugin == record.name
