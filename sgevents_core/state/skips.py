"""The record that a person skipped an event for a plugin, kept with its failures.

It is a failure without a callback. Instead of a traceback it lists the callbacks that had handled
the event before and were not skipped.
"""

from __future__ import annotations

from collections.abc import Iterable

from sgevents_core.state.entries import Entry
from sgevents_core.state.failures import Failure
from sgevents_core.state.keys import CallKey


def skip_note(
    plugin: str, entry: Entry, handled: Iterable[CallKey], asked_by: str, at: float
) -> Failure:
    """Return the record of a skipped event.

    Args:
        plugin: The plugin's name.
        entry: The event.
        handled: The plugin's callbacks that are finished for it.
        asked_by: Who skipped it, for people.
        at: When, in seconds since 1970.
    """
    return Failure(
        plugin=plugin,
        callback="",
        seq=entry.seq,
        event_id=entry.event_id,
        attempt=0,
        error=f"{asked_by} skipped it",
        traceback="\n".join(sorted(key.callback for key in handled)),
        at=at,
        outcome="skipped",
    )


def was_skipped(note: Failure, callback: str) -> bool:
    """Return whether a failure records that an event was skipped for a callback."""
    return note.outcome == "skipped" and callback not in note.traceback.split("\n")
