"""The record that a person skipped an event for a plugin, kept with its failures.

The record is a failure without a callback. Instead of a traceback it lists the callbacks that had
handled the event before the skip.
"""

from __future__ import annotations

from collections.abc import Iterable

from sgevents_core.state.entries import Entry
from sgevents_core.state.failures import Failure
from sgevents_core.state.keys import CallKey


def build_skip_record(
    plugin_name: str,
    skipped_entry: Entry,
    handled_callbacks: Iterable[CallKey],
    asked_by: str,
    skipped_at: float,
) -> Failure:
    """Return the record of a skipped event.

    Args:
        plugin_name: The plugin's name.
        skipped_entry: The event.
        handled_callbacks: The plugin's callbacks that are finished for it.
        asked_by: Who skipped it, for people.
        skipped_at: When, in seconds since 1970.
    """
    return Failure(
        plugin=plugin_name,
        callback="",
        seq=skipped_entry.seq,
        event_id=skipped_entry.event_id,
        attempt=0,
        error=f"{asked_by} skipped it",
        traceback="\n".join(sorted(callback_key.callback for callback_key in handled_callbacks)),
        at=skipped_at,
        outcome="skipped",
    )


def was_skipped(skip_record: Failure, callback_name: str) -> bool:
    """Return whether a failure records that an event was skipped for a callback."""
    return skip_record.outcome == "skipped" and callback_name not in skip_record.traceback.split(
        "\n"
    )
