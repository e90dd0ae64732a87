"""Calls that a callback has put off: the event comes again to it later, the plugin goes on."""

from __future__ import annotations

from typing import NamedTuple

from sgevents_core.state.keys import CallKey


class DeferredKey(NamedTuple):
    """A callback and an event that it has put off.

    Args:
        plugin: The plugin's name.
        callback: The callback's name.
        era: The era of the event.
        event_id: The event's id.
    """

    plugin: str
    callback: str
    era: int
    event_id: int


class DeferredCall(NamedTuple):
    """A call that a callback has put off.

    Args:
        plugin: The plugin's name.
        callback: The callback's name.
        era: The era of the event.
        event_id: The event's id.
        seq: The event's place in the journal; 0 if it is not in the journal.
        due_at: When it is made, in seconds since 1970.
        first_at: When it was put off first, in seconds since 1970.
        attempts: How many attempts have failed; putting off is none.
        deferrals: How often it was put off.
        begun: How often it was begun since it was last recorded; the process died in each.
        reason: Why it was put off last, or how it failed, for people.
    """

    plugin: str
    callback: str
    era: int
    event_id: int
    seq: int
    due_at: float
    first_at: float
    attempts: int = 0
    deferrals: int = 1
    begun: int = 0
    reason: str = ""

    @property
    def key(self) -> DeferredKey:
        """The callback and the event."""
        return DeferredKey(self.plugin, self.callback, self.era, self.event_id)

    @property
    def call_key(self) -> CallKey:
        """The callback."""
        return CallKey(self.plugin, self.callback)


class DeferredEvent(NamedTuple):
    """A deferred call with its event.

    Args:
        call: The call.
        body: The event's row as JSON.
        whole: Whether the checksum of the record is right.
    """

    call: DeferredCall
    body: bytes
    whole: bool = True


class DeferredCount(NamedTuple):
    """How many calls of a plugin are put off, and when the next one is due."""

    calls: int
    next_due_at: float


class IgnoredCall(NamedTuple):
    """A call that did nothing with its event, as its callback says.

    Args:
        plugin: The plugin's name.
        callback: The callback's name.
        seq: The event's place in the journal.
        reason: Why, for people; empty if it did something after all.
        others: The places of the other events of its batch.
    """

    plugin: str
    callback: str
    seq: int
    reason: str
    others: tuple[int, ...] = ()

    @property
    def seqs(self) -> tuple[int, ...]:
        """The places of all its events."""
        return (self.seq, *self.others)
