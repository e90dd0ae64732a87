"""The state as protocols; a home of it is a room beside this module, and `opening` chooses it.

They fit a distributed log: what must be written together is one call about one key, which a stale
writer is refused. Reading is apart from writing, so that a home may read from a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from sgevents_core.choices import OrderBy
from sgevents_core.state.entries import MOST_PRUNED, Entry, JournalStart, LateRow, Row
from sgevents_core.state.failures import Failure, RecordedFailure
from sgevents_core.state.feed_values import FeedChange, FeedRecord, LeftOut, SetAside
from sgevents_core.state.inspection import Inspection, LogDamage
from sgevents_core.state.keys import CallKey
from sgevents_core.state.letters import Letter, LetterChoice, LetterGroup
from sgevents_core.state.needs import FeedTrouble
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.requests import (
    ReplayEvent,
    Request,
    RequestAnswer,
    RequestDraft,
    RequestStep,
    ShownRequest,
)
from sgevents_core.state.steps import CallDeaths, Step
from sgevents_core.state.strand_places import StrandPlaces


class Connection(Protocol):
    """A connection of one thread at a time; every method raises StateError if it fails."""

    def close(self) -> None:
        """Close the connection."""


class Reader(Connection, Protocol):
    """Reads the journal and the ledger; needs no writer."""

    @property
    def is_ready(self) -> bool:
        """Whether it can be read yet; not while another process creates it."""

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

    def seq_before_time(self, created: int) -> int:
        """Return the `seq` below the first entry created at a time or later.

        Args:
            created: The time, in seconds since 1970.
        """

    def event_types(self) -> list[str]:
        """Return the event types of the last entries, each once."""

    def load_feed(self) -> FeedRecord | None:
        """Return the feed's state, None before the first start."""

    def feed_trouble(self) -> FeedTrouble:
        """Return the feed's recorded trouble, without reading the missing ranges."""

    def set_aside_events(self) -> list[SetAside]:
        """Return the events that are set aside, oldest first."""

    def passed_over_ids(self, era: int) -> list[int]:
        """Return the ids of the events of an era whose entries were passed over."""

    def scripts(self) -> dict[int, str]:
        """Return the known names of the site's scripts, by id."""

    def read_strand(
        self, strand: int, order_by: OrderBy, *, after: int, until: int, limit: int
    ) -> list[Entry]:
        """Return up to `limit` entries of one strand with a `seq` above `after`, ascending.

        Args:
            strand: The strand.
            order_by: What divides the events into strands.
            after: The `seq` before them.
            until: The highest `seq`.
            limit: How many at most.
        """

    def lane_progress(self, lane: str) -> Progress | None:
        """Return a lane's last recorded position; None for a lane never seen.

        Of a divided lane it is the lowest place; see `lane_places`.
        """

    def lane_places(self, lane: str) -> StrandPlaces | None:
        """Return the recorded places of a lane's strands; None for a lane that is not divided."""

    def plugins(self) -> dict[str, PluginRecord]:
        """Return the records of all plugins ever enabled, by name."""

    def attempts(self) -> dict[tuple[CallKey, int], int]:
        """Return `(callback, seq)` -> attempts, for all calls that are not settled."""

    def deaths(self) -> list[CallDeaths]:
        """Return the unsettled calls in which the process died."""

    def store(self, plugin: str) -> dict[str, Any]:
        """Return the plugin's store as last committed."""

    def dead_letters(self, plugin: str | None = None) -> list[Failure]:
        """Return the dead letters, oldest first."""

    def dead_letter_counts(self) -> dict[str, tuple[int, str]]:
        """Return, for each plugin with dead letters, their number and the newest error."""


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


class Letters(Connection, Protocol):
    """The dead letters, for people and for retries; only reads."""

    def get(self, number: int) -> Letter | None:
        """Return the dead letter with this number, even if retried or dismissed; None if none."""

    def find(self, plugin: str | None = None, event_id: int | None = None) -> list[Letter]:
        """Return the dead letters, oldest first.

        Args:
            plugin: Only those of this plugin.
            event_id: Only those for this event.
        """

    def listed(self, chosen: LetterChoice, after: int = 0, limit: int = -1) -> Iterator[Letter]:
        """Yield dead letters, oldest first, without events and tracebacks; few are held in memory.

        Args:
            chosen: Which.
            after: Only those with a higher number.
            limit: At most this many; -1 for all.
        """

    def count(self, chosen: LetterChoice, after: int = 0) -> int:
        """Count the chosen dead letters whose number is above `after`."""

    def groups(self, chosen: LetterChoice) -> list[LetterGroup]:
        """Return dead letters grouped by plugin, callback and error, the largest group first.

        Errors that differ only in numbers, such as ids, are grouped together.
        """

    def of_call(self, plugin: str, callback: str, seq: int, event_id: int) -> Letter | None:
        """Return a callback's dead letter for an event; None if it has none."""


class Past(Connection, Protocol):
    """Past events and their records, for replays and for people; only reads."""

    def event(self, event_id: int) -> ReplayEvent | None:
        """Return the newest event with an id; None if the journal has none."""

    def between(self, era: int, first: int, last: int) -> list[ReplayEvent]:
        """Return the events of an era with an id from `first` to `last`, in the order seen."""

    def since(self, era: int, at: int) -> list[ReplayEvent]:
        """Return the events of an era created since a time in seconds since 1970."""

    def kept_from(self, era: int) -> JournalStart | None:
        """Return the oldest event of an era from which the journal is complete."""

    def left_out(self, kind: LeftOut, era: int) -> list[tuple[int, int]]:
        """Return the ranges of ids, first and last, that were left out in an era."""

    def is_left_out(self, kind: LeftOut, era: int, event_id: int) -> bool:
        """Return whether an id was left out in an era."""

    def first_cursors(self) -> dict[str, int]:
        """Return plugin -> the `seq` of the last event before the plugin began."""

    def failures(self, event_id: int) -> list[RecordedFailure]:
        """Return all recorded failures of an event, oldest first."""


class Presence(Protocol):
    """Whether a state in use is still the one that was opened; watched from one thread."""

    def look(self) -> None:
        """Check that the state still exists and is readable.

        Raises:
            StateGone: One of its files was deleted or replaced.
            StateDamaged: It can no longer be read.
        """

    def close(self) -> None:
        """End the watch; only when this process has no open connection."""


class State(Protocol):
    """One state. It opens nothing by itself; each thread opens connections of its own."""

    @property
    def folder(self) -> Path:
        """The folder of this host's files: the lock, the registers, what runs."""

    def is_made(self) -> bool:
        """Return whether the state exists.

        Raises:
            StateError: Its folder cannot be accessed.
        """

    def reader(self) -> Reader:
        """Open a connection that reads."""

    def feed_writer(self) -> FeedWriter:
        """Open the feed's connection; creates or upgrades the state if necessary."""

    def lane_writer(self) -> LaneWriter:
        """Open the connection of a lane; creates or upgrades the state if necessary."""

    def writer(self) -> Writer:
        """Open a connection for all that a start writes; see `feed_writer`."""

    def requests(self) -> Requests:
        """Open the requests; creates or upgrades the state if necessary."""

    def letters(self) -> Letters:
        """Open the dead letters."""

    def past(self) -> Past:
        """Open the past events."""

    def presence(self) -> Presence:
        """Watch that the state still exists."""


class Storage(Protocol):
    """What a state keeps on this host's disk, for those who look after it."""

    @property
    def folder(self) -> Path:
        """The state's folder."""

    @property
    def files(self) -> Sequence[str]:
        """Names of the files that a start opens for writing, besides the lock."""

    @property
    def repair(self) -> str:
        """What to do about damage, for people."""

    def is_outdated(self) -> bool:
        """Return whether an older version wrote it and the next writer will upgrade it.

        Raises:
            StateError: It cannot be read.
        """

    def inspection(self) -> Inspection:
        """Open an inspection of the state; see `sgevents state check`."""

    def log_damage(self) -> LogDamage | None:
        """Return where a log that was left behind is damaged; None if it is intact.

        Raises:
            OSError: It cannot be read.
        """

    def back_up(self, target: Path) -> int:
        """Copy the state as it is now to a file, and return its size in bytes."""
