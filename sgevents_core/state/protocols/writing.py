"""Writing a state: the feed, the lanes, people's requests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sgevents_core.state.entries import MOST_PRUNED, Entry, LateRow, Row
from sgevents_core.state.feed_values import FeedChange, SetAside
from sgevents_core.state.imported import ImportedPosition
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols.reading import Connection, Reader
from sgevents_core.state.requests import (
    ReplayEvent,
    Request,
    RequestAnswer,
    RequestDraft,
    RequestStep,
    ShownRequest,
)
from sgevents_core.state.steps import Step
from sgevents_core.state.strand_places import StrandPlaces


class FeedWriter(Reader, Protocol):
    """Writes the journal and the feed's record; for the feed's thread."""

    def append(self, expected_seq: int, rows: Sequence[LateRow], change: FeedChange) -> int:
        """Append rows and the feed's state atomically, and return the journal's new end.

        Args:
            expected_seq: The journal's end as the writer knows it.
            rows: The rows, in journal order.
            change: The feed's state after them.

        Raises:
            StaleWriter: Another writer has appended since; nothing was written.
        """

    def begin_era(self, expected_seq: int, change: FeedChange, step: RequestStep) -> None:
        """Begin a new era of the feed, as a person asked: new rows belong to another log.

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
        """Answer a request that needs no other record."""

    def set_aside(self, event: int | str, reason: str, where: str, at: float, era: int = 1) -> bool:
        """Set an event aside by name; return whether it is newly set aside. See `SetAside`."""

    def forget_aside(self, events: Sequence[SetAside], step: RequestStep) -> None:
        """Clear events that are set aside, as a person asked, and write the answer, atomically."""

    def mend(self, era: int, rows: Iterable[Row]) -> None:
        """Replace entries that were passed over by rows read again from the site.

        Each plugin that still needs such an event gets it by a replay.

        Args:
            era: The era of the feed.
            rows: The rows.
        """

    def keep_scripts(
        self, names: Mapping[int, str], ids_by_name: Mapping[str, Collection[int]]
    ) -> None:
        """Record the names of scripts.

        Args:
            names: Id -> name.
            ids_by_name: Name -> ids of all scripts that sign in with it; any others were renamed.
        """

    def prune(self, before: int, keep_from: int, limit: int = MOST_PRUNED) -> int:
        """Remove the oldest entries that are old enough and no longer needed.

        Their failures are removed with them, except dead letters.

        Args:
            before: Remove entries created before this time, in seconds since 1970, and all below
                them.
            keep_from: Entries with this `seq` or above stay, and so does the last one.
            limit: The most entries to remove at once.

        Returns:
            How many were removed.
        """


class RecordedLane(NamedTuple):
    """What is recorded of a lane.

    Args:
        progress: Its progress; see `Reader.lane_progress`.
        places: The places of its strands; None if it is not divided.
        plugins: The records of its plugins.
    """

    progress: Progress
    places: StrandPlaces | None
    plugins: Sequence[PluginRecord]


class LaneWriter(Reader, Protocol):
    """Writes the ledger of lanes; each step names its lane and the lane's fence."""

    def take_lane(self, lane: str) -> int:
        """Return a new fence for the lane; older ones are refused from now on."""

    def record(self, lane: str, fence: int, step: Step) -> int:
        """Write one step atomically, and return the number of its failure, 0 if it has none.

        Raises:
            StaleWriter: `fence` is not the lane's newest; nothing was written.
        """

    def advance(self, lane: str, fence: int, advanced: Callable[[RecordedLane], Step]) -> None:
        """Advance a lane and its plugins from their recorded positions, atomically.

        Args:
            lane: The lane.
            fence: The lane's newest fence.
            advanced: Returns the step to write, from what is recorded of the lane.

        Raises:
            StaleWriter: `fence` is not the lane's newest; nothing was written.
        """

    def pass_over(self, entry: Entry, plugins: Collection[str], reason: str) -> bool:
        """Set aside an entry that cannot be read, and record the plugins that still need its event.

        Returns:
            Whether it is newly set aside.
        """

    def record_first_cursors(self) -> None:
        """Record where each plugin began: earlier events were never meant for it."""

    def sync(self) -> None:
        """Flush to disk everything committed by any connection."""


class Writer(FeedWriter, LaneWriter, Protocol):
    """Writes everything; for the process that holds the state's lock, while it starts and ends."""

    def import_positions(
        self, change: FeedChange, positions: Mapping[str, ImportedPosition], lane: str
    ) -> bool:
        """Begin a state where another daemon ended, atomically.

        Args:
            change: The feed's state there.
            positions: Where each plugin stood, by name; each gets a record at the beginning of the
                journal.
            lane: The lane of these records.

        Returns:
            Whether it began; False if the state had begun before, and is unchanged.
        """

    def share_tracebacks(self, limit: int = 1_000) -> int:
        """Let failures written by an older version share their tracebacks, up to `limit` at once.

        Returns:
            How many were processed; 0 if none are left.
        """


class Requests(Connection, Protocol):
    """People's requests, each kept until it is carried out; made by any process."""

    def ask(
        self,
        kind: str,
        plugin: str,
        detail: Mapping[str, Any],
        asked_by: str,
        events: Iterable[ReplayEvent] = (),
    ) -> int:
        """Record a request and return its number.

        Args:
            kind: What is asked for.
            plugin: The plugin concerned; empty for the feed.
            detail: Further values, as JSON types.
            asked_by: The person who asks, for people.
            events: The events to replay, in order.
        """

    def ask_all(self, asked: Iterable[RequestDraft], asked_by: str) -> list[int]:
        """Record several requests atomically, `(kind, plugin, detail, events)` each; see `ask`."""

    def waiting(self, above: int = 0, plugin: str | None = None) -> list[Request]:
        """Return the unanswered requests, in the order they were made.

        Args:
            above: Only those with a higher number.
            plugin: Only those about this plugin; None for all.
        """

    def get(self, number: int) -> Request | None:
        """Return a request as it is now; None if it is unknown or answered."""

    def unanswered(self, numbers: Iterable[int]) -> list[int]:
        """Return those of the given requests that are unanswered, in their order."""

    def answer_of(self, number: int) -> RequestAnswer | None:
        """Return the answer to a request; None while it is unanswered."""

    def list_latest(self, count: int) -> list[ShownRequest]:
        """Return the last requests, answered or not, the newest last."""

    def begin(self, number: int) -> None:
        """Record that a plugin is about to be called: the process may not survive it."""

    def answer(self, number: int, answer: RequestAnswer) -> None:
        """Answer a request that needs no other record."""

    def replay_event(self, number: int, index: int) -> ReplayEvent | None:
        """Return the event at a position of a replay; None after the last."""

    def forget(self, before: float) -> None:
        """Remove requests that were answered before a time, in seconds since 1970."""
