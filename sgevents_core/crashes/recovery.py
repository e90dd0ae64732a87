"""The point at which a lane continues, from the ledger and the register left behind. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import RecordedLane
from sgevents_core.state.register import ATTEMPTS, Noted, NotedCall
from sgevents_core.state.steps import Step


class Doubt(NamedTuple):
    """A call that was running when the process died: whether it finished is not known."""

    seq: int
    key: CallKey


def goes_on(progress: Progress, noted: NotedCall | None) -> Progress:
    """Return the progress of a lane, from the ledger and its register together."""
    return progress if noted is None else progress.joined(noted.progress)


def catches_up(record: PluginRecord, noted: NotedCall | None) -> None:
    """Move a plugin that was catching up to where its register says it was.

    A register holds one such plugin; the others were where the ledger says.
    """
    if noted is not None and _is_of(record, noted):
        record.stop_at(noted.progress.of(record.name))


def advanced(noted: Noted, recorded: RecordedLane) -> Step:
    """Return the step that brings the ledger up to date with a register.

    Args:
        noted: The content of the register.
        recorded: What the ledger says of the lane; records of plugins that moved are changed.
    """
    progress, _, records = recorded
    moved = goes_on(progress, noted.lane)
    changed = []
    for record in records:
        before = record.progress
        catches_up(record, noted.apart)
        if record.progress != before:
            changed.append(record)
    return Step(None if moved == progress else moved, changed)


def doubts(
    noted: Noted,
    progress: Progress,
    records: Iterable[PluginRecord],
    tried: Mapping[tuple[CallKey, int], int],
) -> list[Doubt]:
    """Return the calls that had begun and that neither register nor ledger records as over.

    Args:
        noted: The content of the register.
        progress: The lane's progress in the ledger.
        records: The ledger's records of the lane's plugins.
        tried: `(callback, seq)` -> attempts in the ledger.
    """
    open_calls = []
    live = noted.lane
    if live is not None and _is_open(live, tried) and not progress.is_done(live.seq, live.key):
        open_calls.append(Doubt(live.seq, live.key))
    own = noted.apart
    if own is not None and _is_open(own, tried):
        open_calls += [
            Doubt(own.seq, own.key)
            for record in records
            if _is_of(record, own) and not record.progress.is_done(own.seq, own.key)
        ]
    return open_calls


def _is_open(noted: NotedCall, tried: Mapping[tuple[CallKey, int], int]) -> bool:
    """Return whether a call had begun, and the ledger has no outcome of this attempt."""
    # The ledger counts an attempt together with its outcome; a word has it modulo `ATTEMPTS`.
    attempts = tried.get((noted.key, noted.seq), 0)
    is_noted = attempts > 0 and attempts % ATTEMPTS == noted.attempt
    return not noted.returned and not is_noted


def _is_of(record: PluginRecord, noted: NotedCall) -> bool:
    """Return whether a register's word about a plugin catching up is about this one."""
    return record.apart and noted.key.plugin == record.name
