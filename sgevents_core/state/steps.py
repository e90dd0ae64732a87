"""One step of a lane's work: its changes are written together, or none of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sgevents_core.state.batches import BatchChange, BatchedEvent
from sgevents_core.state.deferred import DeferredEvent, DeferredKey, IgnoredCall
from sgevents_core.state.done_parts import DonePart
from sgevents_core.state.failures import Failure
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import AnyPluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.requests import ReplayEvent, RequestStep
from sgevents_core.state.strand_places import StrandPlaces

REMOVED: Final = object()
"""In `Step.store`: remove the key."""


class CallDeaths(NamedTuple):
    """The count of deaths of the process in one call.

    Args:
        plugin: The plugin's name.
        callback: The callback's name.
        seq: The event's place in the journal.
        proved: Deaths with a known cause: it crashed, ended itself or ran out of memory.
        unproved: Deaths that may have had a cause outside the process.
        how: How it died last, for people.
        traceback: Where it died last, if known.
    """

    plugin: str
    callback: str
    seq: int
    proved: int
    unproved: int
    how: str
    traceback: str

    @property
    def key(self) -> CallKey:
        """The callback."""
        return CallKey(self.plugin, self.callback)

    @property
    def times(self) -> int:
        """How often the process died, whatever the cause."""
        return self.proved + self.unproved


class GivenValues(NamedTuple):
    """Values of a step that a home with several copies gives it; None: the writer makes them.

    Args:
        failure_number: The number of its failure.
        letter_number: The number of a new dead letter of its request.
        answered_at: When its request is answered, in seconds since 1970; the earliest answer stays.
        part_seq: The place in the journal of the event of its done part; 0 if it has none.
    """

    failure_number: int | None = None
    letter_number: int | None = None
    answered_at: float | None = None
    part_seq: int | None = None


NOTHING_GIVEN: Final = GivenValues()


@dataclass(slots=True)
class Step:
    """One atomic step of a lane's work: all of its changes are written, or none.

    Args:
        progress: The progress after it, of the lane or of `strand`; None to leave it unchanged.
        plugins: Records of plugins that changed.
        failure: A failed attempt to keep; its `attempt` becomes the count for the event.
        doubts: `(plugin, callback, seq, attempts)` of calls in which the process died.
        dead: Whether the failure makes a dead letter.
        settled: `(plugin, callback, seq)` whose attempts are over; their count is reset.
        deaths: How often the process died in some calls.
        request: The change to a person's request.
        store: Plugin -> key -> new value, or `REMOVED` to remove the key.
        durable: Whether the step must survive a power cut, not only a kill.
        strand: The strand that `progress` belongs to; None for a lane that is not divided.
        places: The least progress of each strand of a divided lane; a strand recorded further on
            stays there, unless the lane was divided in another way.
        undivided: Whether the lane is no longer divided into strands.
        whole: Plugins that are not separate from any strand except those in `plugins`.
        failure_event: The event of the failure, where the journal may lack it.
        deferred: A call that is put off, or the change to one, with its event.
        no_more_deferred: A call that is no longer put off.
        ignored: A call that did nothing with its event, as its callback says.
        collected: An event that came into a batch.
        batch: The change to a batch; a dead letter of the step keeps the events of a buried one.
        done_part: A part of a call that is done, whatever becomes of the call.
    """

    progress: Progress | None = None
    plugins: Sequence[AnyPluginRecord] = ()
    failure: Failure | None = None
    doubts: list[tuple[str, str, int, int]] = field(default_factory=list)
    dead: bool = False
    settled: tuple[str, str, int] | None = None
    deaths: Sequence[CallDeaths] = ()
    request: RequestStep | None = None
    store: dict[str, dict[str, Any]] = field(default_factory=dict)
    durable: bool = False
    strand: int | None = None
    places: StrandPlaces | None = None
    undivided: bool = False
    whole: Collection[str] = ()
    failure_event: ReplayEvent | None = None
    deferred: DeferredEvent | None = None
    no_more_deferred: DeferredKey | None = None
    ignored: IgnoredCall | None = None
    collected: BatchedEvent | None = None
    batch: BatchChange | None = None
    done_part: DonePart | None = None
