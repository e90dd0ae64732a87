"""Calls of callbacks that take batches: the call with a batch, and the question for an event's key.

Both are calls like any other: only the function differs, which is bound to the events or the key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import msgspec

from sgevents_core.calling.context import Services
from sgevents_core.calling.journal_events import event_of
from sgevents_core.calling.making import CallRequest, EventSource
from sgevents_core.calling.outcome import CallMessage
from sgevents_core.events import Event
from sgevents_core.plugins.callback import Callback
from sgevents_core.protocols import Context
from sgevents_core.scripts import Scripts


def bind_events(callback: Callback, events: Sequence[Event]) -> Callback:
    """Return a callback that is called with the events of a batch, whatever event it is given."""
    function = cast("Callable[[Sequence[Event], Context], object]", callback.function)
    return replace(callback, function=lambda _, ctx: function(events, ctx))


def bind_key(callback: Callback, keys: list[str]) -> Callback:
    """Return a callback that appends the key of its event to `keys`, and calls nothing else."""
    rules = callback.batch
    if rules is None:
        return callback
    return replace(callback, function=lambda event, _: keys.append(rules.key_of(event)))


@dataclass(slots=True)
class KeyRequest(CallRequest):
    """The question for the key of an event that a person asked to replay.

    The arguments are those of `CallRequest`, and:

    Args:
        keys: Gets the key, if the question is asked in this process.
    """

    keys: list[str] = field(default_factory=list, kw_only=True)

    def message(self, body: bytes) -> CallMessage:
        """Return the question as a plain value, for another process."""
        return key_message(CallRequest.message(self, body))


def key_request(
    callback: Callback, event: Event, source: EventSource, services: Services
) -> KeyRequest:
    """Return the question for the key of an event.

    Args:
        callback: The callback, which takes batches.
        event: The event.
        source: Its row.
        services: The services of its plugin's calls.
    """
    keys: list[str] = []
    return KeyRequest(bind_key(callback, keys), event, source, services, keys=keys)


@dataclass(slots=True)
class BatchRequest(CallRequest):
    """One call with the events of a batch.

    The arguments are those of `CallRequest` for its first event, and:

    Args:
        bodies: The rows of all its events as JSON.
    """

    bodies: Sequence[bytes] = field(default=(), kw_only=True)

    def message(self, body: bytes) -> CallMessage:
        """Return the call as a plain value, for another process."""
        return batch_message(CallRequest.message(self, b""), self.bodies)


def batch_request(
    callback: Callback,
    bodies: Sequence[bytes],
    source: EventSource,
    services: Services,
    scripts: Scripts | None,
) -> BatchRequest:
    """Return a call of a callback with the events of a batch, which a person asked for.

    Args:
        callback: The callback, which takes batches.
        bodies: The rows of the events as JSON.
        source: The row of the first event.
        services: The services of its plugin's calls.
        scripts: The names of the site's scripts.
    """
    events = [event_of(body, scripts) for body in bodies]
    bound_callback = bind_events(callback, events)
    return BatchRequest(bound_callback, events[0], source, services, bodies=bodies)


def key_message(call_message: CallMessage) -> CallMessage:
    """Return the message of a call that asks for the key of an event's batch."""
    return msgspec.structs.replace(call_message, asks_key=True)


def batch_message(call_message: CallMessage, bodies: Sequence[bytes]) -> CallMessage:
    """Return the message of a call with the events of a batch."""
    return msgspec.structs.replace(call_message, batch=list(bodies))
