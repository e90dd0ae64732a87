"""Parts of a call that are done, and are not repeated with the call."""

from __future__ import annotations

from typing import NamedTuple


class DonePart(NamedTuple):
    """A part of a callback's work for one event.

    Args:
        plugin: The plugin's name.
        callback: The callback's name.
        era: The era of the event.
        event_id: The event's id.
        name: The name that the callback gives it.
    """

    plugin: str
    callback: str
    era: int
    event_id: int
    name: str
