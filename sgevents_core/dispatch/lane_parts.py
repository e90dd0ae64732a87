"""What the strands of a lane share, and their callers with them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.batch_lines import LaneBatches
from sgevents_core.dispatch.deferred_calls import DeferredCalls
from sgevents_core.dispatch.imported_events import ImportedEvents
from sgevents_core.dispatch.plan import Plan
from sgevents_core.observe.observers import CallObservers
from sgevents_core.scripts import Scripts
from sgevents_core.state.batches import BatchedEvent
from sgevents_core.state.keys import CallKey
from sgevents_core.state.steps import CallDeaths


@dataclass(frozen=True)
class LaneParts:
    """The data shared by the strands of a lane.

    Args:
        call_plan: Which callbacks are called for an event.
        call_keys: The callbacks in the order of the plan.
        attempts_by_call: `(callback, seq)` -> attempts so far, for calls that are not settled.
        deaths_by_call: `(callback, seq)` -> the deaths in it, for calls that are not settled.
        stop_event: Set when the lane must end after the running call.
        announcer: Reports failures to people and plugins.
        observers: Notified when calls begin and end.
        scripts: The names of the site's scripts; None to guess them from rows.
        imported_events: The positions its plugins brought from another daemon.
        deferred_calls: The calls that its plugins have put off.
        batches: The lane's batches; None if none of its callbacks takes any.
        read_batch: Reads the events of a batch.
    """

    call_plan: Plan
    call_keys: Sequence[CallKey]
    attempts_by_call: dict[tuple[CallKey, int], int]
    deaths_by_call: dict[tuple[CallKey, int], CallDeaths]
    stop_event: threading.Event
    announcer: Announcer
    observers: CallObservers
    scripts: Scripts | None
    imported_events: ImportedEvents = field(default_factory=ImportedEvents)
    deferred_calls: DeferredCalls = field(default_factory=lambda: DeferredCalls(()))
    batches: LaneBatches | None = None
    read_batch: Callable[[str, str, int], list[BatchedEvent]] = lambda *_: []
