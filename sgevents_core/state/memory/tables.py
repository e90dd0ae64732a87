"""The content of a state in memory, under one lock."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sgevents_core.choices import OrderBy
from sgevents_core.state.batches import BatchedEvent
from sgevents_core.state.call_figures import CallFigure, FeedFigure, Span
from sgevents_core.state.deferred import DeferredEvent, DeferredKey
from sgevents_core.state.done_parts import DonePart
from sgevents_core.state.entries import Entry
from sgevents_core.state.failures import Failure
from sgevents_core.state.feed_values import MissingRange, ParkedRange, SetAside
from sgevents_core.state.imported import ImportedPosition
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import PluginRecord, StrandRecord
from sgevents_core.state.progress import BEGINNING, Progress
from sgevents_core.state.requests import ReplayEvent, RequestAnswer
from sgevents_core.state.steps import CallDeaths
from sgevents_core.state.strand_places import StrandPlaces
from sgevents_core.state.strands import STRANDS


@dataclass(slots=True)
class KeptLane:
    """The newest fence of a lane, and its progress, by strand if `order_by` divides it."""

    fence: int = 0
    progress: Progress = BEGINNING
    order_by: OrderBy | None = None
    strands: dict[int, Progress] = field(default_factory=dict)

    def divide(self, order_by: OrderBy | None) -> None:
        """Divide the lane in another way, and forget its old strands."""
        self.order_by, self.strands = order_by, {}

    def places(self) -> StrandPlaces | None:
        """Return the places of its strands; None if it is not divided."""
        if self.order_by is None:
            return None
        strand_progress = (
            self.strands.get(strand_number, BEGINNING) for strand_number in range(STRANDS)
        )
        return StrandPlaces(self.order_by, tuple(strand_progress))


class KeptStrand(NamedTuple):
    """The record of a plugin in one strand, and the key that divides its lane."""

    order_by: OrderBy | None
    record: StrandRecord


class FailedCall(NamedTuple):
    """A failure, whether it is a dead letter, and its event."""

    failure: Failure
    dead: bool
    era: int
    body: bytes


@dataclass(slots=True)
class KeptRequest:
    """A request; `detail` and `progress` as JSON, so that no values are shared with it."""

    kind: str
    plugin: str
    detail: bytes
    asked_by: str
    asked_at: float
    replays: list[ReplayEvent]
    begun: int = 0
    progress: bytes = b"{}"
    answer: RequestAnswer | None = None
    answered_at: float = 0.0


@dataclass(slots=True)
class Tables:
    """The content of a state; read and changed only under its lock."""

    state_folder: Path = field(default_factory=Path)
    lock: threading.RLock = field(default_factory=threading.RLock)
    journal: dict[int, Entry] = field(default_factory=dict)
    """`seq` -> entry, ascending and without a hole."""
    seqs: dict[tuple[int, int], int] = field(default_factory=dict)
    """Era and event id -> `seq`."""
    feed: bytes | None = None
    missing: dict[int, MissingRange] = field(default_factory=dict)
    gone: dict[int, tuple[int, int]] = field(default_factory=dict)
    parked: dict[int, ParkedRange] = field(default_factory=dict)
    closed: dict[tuple[int, int], int] = field(default_factory=dict)
    """Era and first id -> last id."""
    dropped: dict[tuple[int, int], int] = field(default_factory=dict)
    aside: dict[tuple[int, str, str], SetAside] = field(default_factory=dict)
    passed_over: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict)
    """`seq` and plugin -> era and event id; an empty plugin stands for the entry itself."""
    scripts: dict[int, str] = field(default_factory=dict)
    lanes: dict[str, KeptLane] = field(default_factory=dict)
    plugins: dict[str, PluginRecord] = field(default_factory=dict)
    plugin_strands: dict[tuple[str, int], KeptStrand] = field(default_factory=dict)
    joined: dict[str, int] = field(default_factory=dict)
    imported: dict[str, ImportedPosition] = field(default_factory=dict)
    attempts: dict[tuple[CallKey, int], int] = field(default_factory=dict)
    deaths: dict[tuple[CallKey, int], CallDeaths] = field(default_factory=dict)
    deferred: dict[DeferredKey, DeferredEvent] = field(default_factory=dict)
    ignored: dict[tuple[int, CallKey], str] = field(default_factory=dict)
    done_parts: set[DonePart] = field(default_factory=set)
    failures: dict[int, FailedCall] = field(default_factory=dict)
    batched: list[BatchedEvent] = field(default_factory=list)
    stores: dict[str, dict[str, bytes]] = field(default_factory=dict)
    call_figures: dict[tuple[Span, int, str, str], CallFigure] = field(default_factory=dict)
    feed_figures: dict[tuple[Span, int], FeedFigure] = field(default_factory=dict)
    requests: dict[int, KeptRequest] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    """The last number given to a failure or a request; none is given twice."""

    def next_number(self, numbered_kind: str) -> int:
        """Return a number that no failure or request has had before."""
        self.numbers[numbered_kind] = self.numbers.get(numbered_kind, 0) + 1
        return self.numbers[numbered_kind]

    def end(self) -> int:
        """Return the highest `event_seq`, 0 for an empty journal."""
        return next(reversed(self.journal), 0)

    def lowest(self) -> int:
        """Return the lowest `event_seq` that is kept; 1 for an empty journal."""
        return next(iter(self.journal), 1)

    def forget_attempts(self, *, plugin_name: str, event_seq: int) -> None:
        """Forget attempts and deaths of a plugin's calls for an event."""
        tables_by_call: tuple[dict[tuple[CallKey, int], Any], ...] = (self.attempts, self.deaths)
        for call_table in tables_by_call:
            for call_of_event in [
                call_of_event
                for call_of_event in call_table
                if call_of_event[0].plugin == plugin_name and call_of_event[1] == event_seq
            ]:
                del call_table[call_of_event]
