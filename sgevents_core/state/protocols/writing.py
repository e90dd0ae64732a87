"""Writing a state: the feed, the lanes, people's requests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from threading import Event
from typing import Any, NamedTuple, Protocol

from sgevents_core.state.batches import BatchedEvent
from sgevents_core.state.call_figures import MinuteFigures
from sgevents_core.state.entries import MOST_ENTRIES_PRUNED, Entry, Row, TakenRow
from sgevents_core.state.feed_values import FeedChange, SetAside
from sgevents_core.state.imported import ImportedPosition
from sgevents_core.state.lane_trouble import LaneTrouble
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols.reading import Connection, Reader
from sgevents_core.state.register import Register
from sgevents_core.state.requests import (
    ReplayEvent,
    Request,
    RequestAnswer,
    RequestDraft,
    RequestProgress,
    RequestStep,
    ShownRequest,
)
from sgevents_core.state.steps import Step
from sgevents_core.state.strand_places import StrandPlaces


class FeedWriter(Reader, Protocol):
    """A writer of the journal and the feed's record; for the feed's thread."""

    def take_feed(self) -> None:
        """Take over the feed: whoever had it is refused, and all that it wrote can be read.

        Where nobody else can have it, this does nothing.
        """

    def append(
        self, expected_seq: int, appended_rows: Sequence[TakenRow], change: FeedChange
    ) -> int:
        """Append rows and the feed's state atomically, and return the journal's new end.

        Args:
            expected_seq: The journal's end as the writer knows it.
            appended_rows: The rows, in journal order.
            change: The feed's state after them.

        Raises:
            StaleWriter: Another writer has appended since; nothing was written.
        """

    def begin_era(self, expected_seq: int, change: FeedChange, step: RequestStep) -> None:
        """Begin a new era of the feed, as a person requested: new rows belong to another log.

        Ids missing in the old log are given up and parked rows dropped; both are kept for the
        record.

        Args:
            expected_seq: The journal's end as the writer knows it.
            change: The feed's state in the new era.
            step: The request, answered.

        Raises:
            StaleWriter: Another writer has appended since; nothing was written.
        """

    def decide(self, expected_seq: int, change: FeedChange, step: RequestStep) -> None:
        """Write a person's decision about ids of the feed and the request's answer, atomically.

        Args:
            expected_seq: The journal's end as the writer knows it.
            change: The feed's state after it.
            step: The request, answered.

        Raises:
            StaleWriter: Another writer has appended since; nothing was written.
        """

    def answer(self, step: RequestStep) -> None:
        """Answer a request that changes no other record."""

    def set_aside(
        self,
        event_name: int | str,
        reason_text: str,
        record_place: str,
        set_aside_at: float,
        feed_era: int = 1,
    ) -> bool:
        """Set an event aside by name; return whether it is newly set aside. See `SetAside`."""

    def forget_aside(self, events_aside: Sequence[SetAside], step: RequestStep) -> None:
        """Clear events that are set aside, as a person asked, and write the answer, atomically."""

    def mend(self, feed_era: int, mended_rows: Iterable[Row]) -> None:
        """Replace entries that were passed over by rows read again from the site.

        Each plugin that still needs such an event gets it by a replay.

        Args:
            feed_era: The era of the feed.
            mended_rows: The rows.
        """

    def keep_scripts(
        self, new_names: Mapping[int, str], ids_by_name: Mapping[str, Collection[int]]
    ) -> None:
        """Record the names of scripts.

        Args:
            new_names: Id -> name.
            ids_by_name: Name -> ids of all scripts that sign in with it; any others were renamed.
        """

    def prune(
        self, created_before: int, first_kept_seq: int, entry_limit: int = MOST_ENTRIES_PRUNED
    ) -> int:
        """Remove the oldest entries that are old enough and no longer needed.

        Their failures are removed with them, except dead letters.

        Args:
            created_before: Remove entries created before this time, in seconds since 1970, and all
                below them.
            first_kept_seq: Entries with this `seq` or above stay, and so does the last one.
            entry_limit: The most entries to remove at once.

        Returns:
            How many were removed.
        """


class RecordedLane(NamedTuple):
    """The records of a lane.

    Args:
        progress: Its progress; see `Reader.lane_progress`.
        places: The places of its strands; None if it is not divided.
        plugins: The records of its plugins.
    """

    progress: Progress
    places: StrandPlaces | None
    plugins: Sequence[PluginRecord]


class LaneWriter(Reader, Protocol):
    """A writer of the lanes' ledger; each step names its lane and the lane's fence."""

    def take_lane(self, lane_name: str) -> int:
        """Return a new fence for the lane; older ones are refused from now on."""

    def record(self, lane_name: str, fence: int, step: Step) -> int:
        """Write one step atomically, and return the number of its failure, 0 if it has none.

        Raises:
            StaleWriter: `fence` is not the lane's newest; nothing was written.
        """

    def advance(
        self, lane_name: str, fence: int, step_from_record: Callable[[RecordedLane], Step]
    ) -> None:
        """Advance a lane and its plugins from their recorded positions, atomically.

        Args:
            lane_name: The lane.
            fence: The lane's newest fence.
            step_from_record: Returns the step to write, given the lane's records.

        Raises:
            StaleWriter: `fence` is not the lane's newest; nothing was written.
        """

    def share_register(
        self,
        lane_name: str,
        fence: int,
        register: Register,
        *,
        stopping: Event,
        trouble: LaneTrouble,
    ) -> None:
        """Let whoever takes the lane over know what it notes in a new register.

        A callback is called only once that is known there. Where no other host can take the lane
        over, this does nothing.

        Args:
            lane_name: The lane.
            fence: The lane's newest fence.
            register: The register, in which nothing is noted yet; its slots change. `begun` of
                them raises StaleWriter once another host has taken the lane over.
            stopping: Set when the lane must end: `begun` then raises StateError if its word cannot
                be stored, and else it waits until it is.
            trouble: Takes notice of words that cannot be stored.

        Raises:
            StaleWriter: `fence` is not the lane's newest.
        """

    def pass_over(self, entry: Entry, plugin_names: Collection[str], reason_text: str) -> bool:
        """Set aside an entry that cannot be read, and record the plugins that still need its event.

        Returns:
            Whether it is newly set aside.
        """

    def record_first_cursors(self) -> None:
        """Record where each plugin began; it never gets earlier events."""

    def sync(self) -> None:
        """Flush to disk everything committed by any connection."""


class Writer(FeedWriter, LaneWriter, Protocol):
    """A writer of all records; for the process with the state's lock, while it starts and ends."""

    def import_positions(
        self, change: FeedChange, positions: Mapping[str, ImportedPosition], lane_name: str
    ) -> bool:
        """Begin a state where another daemon ended, atomically.

        Args:
            change: The feed's state there; a feed that has read further, and from there on,
                continues where it is.
            positions: Each plugin's position, by name; each gets a record at the beginning of the
                journal.
            lane_name: The lane of these records.

        Returns:
            Whether the state began there. False, with the state unchanged, if a plugin may have
            been called already or the feed lacks events that a plugin needs. Earlier imports are
            replaced.
        """

    def record_figures(self, figures: MinuteFigures, current_time: float) -> None:
        """Add figures to those recorded for the same minutes and hours; forget those too old.

        Args:
            figures: The figures of minutes that are over.
            current_time: Now, in seconds since 1970.
        """

    def upgrade_records(self, limit: int = 1_000) -> int:
        """Write records of an older version in the newest form, up to `limit` at once.

        Returns:
            How many were processed; 0 if none are left.
        """


class Requests(Connection, Protocol):
    """People's requests, each kept until it is carried out; made by any process."""

    def ask(
        self,
        request_kind: str,
        plugin_name: str,
        request_detail: Mapping[str, Any],
        asked_by: str,
        events: Iterable[ReplayEvent] = (),
    ) -> int:
        """Record a request and return its number.

        Args:
            request_kind: The kind of request.
            plugin_name: The plugin concerned; empty for the feed.
            request_detail: Further values, as JSON types.
            asked_by: The person who asks, for people.
            events: The events to replay, in order.
        """

    def ask_all(self, request_drafts: Iterable[RequestDraft], asked_by: str) -> list[int]:
        """Record several requests atomically, `(kind, plugin, detail, events)` each; see `ask`."""

    def waiting(self, above_number: int = 0, plugin_name: str | None = None) -> list[Request]:
        """Return the unanswered requests, in the order they were made.

        Args:
            above_number: Only those with a higher number.
            plugin_name: Only those about this plugin; None for all.
        """

    def get(self, request_number: int) -> Request | None:
        """Return a request as it is now; None if it is unknown or answered."""

    def unanswered(self, request_numbers: Iterable[int]) -> list[int]:
        """Return those of the given requests that are unanswered, in their order."""

    def answer_of(self, request_number: int) -> RequestAnswer | None:
        """Return the answer to a request; None while it is unanswered."""

    def list_latest(self, request_limit: int) -> list[ShownRequest]:
        """Return the last requests, answered or not, the newest last."""

    def progress_of_kinds(self, kinds: Collection[str], since: float) -> list[RequestProgress]:
        """Return how many requests of some kinds wait, and how many were answered since a time.

        Only the last requests are counted, by kind and plugin.
        """

    def begin(self, request_number: int) -> None:
        """Record that a plugin is about to be called: the process may not survive it."""

    def answer(self, request_number: int, request_answer: RequestAnswer) -> None:
        """Answer a request that changes no other record."""

    def replay_event(self, request_number: int, event_index: int) -> ReplayEvent | None:
        """Return the event at a position of a replay; None after the last."""

    def count_batch(
        self, request_number: int, callback_name: str, key: str
    ) -> tuple[int, int] | None:
        """Return the number of a replay's batch of a key, and that of its events; None if none."""

    def replay_batch(
        self,
        request_number: int,
        callback_name: str | None = None,
        batch_number: int | None = None,
    ) -> list[BatchedEvent]:
        """Return the events of a batch that a replay has collected, in order; none if it is called.

        Args:
            request_number: The replay.
            callback_name: The batch's callback; by default, that of the first batch.
            batch_number: The batch's number; by default, the lowest.
        """

    def forget(self, answered_before: float) -> None:
        """Remove requests that were answered before a time, in seconds since 1970."""
