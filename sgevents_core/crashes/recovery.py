"""Where a lane goes on: what the ledger says, and what a register left behind says later. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sgevents_core.journal.base import Place, PluginRecord, Step
from sgevents_core.journal.keys import CallKey
from sgevents_core.journal.register import ATTEMPTS, Found, Progress


class Doubt(NamedTuple):
    """A call that had begun when the process died: whether it finished, nobody knows."""

    seq: int
    callback: CallKey


def goes_on(place: Place, progress: Progress | None) -> Place:
    """Return the later of what the ledger and what the register says of a lane."""
    if progress is None or progress.seq < place.seq:
        return place
    if progress.seq > place.seq:
        return Place(progress.seq, progress.done)
    return place if place.done is None else Place(place.seq, place.done | progress.done)


def catches_up(record: PluginRecord, progress: Progress | None) -> None:
    """Move a plugin that was catching up on its own to where its register says it was.

    A register tells of one such plugin; the others were where the ledger says.
    """
    if progress is None or not _is_of(record, progress) or progress.seq <= record.cursor:
        return
    own = frozenset(key for key in progress.done if key.plugin == record.name)
    record.stop_at(progress.seq, own)


def advanced(found: Found, place: Place, records: Iterable[PluginRecord]) -> Step:
    """Return the step that takes what a register says into the ledger.

    Args:
        found: What the register says.
        place: Where the ledger says the lane is.
        records: What the ledger says of the lane's plugins; those that moved are changed.
    """
    step = Step()
    moved = goes_on(place, found.lane)
    if moved != place:
        step.place = moved
    for record in records:
        before = (record.cursor, record.done)
        catches_up(record, found.apart)
        if before != (record.cursor, record.done):
            step.plugins.append(record)
    return step


def doubts(
    found: Found,
    place: Place,
    records: Iterable[PluginRecord],
    tried: Mapping[tuple[CallKey, int], int],
) -> list[Doubt]:
    """Return the calls that had begun and were not noted as over, by register or ledger.

    Args:
        found: What the register says.
        place: Where the ledger says the lane is.
        records: What the ledger says of the lane's plugins.
        tried: `(callback, seq)` -> attempts that the ledger has.
    """
    open_calls = []
    live = found.lane
    if live is not None and _is_open(live, tried) and _not_done(live, place.seq, place.done):
        open_calls.append(Doubt(live.seq, live.callback))
    own = found.apart
    if own is not None and _is_open(own, tried):
        open_calls += [
            Doubt(own.seq, own.callback)
            for record in records
            if _is_of(record, own) and _not_done(own, record.cursor + 1, record.done)
        ]
    return open_calls


def _is_open(progress: Progress, tried: Mapping[tuple[CallKey, int], int]) -> bool:
    """Return whether a call had begun, and what came of this very attempt is not in the ledger."""
    attempts = tried.get((progress.callback, progress.seq), 0)
    is_noted = attempts > 0 and attempts % ATTEMPTS == progress.attempt
    return not progress.returned and not is_noted


def _is_of(record: PluginRecord, progress: Progress) -> bool:
    """Return whether a register's word about a plugin on its own way is about this one."""
    return record.apart and progress.callback.plugin == record.name


def _not_done(progress: Progress, seq: int, done: frozenset[CallKey] | None) -> bool:
    if progress.seq != seq:
        return progress.seq > seq
    return done is not None and progress.callback not in done
