"""Positions worked out from the journal and the ledger."""

from __future__ import annotations

from collections.abc import Collection

from sgevents_core.state.entries import Entry
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import Reader


def entry_at(state_reader: Reader, seq: int) -> Entry | None:
    """Return a journal entry, or the first kept one above it; None after the end."""
    return next(iter(state_reader.read(Progress.at(seq).finished, 1)), None)


def lowest_cursor(state_reader: Reader, plugin_names: Collection[str]) -> int:
    """Return the highest `seq` up to which all the given plugins have finished.

    At least one of them still needs the event above it; without plugins, no event is needed.
    """
    cursors = [state_reader.end()]
    for record in state_reader.plugins().values():
        if record.name not in plugin_names:
            continue
        lane_progress = None if record.apart else state_reader.lane_progress(record.lane)
        cursors.append((lane_progress or record.progress).finished)
        cursors += [strand_record.cursor for strand_record in record.strands.values()]
    return min(cursors)
