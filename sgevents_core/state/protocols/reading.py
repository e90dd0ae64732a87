"""Reading a state: journal and ledger, dead letters, past events. No reader needs a writer."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Protocol

from sgevents_core.choices import OrderBy
from sgevents_core.scripts import Scripts
from sgevents_core.state.attention import FeedTrouble
from sgevents_core.state.batches import BatchedEvent, WaitingBatch
from sgevents_core.state.call_figures import CallFigure, FeedFigure, Span
from sgevents_core.state.deferred import DeferredCall, DeferredCount, DeferredEvent, DeferredKey
from sgevents_core.state.done_parts import DonePart
from sgevents_core.state.entries import Entry, IsWanted, JournalStart
from sgevents_core.state.event_choice import EventChoice
from sgevents_core.state.failures import Failure, RecordedFailure
from sgevents_core.state.feed_values import FeedRecord, LeftOut, SetAside
from sgevents_core.state.imported import ImportedPosition
from sgevents_core.state.keys import CallKey
from sgevents_core.state.letters import FailureGroup, Letter, LetterChoice, LetterGroup
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.register import NotedLane
from sgevents_core.state.requests import ReplayEvent
from sgevents_core.state.steps import CallDeaths
from sgevents_core.state.strand_places import StrandPlaces


class Connection(Protocol):
    """A connection of one thread at a time; every method raises StateError if it fails."""

    def close(self) -> None:
        """Close the connection."""


class Reader(Connection, Protocol):
    """A reader of the journal and the ledger; needs no writer."""

    @property
    def is_ready(self) -> bool:
        """Whether the state can be read yet; False while another process creates it."""

    def end(self) -> int:
        """Return the highest `seq`, 0 for an empty journal."""

    def lowest(self) -> int:
        """Return the lowest `seq` that is kept; the next one for an empty journal."""

    def read(self, after: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries with a `seq` above `after`, ascending."""

    def created_after(self, seq: int) -> int | None:
        """Return `created_at` of the first entry above `seq`; None if there is none."""

    def seq_before_event(self, event_id: int) -> int:
        """Return the `seq` below the first entry whose event id reaches a value."""

    def seq_before_time(self, created_since: int) -> int:
        """Return the `seq` below the first entry created at a time or later.

        Args:
            created_since: The time, in seconds since 1970.
        """

    def event_types(self) -> list[str]:
        """Return the event types of the last entries, each once."""

    def load_feed(self) -> FeedRecord | None:
        """Return the feed's state, None before the first start."""

    def feed_trouble(self) -> FeedTrouble:
        """Return the feed's recorded trouble, without reading the missing ranges."""

    def set_aside_events(self) -> list[SetAside]:
        """Return the events that are set aside, oldest first."""

    def passed_over_ids(self, feed_era: int) -> list[int]:
        """Return the ids of the events of an era whose entries were passed over."""

    def scripts(self) -> dict[int, str]:
        """Return the known names of the site's scripts, by id."""

    def read_wanted(self, after: int, limit: int, is_wanted: IsWanted) -> tuple[list[Entry], int]:
        """Return those of the next `limit` entries that are wanted, and the last `seq` of all.

        It may return others as well, and does so if their damage is seen.

        Args:
            after: The `seq` before them.
            limit: The most entries to look at.
            is_wanted: Says which entries are wanted.
        """

    def read_strand(
        self, strand_number: int, order_by: OrderBy, *, after: int, until: int, limit: int
    ) -> list[Entry]:
        """Return up to `limit` entries of one strand with a `seq` above `after`, ascending.

        Args:
            strand_number: The strand.
            order_by: The key that divides the events into strands.
            after: The `seq` before them.
            until: The highest `seq`.
            limit: The most entries to return.
        """

    def lane_progress(self, lane_name: str) -> Progress | None:
        """Return a lane's last recorded position; None for a lane never seen.

        Of a divided lane it is the lowest place; see `lane_places`.
        """

    def lane_places(self, lane_name: str) -> StrandPlaces | None:
        """Return the recorded places of a lane's strands; None for a lane that is not divided."""

    def noted_lane(self, lane_name: str) -> NotedLane:
        """Return what a lane has noted in its register; empty if that cannot be trusted.

        It may say more than the ledger, and says nothing that the ledger does not outweigh.
        """

    def plugins(self) -> dict[str, PluginRecord]:
        """Return the records of all plugins ever enabled, by name."""

    def imported_positions(self) -> dict[str, ImportedPosition]:
        """Return the positions of plugins in the daemon before this one, by name."""

    def attempts(self) -> dict[tuple[CallKey, int], int]:
        """Return `(callback, seq)` -> attempts, for all calls that are not settled."""

    def batches(self) -> list[WaitingBatch]:
        """Return the batches whose call has not ended for good, the oldest first."""

    def batch(self, plugin_name: str, callback_name: str, batch_number: int) -> list[BatchedEvent]:
        """Return the events of a waiting batch, in order."""

    def batches_of_event(self, seq: int) -> list[BatchedEvent]:
        """Return an event as it is in batches and in dead letters of batches."""

    def deaths(self) -> list[CallDeaths]:
        """Return the unsettled calls in which the process died."""

    def store(self, plugin_name: str) -> dict[str, Any]:
        """Return the plugin's store as last committed."""

    def dead_letters(self, plugin_name: str | None = None) -> list[Failure]:
        """Return the dead letters, oldest first."""

    def dead_letter_counts(self) -> dict[str, tuple[int, str]]:
        """Return, for each plugin with dead letters, their number and the newest error."""

    def deferred_calls(self, plugin_name: str | None = None) -> list[DeferredCall]:
        """Return the calls that are put off, the next one first.

        Args:
            plugin_name: Only those of this plugin.
        """

    def deferred_event(self, deferred_key: DeferredKey) -> DeferredEvent | None:
        """Return a call that is put off, with its event; None if it is not."""

    def deferred_counts(self) -> dict[str, DeferredCount]:
        """Return, for each plugin that has put off calls, their number and the next due time."""

    def is_part_done(self, done_part: DonePart) -> bool:
        """Return whether a part of a callback's work for an event is done."""

    def lowest_deferred(self, plugin_names: Collection[str]) -> int | None:
        """Return the lowest `seq` among the calls that plugins have put off; None without any."""


class Letters(Connection, Protocol):
    """The dead letters, for people and for retries; only reads."""

    def get(self, letter_number: int) -> Letter | None:
        """Return the dead letter with this number, even if retried or dismissed; None if none."""

    def find(self, plugin_name: str | None = None, event_id: int | None = None) -> list[Letter]:
        """Return the dead letters, oldest first.

        Args:
            plugin_name: Only those of this plugin.
            event_id: Only those for this event.
        """

    def listed(
        self, letter_choice: LetterChoice, after_number: int = 0, letter_limit: int = -1
    ) -> Iterator[Letter]:
        """Yield dead letters, oldest first, without events and tracebacks; few are held in memory.

        Args:
            letter_choice: The letters to list.
            after_number: Only those with a higher number.
            letter_limit: The most letters to list; -1 for all.
        """

    def count(self, letter_choice: LetterChoice, after_number: int = 0) -> int:
        """Count the chosen dead letters whose number is above `after_number`."""

    def groups(self, letter_choice: LetterChoice) -> list[LetterGroup]:
        """Return dead letters grouped by plugin, callback and error, the largest group first.

        Errors of one kind are grouped together; see `letters.error_kind`.
        """

    def failure_groups(self, plugin_name: str | None = None) -> list[FailureGroup]:
        """Return the failures that are no dead letters, grouped by cause, the newest first.

        Args:
            plugin_name: Only those of this plugin.
        """

    def of_call(
        self, plugin_name: str, callback_name: str, seq: int, event_id: int
    ) -> Letter | None:
        """Return a callback's dead letter for an event; None if it has none."""

    def events_of(self, letter_number: int) -> list[BatchedEvent]:
        """Return the events of a dead letter of a batch, in order; none for any other letter."""


class Past(Connection, Protocol):
    """Past events and their records, for replays and for people; only reads."""

    def event(self, event_id: int) -> ReplayEvent | None:
        """Return the newest event with an id; None if the journal has none."""

    def between(self, era: int, first: int, last: int) -> list[ReplayEvent]:
        """Return the events of an era with an id from `first` to `last`, in the order seen."""

    def since(self, era: int, created_since: int) -> list[ReplayEvent]:
        """Return the events of an era created since a time in seconds since 1970."""

    def chosen(
        self, choice: EventChoice, scripts: Scripts, *, above: int, below: int, limit: int
    ) -> list[Entry]:
        """Return the chosen entries between two places of the journal, the newest first.

        Args:
            choice: The events to return.
            scripts: The names of the site's scripts.
            above: Only entries with a higher `seq`.
            below: Only entries with a lower `seq`; the work grows with the distance between the
                two.
            limit: The most entries to return.
        """

    def kept_from(self, era: int) -> JournalStart | None:
        """Return the oldest event of an era from which on the journal is complete."""

    def left_out(
        self, left_out_kind: LeftOut, era: int, reaching: int = 0
    ) -> list[tuple[int, int]]:
        """Return the ranges of ids, first and last, that were left out in an era.

        Args:
            left_out_kind: How they were left out.
            era: The era.
            reaching: Only ranges whose last id is this one or a higher one.
        """

    def is_left_out(self, left_out_kind: LeftOut, era: int, event_id: int) -> bool:
        """Return whether an id was left out in an era."""

    def call_figures(self, span: Span, since: float) -> list[CallFigure]:
        """Return the figures of calls in spans that began at a time or later, the oldest first."""

    def feed_figures(self, span: Span, since: float) -> list[FeedFigure]:
        """Return the figures of the feed in spans that began at a time or later."""

    def first_cursors(self) -> dict[str, int]:
        """Return a mapping from plugin to the `seq` of the last event before it began."""

    def failures(self, event_id: int) -> list[RecordedFailure]:
        """Return all recorded failures of an event, oldest first."""

    def deferred_of(self, event_id: int) -> list[DeferredCall]:
        """Return the calls for an event that are put off, the next one first."""

    def ignored_reasons(self, seq: int) -> dict[CallKey, str]:
        """Return why callbacks did nothing with an event, for those that say so."""
