"""Positions that follow from what a reader of the journal and the ledger shows."""

from __future__ import annotations

from collections.abc import Collection

from sgevents_core.state.entries import Entry
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import Reader


def entry_at(journal: Reader, seq: int) -> Entry | None:
    """Return a journal entry, or the first kept one above it; None after the end."""
    return next(iter(journal.read(Progress.at(seq).finished, 1)), None)


def lowest_cursor(state: Reader, plugins: Collection[str]) -> int:
    """Return the highest `seq` up to which all the given plugins have finished.

    Everything above it is still needed by one of them; without plugins, nothing is.
    """
    cursors = [state.end()]
    for record in state.plugins().values():
        if record.name not in plugins:
            continue
        lane = None if record.apart else state.lane_progress(record.lane)
        cursors.append((lane or record.progress).finished)
        cursors += [strand.cursor for strand in record.strands.values()]
    return min(cursors)
