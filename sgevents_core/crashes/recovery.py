"""The point at which a lane continues, from the ledger and the register left behind. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import AnyPluginRecord, PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import RecordedLane
from sgevents_core.state.register import ATTEMPTS, Noted, NotedCall, NotedLane
from sgevents_core.state.steps import Step
from sgevents_core.state.strand_places import StrandPlaces
from sgevents_core.state.strands import STRANDS


class Doubt(NamedTuple):
    """A call that was running when the process died: whether it finished is not known.

    Args:
        seq: The event's place in the journal.
        key: The callback.
        worker: The number of the worker that made it; 0 if the lane has none.
    """

    seq: int
    key: CallKey
    worker: int = 0


def goes_on(progress: Progress, noted: NotedCall | None) -> Progress:
    """Return the progress of a lane, from the ledger and its register together."""
    return progress if noted is None else progress.joined(noted.progress)


def catches_up(record: AnyPluginRecord, noted: NotedCall | None) -> None:
    """Move a plugin that was catching up to where its register says it was.

    A register holds one such plugin; the others were where the ledger says.
    """
    if noted is not None and _is_of(record, noted):
        record.stop_at(noted.progress.of(record.name))


def advanced(noted: NotedLane, recorded: RecordedLane) -> Step:
    """Return the step that brings the ledger up to date with a register.

    Args:
        noted: The content of the register.
        recorded: What the ledger says of the lane; records of plugins that moved are changed.
    """
    changed = move_plugins(noted, recorded.plugins)
    if recorded.places is not None:
        return Step(places=places_go_on(recorded.places, noted), plugins=changed)
    moved = goes_on(recorded.progress, noted.of().lane)
    return Step(None if moved == recorded.progress else moved, changed)


def places_go_on(places: StrandPlaces, noted: NotedLane) -> StrandPlaces:
    """Return the places of a lane's strands, from the ledger and its register together."""
    if noted.order_by != places.order_by:
        return places  # it is of a time before the lane was divided like this
    words = ((n, slot.lane) for n, slot in noted.slots.items() if n < STRANDS)
    for strand, word in words:
        if word is not None:
            places = places.with_place(strand, goes_on(places.places[strand], word))
    return places


def move_plugins(noted: NotedLane, records: Iterable[PluginRecord]) -> list[AnyPluginRecord]:
    """Move plugins that were catching up to where a register says they were; return those."""
    moved: list[AnyPluginRecord] = []
    for record, slot in _slots(noted, records):
        before = record.progress
        catches_up(record, slot.apart)
        if record.progress != before:
            moved.append(record)
    return moved


def _slots(
    noted: NotedLane, records: Iterable[PluginRecord]
) -> Iterator[tuple[AnyPluginRecord, Noted]]:
    """Yield each record with the slot in which its catching up is recorded."""
    whole = noted.of(0 if noted.order_by is None else STRANDS)
    for record in records:
        yield record, whole
        if record.order_by is not None and record.order_by == noted.order_by:
            for strand, own in record.strands.items():
                yield own, noted.of(strand)


def doubts(
    noted: NotedLane, recorded: RecordedLane, tried: Mapping[tuple[CallKey, int], int]
) -> list[Doubt]:
    """Return the calls that had begun and that neither register nor ledger records as over.

    Args:
        noted: The content of the register.
        recorded: What the ledger says of the lane.
        tried: `(callback, seq)` -> attempts in the ledger.
    """
    open_calls = []
    for strand, slot in noted.slots.items():
        live, place = slot.lane, _place(noted, recorded, strand)
        if live is None or place is None or not _is_open(live, tried):
            continue
        if not place.is_done(live.seq, live.key):
            open_calls.append(Doubt(live.seq, live.key, slot.worker))
    for record, slot in _slots(noted, recorded.plugins):
        own = slot.apart
        if own is None or not _is_of(record, own) or not _is_open(own, tried):
            continue
        if not record.progress.is_done(own.seq, own.key):
            open_calls.append(Doubt(own.seq, own.key, slot.worker))
    return open_calls


def _place(noted: NotedLane, recorded: RecordedLane, strand: int) -> Progress | None:
    """Return the recorded place of a slot's strand; None if it has none."""
    places = recorded.places
    if places is None:
        return recorded.progress if noted.order_by is None else None
    return places.places[strand] if noted.order_by == places.order_by and strand < STRANDS else None


def _is_open(noted: NotedCall, tried: Mapping[tuple[CallKey, int], int]) -> bool:
    """Return whether a call had begun, and the ledger has no outcome of this attempt."""
    # The ledger counts an attempt together with its outcome; a word has it modulo `ATTEMPTS`.
    attempts = tried.get((noted.key, noted.seq), 0)
    is_noted = attempts > 0 and attempts % ATTEMPTS == noted.attempt
    return not noted.returned and not is_noted


def _is_of(record: AnyPluginRecord, noted: NotedCall) -> bool:
    """Return whether a register's word about a plugin catching up is about this one."""
    return record.apart and noted.key.plugin == record.name
