"""The journal and the ledger as protocols and values; storage is elsewhere.

The journal is the append-only log of the events seen, the ledger the record of how they were
handled. Both fit a distributed log that has no transaction over several keys: a step is one call.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from sgevents_core.state.keys import CallKey
from sgevents_core.state.progress import BEGINNING, Progress

if TYPE_CHECKING:
    from sgevents_core.state.sqlite.aside import SetAside
    from sgevents_core.state.steps import Died, RequestStep


class Row(NamedTuple):
    """One row of the site's event log, as read.

    Args:
        id: The event's id on the site.
        at: Its `created_at`, in seconds since 1970 on the site's clock.
        event_type: Its type, for reading the journal without decoding bodies.
        body: The whole row as JSON.
        dated: Whether the row has a valid time of its own; if not, `at` is its neighbour's.
        strands: Its strands, as `strands.strands_of` packs them; None to find them from the body.
    """

    id: int
    at: int
    event_type: str
    body: bytes
    dated: bool = True
    strands: int | None = None


class Entry(NamedTuple):
    """One event in the journal.

    Args:
        seq: Its place in the journal.
        event_id: Its id on the site.
        event_type: Its type.
        created: Its `created_at`, in seconds since 1970.
        late: Whether a row with a higher id was appended before it.
        body: The whole row as JSON.
        era: The feed's era when it was appended.
        whole: Whether its checksum is right; None if an older version wrote it without one.
        strands: Its strands, as `strands.strands_of` packs them; None if an older version wrote it.
    """

    seq: int
    event_id: int
    event_type: str
    created: int
    late: bool
    body: bytes
    era: int = 1
    whole: bool | None = None
    strands: int | None = None


class Missing(NamedTuple):
    """A range of ids not seen yet, both ends included.

    Args:
        first: Lowest id.
        last: Highest id.
        below_at: `created_at` of the visible row above it: an upper bound of when the ids were
            assigned, in seconds since 1970 on the site's clock.
        noticed: When it was first noticed, in seconds of observed time.
        hot: Whether the feed still waits for it; if not, only audits look for it.
    """

    first: int
    last: int
    below_at: int
    noticed: float
    hot: bool


class Parked(NamedTuple):
    """A range of ids whose rows arrived late by the thousand and await a person's decision.

    Args:
        first: Lowest id.
        last: Highest id.
        number: The number of its parking; ranges found by the same audit share it.
        at: When they were parked, in seconds since 1970 on the site's clock.
    """

    first: int
    last: int
    number: int
    at: int


@dataclass(slots=True)
class FeedState:
    """The feed's position in the site's event log; everything except the ranges.

    Args:
        era: Counts the resets of the feed; ids are unique within one era.
        floor: Lowest id the feed is responsible for.
        frontier: Highest id taken.
        anchor_id: Highest known id that was visible at the last look; None before the first row.
        anchor_at: Its `created_at`, in seconds since 1970 on the site's clock.
        observed: Seconds during which the feed ran and the site answered.
        marks: `(created_at, id)` pairs, ascending, from which the age of an id is estimated.
        recent: `(id, created_at)` of the last rows in id order, to recognise the log.
        audits: Name of an audit -> observed second at which it last succeeded.
        proved_id: The id up to which an audit has shown the journal to be complete.
        proved_at: The site's clock at that moment, in seconds since 1970.
        answered: When the site last answered, in seconds since 1970 on the host's clock; only shown
            to people.
        site: The site's host name; a state belongs to one site.
        rewound: Why nothing is appended, if the log went backwards; otherwise empty.
        parkings: How often rows were parked.
    """

    era: int = 1
    floor: int = 0
    frontier: int = 0
    anchor_id: int | None = None
    anchor_at: int = 0
    observed: float = 0.0
    marks: list[tuple[int, int]] = field(default_factory=list)
    recent: list[tuple[int, int]] = field(default_factory=list)
    audits: dict[str, float] = field(default_factory=dict)
    proved_id: int = 0
    proved_at: int = 0
    answered: float = 0.0
    site: str = ""
    rewound: str = ""
    parkings: int = 0


class FeedChange(NamedTuple):
    """The changes of one step of the feed, besides its rows.

    Args:
        state: The state after the step.
        put: Missing ranges that are new or changed, keyed by `first`.
        cut: `first` of the missing ranges to remove.
        put_gone: Ranges of known ids no longer visible, as `(first, last)`.
        cut_gone: `first` of the gone ranges to remove.
        closed: Missing ranges that are no longer looked for, kept for the record.
        put_parked: Parked ranges that are new or changed, keyed by `first`.
        cut_parked: `first` of the parked ranges to remove.
        dropped: Parked ranges that a person dropped, kept for the record.
        set_aside: Rows that cannot be stored.
        no_more_aside: Names of rows that were set aside and can be stored now.
    """

    state: FeedState
    put: Sequence[Missing] = ()
    cut: Sequence[int] = ()
    put_gone: Sequence[tuple[int, int]] = ()
    cut_gone: Sequence[int] = ()
    closed: Sequence[tuple[int, int]] = ()
    put_parked: Sequence[Parked] = ()
    cut_parked: Sequence[int] = ()
    dropped: Sequence[tuple[int, int]] = ()
    set_aside: Sequence[SetAside] = ()
    no_more_aside: Sequence[str] = ()


class FeedRecord(NamedTuple):
    """The feed's state as loaded: its missing, gone and parked ranges, and the names set aside."""

    state: FeedState
    missing: Sequence[Missing]
    gone: Sequence[tuple[int, int]]
    parked: Sequence[Parked] = ()
    set_aside: Collection[str] = ()


REMOVED: Final = object()
"""In `Step.store`: remove the key."""


class LateRow(NamedTuple):
    """A row to append and whether it came late (a higher id was appended before it)."""

    row: Row
    late: bool


class Journal(Protocol):
    """The append-only log of the events seen, in the order seen."""

    def load_feed(self) -> FeedRecord | None:
        """Return the feed's state, None before the first start."""

    def append(self, expected_seq: int, rows: Sequence[LateRow], change: FeedChange) -> int:
        """Append rows and the feed's state atomically, and return the journal's new end.

        Args:
            expected_seq: The journal's end as the writer knows it.
            rows: The rows, in journal order.
            change: The feed's state after them.

        Raises:
            StaleWriter: Another writer has appended since; nothing was written.
        """

    def end(self) -> int:
        """Return the highest `seq`, 0 for an empty journal."""

    def read(self, after: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries with a `seq` above `after`, ascending."""


PluginState: TypeAlias = Literal["active", "held", "paused", "not started"]
"""Whether a plugin is called, waits for a retry, waits for a person, or waits for its start."""


@dataclass(slots=True)
class PluginRecord:
    """The ledger's record of one plugin.

    Args:
        name: The plugin's name.
        lane: The lane it belongs to.
        progress: Its progress; meaningful while `apart`.
        apart: Whether it is separate from its lane (held, paused, catching up).
        state: See `PluginState`.
        reason: Why it is held or paused or has not started, for people.
        retry_at: When a hold ends, in seconds since 1970; 0 otherwise.
        failures: Failures in a row.

    Only its own methods change it; other code reads its fields.
    """

    name: str
    lane: str
    progress: Progress = BEGINNING
    apart: bool = False
    state: PluginState = "active"
    reason: str = ""
    retry_at: float = 0.0
    failures: int = 0

    @property
    def cursor(self) -> int:
        """`seq` of the last event finished for it; meaningful while `apart`."""
        return self.progress.finished

    @property
    def hangs(self) -> bool:
        """Whether it waits for a call that timed out and still runs: a hold without an end."""
        return self.state == "held" and not self.retry_at

    def pause(self, reason: str) -> None:
        """Pause it until a person resumes it."""
        self.state, self.reason, self.retry_at = "paused", reason, 0.0

    def hold(self, until: float, reason: str) -> None:
        """Hold it: wait before it is called again.

        Args:
            until: The end of the hold, in seconds since 1970; 0 to wait until a hanging call
                returns.
            reason: Why, for people.
        """
        self.state, self.reason, self.retry_at = "held", reason, until

    def resume(self) -> None:
        """Make it active again after a hold, a pause or the wait for its start."""
        self.state, self.reason, self.retry_at = "active", "", 0.0

    def resume_afresh(self) -> None:
        """Resume it, and reset its count of failures in a row."""
        self.resume()
        self.end_failures()

    def count_failure(self) -> None:
        """Count one more event in a row that it failed on for good."""
        self.failures += 1

    def end_failures(self) -> None:
        """Reset the count of failures in a row after a success."""
        self.failures = 0

    def fail_to_start(self, error: str) -> None:
        """Wait for the next start because its `startup` failed; a paused plugin stays paused.

        A held one does not stay held: a hold promises that the plugin will be called again.
        """
        if self.state != "paused":
            self.state, self.retry_at = "not started", 0.0
            self.reason = f"its startup failed: {error}"

    def leave_lane(self, lane: Progress) -> None:
        """Separate from the lane at the lane's position; do nothing if it is separate already."""
        if not self.apart:
            self.stop_at(lane.of(self.name))

    def stop_at(self, progress: Progress) -> None:
        """Separate from its lane, at its own progress or a given one, whichever is later."""
        self.progress = self.progress.joined(progress) if self.apart else progress
        self.apart = True

    def finish(self, seq: int) -> None:
        """Record an event as finished."""
        self.progress = Progress(seq)

    def finish_callback(self, key: CallKey) -> None:
        """Record a callback as finished for the current event."""
        self.progress = self.progress.with_done(key)

    def skip_to(self, progress: Progress) -> None:
        """Continue at a given progress, because the events before it are no longer kept."""
        self.progress = progress

    def is_level_with(self, lane: Progress) -> bool:
        """Return whether it is at the same position as its lane, between two events."""
        return self.progress == lane and not lane.done

    def rejoin_lane(self) -> None:
        """Rejoin its lane; it must be level with it."""
        self.apart = False


FailureOutcome: TypeAlias = Literal[
    "", "retry", "dead-letter", "skip", "pause", "retried", "dismissed", "skipped"
]
"""The outcome of a failure, by the policy or later by a person; empty before it is judged."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt of a callback, possibly the last.

    Args:
        plugin: The plugin's name.
        callback: The callback's name, `module:qualname`.
        seq: The event's place in the journal.
        event_id: The event's id on the site.
        attempt: The number of the attempt, from 1.
        error: Type and message of the exception, secrets removed.
        traceback: The traceback, secrets removed.
        at: When, in seconds since 1970.
        outcome: See `FailureOutcome`.
    """

    plugin: str
    callback: str
    seq: int
    event_id: int
    attempt: int
    error: str
    traceback: str
    at: float
    outcome: FailureOutcome


@dataclass(slots=True)
class Step:
    """One atomic step of a lane's work: all of it is written, or nothing.

    Args:
        progress: The lane's progress after it; None to leave that unchanged.
        plugins: Records of plugins that changed.
        failure: A failed attempt to keep; its `attempt` becomes the count for the event.
        doubts: `(plugin, callback, seq, attempts)` of calls in which the process died.
        dead: Whether that failure makes a dead letter.
        settled: `(plugin, callback, seq)` whose attempts are over; their count is reset.
        deaths: How often the process died in some calls.
        request: The change to a person's request.
        store: Plugin -> key -> new value, or `REMOVED` to remove the key.
        durable: Whether the step must survive a power cut, not only a kill.
    """

    progress: Progress | None = None
    plugins: list[PluginRecord] = field(default_factory=list)
    failure: Failure | None = None
    doubts: list[tuple[str, str, int, int]] = field(default_factory=list)
    dead: bool = False
    settled: tuple[str, str, int] | None = None
    deaths: Sequence[Died] = ()
    request: RequestStep | None = None
    store: dict[str, dict[str, Any]] = field(default_factory=dict)
    durable: bool = False


def entry_at(journal: Journal, seq: int) -> Entry | None:
    """Return a journal entry, or the first kept one above it; None after the end."""
    return next(iter(journal.read(Progress.at(seq).finished, 1)), None)


class Ledger(Protocol):
    """The record of how events were handled."""

    def lane_progress(self, lane: str) -> Progress | None:
        """Return a lane's last recorded position; None for a lane never seen."""

    def plugins(self) -> dict[str, PluginRecord]:
        """Return the records of all plugins ever enabled, by name."""

    def record(self, lane: str, fence: int, step: Step) -> int:
        """Write one step atomically, and return the number of its failure, 0 if it has none.

        Raises:
            StaleWriter: `fence` is not the lane's newest; nothing was written.
        """

    def take_lane(self, lane: str) -> int:
        """Return a new fence for the lane; older ones are refused from now on."""

    def tried(self) -> dict[tuple[CallKey, int], int]:
        """Return `(callback, seq)` -> attempts, for all calls that are not settled."""

    def store(self, plugin: str) -> Mapping[str, Any]:
        """Return the plugin's store as last committed."""

    def dead_letters(self, plugin: str | None = None) -> Iterable[Failure]:
        """Return the dead letters, oldest first."""
