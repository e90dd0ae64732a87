"""The outcome of a call, as plain values that can cross to another thread or process.

The exception of a callback stays in the thread that called it; everything else works with its
description here.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec


class ErrorFacts(msgspec.Struct, frozen=True):
    """The facts about an error that decide what follows; its description is for people.

    Args:
        asks_retry: Whether the plugin asked for a retry, with `Retry`.
        is_transient: Whether the failure is transient.
        retry_after: The shortest wait in seconds before a retry; None if none was requested.
        is_from_client: Whether it is transient and was raised in a shotgun_api3 client.
        is_listed: Whether the plugin says so, by `retry_on` or `failure_passes`: it is retried
            whatever `on_error` is.
        defer_after: After how many seconds the plugin wants the event again, with `Defer`; None if
            it does not.
    """

    asks_retry: bool = False
    is_transient: bool = False
    retry_after: float | None = None
    is_from_client: bool = False
    is_listed: bool = False
    defer_after: float | None = None


class RaisedError(msgspec.Struct, frozen=True):
    """An error that a callback or its filter raised, with secrets removed.

    Args:
        type_name: The name of its type.
        line: Type and message in one line.
        traceback: The traceback as text.
        facts: The facts by which the failure is judged.
    """

    type_name: str
    line: str
    traceback: str = ""
    facts: ErrorFacts = ErrorFacts()


class RaisedElsewhere(Exception):
    """Raised where a hook is called, if its plugin is in another process.

    Args:
        error: What the hook raised there, or how its process died.
    """

    def __init__(self, error: RaisedError) -> None:
        super().__init__(error.line)
        self.error = error


class CallDeath(msgspec.Struct, frozen=True):
    """The death of the worker process that made a call.

    Args:
        how: The cause of its end, for people.
        traceback: Where, if known.
        is_proved: Whether the call is known to have ended it, and not somebody's `kill -9`.
    """

    how: str
    traceback: str = ""
    is_proved: bool = True


Unmade: TypeAlias = Literal["", "for now", "until resumed"]
"""Whether a call could not be made, and what it waits for."""


class CallOutcome(msgspec.Struct, frozen=True, gc=False):
    """The outcome of a call.

    Args:
        seconds: How long it took.
        was_called: Whether the callback was called; if not, its filter rejected the event or
            raised.
        error: The exception of the callback or its filter; None if it returned.
        timed_out: Whether the call was given up because it exceeded its time limit.
        store_changes: Key -> new value as JSON, None for a removed key; empty if it raised. None if
            the call did not use its store; otherwise the store must be released.
        writes: How often it wrote to the site through `ctx.sg`.
        site_unanswered: Whether the site left a request of the call, or of its plugin meanwhile,
            unanswered.
        death: The death of the worker process that made the call; None if it did not die by itself.
        unmade: Whether the call could not be made, for now or until a person has looked at its
            plugin; empty if it could. It is no attempt then.
        ignored: Why the callback did nothing with its event, as it says; empty if it does not.
        worker_was_ended: Whether that process was ended because the call exceeded its time limit.
        batch_key: The key of the event's batch, if a worker process was asked for it.
    """

    seconds: float = 0.0
    was_called: bool = True
    error: RaisedError | None = None
    timed_out: bool = False
    store_changes: dict[str, bytes | None] | None = None
    writes: int = 0
    site_unanswered: bool = False
    death: CallDeath | None = None
    unmade: Unmade = ""
    worker_was_ended: bool = False
    ignored: str = ""
    batch_key: str | None = None

    @property
    def ended_worker(self) -> bool:
        """Whether the call has ended the worker process that made it."""
        return self.death is not None or self.worker_was_ended

    @property
    def is_unwanted(self) -> bool:
        """Whether the callback's filter did not want the event."""
        return not self.was_called and self.error is None


class CallMessage(msgspec.Struct, frozen=True):
    """One call to make, as a plain value for a process that has the plugin loaded.

    Args:
        plugin: The plugin's name.
        callback: The callback's name.
        era: The feed's era of the event.
        seq: The event's place in the journal; 0 if it is not in the journal.
        event_id: The event's id.
        body: The event's row as JSON.
        attempt: The number of the attempt, from 1.
        runs_filter: Whether to run the callback's filter first.
        asks_key: Whether to return the key of the event's batch instead of calling the callback.
        batch: The rows of the events of a batch as JSON; empty for a call with one event.
    """

    plugin: str
    callback: str
    era: int
    seq: int
    event_id: int
    body: bytes
    attempt: int = 1
    runs_filter: bool = False
    asks_key: bool = False
    batch: list[bytes] = []
