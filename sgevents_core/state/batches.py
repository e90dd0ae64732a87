"""Events collected for a callback that takes them in batches, each with all that its call needs.

A batch is identified by its plugin, its callback and its number, the `seq` of its first event.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Literal, NamedTuple, TypeAlias

from sgevents_core.state.keys import CallKey


class BatchedEvent(NamedTuple):
    """One event in a batch.

    Args:
        plugin: The plugin's name.
        callback: The callback's name.
        number: The batch's number.
        key: The text by which events come into the same batch.
        seq: The event's place in the journal.
        era: The feed's era of the event.
        event_id: The event's id.
        body: The event's row as JSON.
        strands: Its strands, as `strands.strands_of` packs them.
        collected_at: When it came into the batch, in seconds since 1970.
        due_at: When the batch is called if no other event comes, in seconds since 1970.
        is_closed: Whether its batch takes no more events, because its call has begun.
        letter: The number of the batch's dead letter; 0 if it has none.
        whole: Whether its checksum is right.
        put_off_at: When its batch was put off first, in seconds since 1970; 0 if it was not.
        reason: Why its batch was put off last, for people.
        request: The replay that collected it; 0 for events of the log.
    """

    plugin: str
    callback: str
    number: int
    key: str
    seq: int
    era: int
    event_id: int
    body: bytes
    strands: int
    collected_at: float
    due_at: float
    is_closed: bool = False
    letter: int = 0
    whole: bool = True
    put_off_at: float = 0.0
    reason: str = ""
    request: int = 0


class WaitingBatch(NamedTuple):
    """A batch whose call has not ended for good.

    Args:
        plugin: The plugin's name.
        callback: The callback's name.
        number: The batch's number; in a replay, the index of its first event.
        key: The text by which events come into it.
        events: The number of its events.
        strands: The strands of its first event, as `strands.strands_of` packs them.
        first_at: When its first event came, in seconds since 1970.
        due_at: When it is called if no other event comes, or called again, in seconds since 1970.
        is_closed: Whether it takes no more events, because its call has begun.
        put_off_at: When it was put off first, in seconds since 1970; 0 if it was not.
        reason: Why it was put off last, for people.
    """

    plugin: str
    callback: str
    number: int
    key: str
    events: int
    strands: int
    first_at: float
    due_at: float
    is_closed: bool
    put_off_at: float = 0.0
    reason: str = ""

    @property
    def call_key(self) -> CallKey:
        """The callback."""
        return CallKey(self.plugin, self.callback)


BatchAction: TypeAlias = Literal["close", "call later", "end", "bury"]
"""A batch is closed before its first call, and ends with its last one or as a dead letter."""


class LaterCall(NamedTuple):
    """When a batch is called again, because it was put off or its call failed.

    Args:
        due_at: When, in seconds since 1970.
        put_off_at: When it was put off first, in seconds since 1970; 0 if it was not.
        reason: Why it was put off last, for people.
    """

    due_at: float
    put_off_at: float = 0.0
    reason: str = ""


class BatchChange(NamedTuple):
    """The change to a batch as a whole.

    Args:
        plugin: The plugin's name.
        callback: The callback's name.
        number: The batch's number.
        action: The change; "bury" keeps its events for the dead letter that the step makes.
        request: The replay that collected it; 0 for one of the log.
        later_call: When it is called again, if the action is "call later".
    """

    plugin: str
    callback: str
    number: int
    action: BatchAction
    request: int = 0
    later_call: LaterCall | None = None


def waiting_batches(batched_events: Iterable[BatchedEvent]) -> list[WaitingBatch]:
    """Return the batches that events form, those with the lowest number first.

    Args:
        batched_events: Events of batches whose call has not ended, in any order.
    """
    in_order = sorted(batched_events, key=lambda event: (event.number, event[:2], event.seq))
    batches = []
    for (number, plugin, callback), group in groupby(
        in_order, key=lambda event: (event.number, event.plugin, event.callback)
    ):
        events = list(group)
        batches.append(
            WaitingBatch(
                plugin,
                callback,
                number,
                events[0].key,
                len(events),
                events[0].strands,
                min(event.collected_at for event in events),
                max(event.due_at for event in events),
                any(event.is_closed for event in events),
                events[0].put_off_at,
                events[0].reason,
            )
        )
    return batches
