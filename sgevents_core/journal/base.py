"""What the journal and the ledger are, as protocols and values; no storage here.

The journal is the append-only log of the events seen, the ledger the record of what was done with
them. Both fit a distributed log that has no transaction over several keys: a step is one call.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from sgevents_core.journal.keys import CallKey
from sgevents_core.journal.progress import BEGINNING, Progress

if TYPE_CHECKING:
    from sgevents_core.journal.aside import SetAside
    from sgevents_core.journal.steps import Died, RequestStep


class Row(NamedTuple):
    """One row of the site's event log, as read.

    Args:
        id: The event's id on the site.
        at: Its `created_at`, in seconds since 1970 on the site's clock.
        event_type: Its type, for reading the journal without decoding bodies.
        body: The whole row as JSON.
        dated: Whether the row tells its time itself; if not, `at` is that of its neighbour.
    """

    id: int
    at: int
    event_type: str
    body: bytes
    dated: bool = True


class Entry(NamedTuple):
    """One event in the journal.

    Args:
        seq: Its place in the journal.
        event_id: Its id on the site.
        event_type: Its type.
        created: Its `created_at`, in seconds since 1970.
        late: Whether a row with a higher id was appended before it.
        body: The whole row as JSON.
        era: The era of the feed it was taken in.
        whole: Whether it is what was written; None if an older version wrote it, and nobody knows.
    """

    seq: int
    event_id: int
    event_type: str
    created: int
    late: bool
    body: bytes
    era: int = 1
    whole: bool | None = None


class Missing(NamedTuple):
    """A range of ids not seen: both ends belong to it.

    Args:
        first: Lowest id.
        last: Highest id.
        below_at: `created_at` of the visible row above it: an upper bound of when the ids were
            handed out, in seconds since 1970 on the site's clock.
        noticed: When it was first noticed, in seconds of observed time.
        hot: Whether it is still waited for; if not, only audits look for it.
    """

    first: int
    last: int
    below_at: int
    noticed: float
    hot: bool


class Parked(NamedTuple):
    """A range of ids whose rows came late by the thousand and wait for a person's decision.

    Args:
        first: Lowest id.
        last: Highest id.
        number: Which parking it belongs to: those found by one audit have the same.
        at: When they were parked, in seconds since 1970 on the site's clock.
    """

    first: int
    last: int
    number: int
    at: int


@dataclass(slots=True)
class FeedState:
    """Where the feed is in the site's event log; everything but the ranges.

    Args:
        era: Counts the resets of the feed; ids are unique within one era.
        floor: Lowest id the feed answers for.
        frontier: Highest id taken.
        anchor_id: Highest known id that was visible when last asked, None before the first row.
        anchor_at: Its `created_at`, in seconds since 1970 on the site's clock.
        observed: Seconds for which the feed ran and the site answered.
        marks: `(created_at, id)` pairs, ascending: which ids are how old.
        recent: `(id, created_at)` of the last rows taken in id order, to recognise the log by.
        audits: Name of an audit -> observed second at which it last ended well.
        proved_id: Up to this id an audit has shown the journal to be complete.
        proved_at: The site's clock at that moment, in seconds since 1970.
        answered: When the site last answered, in seconds since 1970 on the host's clock; for
            people only, nothing is decided by it.
        site: The site's host name: a state belongs to one site.
        rewound: Why nothing is appended, if the log went backwards; else empty.
        parkings: How many times rows were parked.
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
    """What one step of the feed writes beside its rows.

    Args:
        state: The state after the step.
        put: Missing ranges that are new or changed, keyed by `first`.
        cut: `first` of the missing ranges that are no more.
        put_gone: Ranges of known ids no longer visible, as `(first, last)`.
        cut_gone: `first` of the gone ranges that are no more.
        closed: Missing ranges given up for good, kept for the record.
        put_parked: Parked ranges that are new or changed, keyed by `first`.
        cut_parked: `first` of the parked ranges that are no more.
        dropped: Parked ranges that a person dropped, kept for the record.
        set_aside: Rows that cannot be taken.
        no_more_aside: Names of rows that were set aside and can be taken now.
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
    """The feed's state as loaded: its missing, gone and parked ranges, the names set aside."""

    state: FeedState
    missing: Sequence[Missing]
    gone: Sequence[tuple[int, int]]
    parked: Sequence[Parked] = ()
    set_aside: Collection[str] = ()


REMOVED: Final = object()
"""In `Step.store`: the key is removed."""


class LateRow(NamedTuple):
    """A row to append and whether it came late (a higher id was appended before it)."""

    row: Row
    late: bool


class Journal(Protocol):
    """The append-only log of the events seen, in the order seen."""

    def load_feed(self) -> FeedRecord | None:
        """Return the feed's state, None before the first start."""

    def append(self, expected_seq: int, rows: Sequence[LateRow], change: FeedChange) -> int:
        """Append rows and the feed's state as one, and return the journal's new end.

        Args:
            expected_seq: The journal's end as the writer knows it.
            rows: The rows, in the order they take in the journal.
            change: The feed's state after them.

        Raises:
            StaleWriter: Another writer has appended since; nothing was written.
        """

    def end(self) -> int:
        """Return the highest `seq`, 0 for an empty journal."""

    def read(self, after: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries with a `seq` above `after`, ascending."""


PluginState: TypeAlias = Literal["active", "held", "paused", "not started"]
"""Whether a plugin is called, waits to be called again, waits for a person, or for its start."""


@dataclass(slots=True)
class PluginRecord:
    """What the ledger knows of one plugin.

    Args:
        name: The plugin's name.
        lane: The lane it rides with.
        progress: How far it is; meaningful while `apart`.
        apart: Whether it goes its own way (held, paused, catching up) instead of with its lane.
        state: See `PluginState`.
        reason: Why it is held or paused or has not started, for people.
        retry_at: When a hold ends, in seconds since 1970; 0 otherwise.
        failures: Failures in a row.

    It changes itself: its fields are only read elsewhere.
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
        """Whether it waits for a call that was given up: a hold without an end."""
        return self.state == "held" and not self.retry_at

    def pause(self, reason: str) -> None:
        """Call it no more until a person resumes it."""
        self.state, self.reason, self.retry_at = "paused", reason, 0.0

    def hold(self, until: float, reason: str) -> None:
        """Wait before it is called again.

        Args:
            until: The end of the hold, in seconds since 1970; 0 for when a call that hangs returns.
            reason: Why, for people.
        """
        self.state, self.reason, self.retry_at = "held", reason, until

    def resume(self) -> None:
        """Call it again: a hold, a pause or the wait for its start is over."""
        self.state, self.reason, self.retry_at = "active", "", 0.0

    def resume_afresh(self) -> None:
        """Resume it, and count its failures in a row from nothing."""
        self.resume()
        self.end_failures()

    def count_failure(self) -> None:
        """Count an event it failed on for good, in a row."""
        self.failures += 1

    def end_failures(self) -> None:
        """Begin a new row of failures: an event went well."""
        self.failures = 0

    def fail_to_start(self, error: str) -> None:
        """Wait for the next start, since its `startup` failed; a pause stays what it is.

        A hold does not: it would promise that the plugin is called again.
        """
        if self.state != "paused":
            self.state, self.retry_at = "not started", 0.0
            self.reason = f"its startup failed: {error}"

    def leave_lane(self, lane: Progress) -> None:
        """Go its own way from where its lane is; nothing changes if it does already."""
        if not self.apart:
            self.stop_at(lane.of(self.name))

    def stop_at(self, progress: Progress) -> None:
        """Go its own way, from where it is or a progress says, whichever is later."""
        self.progress = self.progress.joined(progress) if self.apart else progress
        self.apart = True

    def finish(self, seq: int) -> None:
        """Note an event as finished."""
        self.progress = Progress(seq)

    def finish_callback(self, key: CallKey) -> None:
        """Note a callback as finished for the event it is at."""
        self.progress = self.progress.with_done(key)

    def skip_to(self, progress: Progress) -> None:
        """Go on where a progress says: what is before that is no longer kept."""
        self.progress = progress

    def is_level_with(self, lane: Progress) -> bool:
        """Return whether it is exactly where its lane is, between two events."""
        return self.progress == lane and not lane.done

    def rejoin_lane(self) -> None:
        """Go with its lane again; it must be level with it."""
        self.apart = False


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt of a callback, or its last one.

    Args:
        plugin: The plugin's name.
        callback: The callback's name, `module:qualname`.
        seq: The event's place in the journal.
        event_id: The event's id on the site.
        attempt: Which attempt it was, from 1.
        error: Type and message of the exception, secrets removed.
        traceback: The traceback, secrets removed.
        at: When, in seconds since 1970.
        outcome: `retry`, `dead-letter`, `skip` or `pause`.
    """

    plugin: str
    callback: str
    seq: int
    event_id: int
    attempt: int
    error: str
    traceback: str
    at: float
    outcome: str


@dataclass(slots=True)
class Step:
    """One atomic step of a lane's work: everything in it is kept, or nothing.

    Args:
        progress: How far the lane is after it, None to leave that.
        plugins: Records of plugins that changed.
        failure: A failed attempt to keep; the attempts made for the event are its own.
        doubts: `(plugin, callback, seq, attempts)` of calls the process died in.
        dead: Whether that failure makes a dead letter.
        settled: `(plugin, callback, seq)` whose attempts are over: their count starts anew.
        deaths: How often the process died in some calls.
        request: What becomes of a person's request.
        store: Plugin -> key -> new value, `REMOVED` to remove it.
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
    """Return an entry of the journal, or the first above it that is kept; None behind the end."""
    return next(iter(journal.read(Progress.at(seq).finished, 1)), None)


class Ledger(Protocol):
    """The record of what was done with the events."""

    def lane_progress(self, lane: str) -> Progress | None:
        """Return how far a lane is as last recorded, None for a lane never seen."""

    def plugins(self) -> dict[str, PluginRecord]:
        """Return the records of all plugins that were ever enabled, by name."""

    def record(self, lane: str, fence: int, step: Step) -> int:
        """Write one step as one, and return the number of its failure, 0 without one.

        Raises:
            StaleWriter: `fence` is not the lane's newest; nothing was written.
        """

    def take_lane(self, lane: str) -> int:
        """Return a new fence for the lane; every older one is refused from here on."""

    def tried(self) -> dict[tuple[CallKey, int], int]:
        """Return `(callback, seq)` -> attempts, of all calls that are not settled."""

    def store(self, plugin: str) -> Mapping[str, Any]:
        """Return the plugin's store as last committed."""

    def dead_letters(self, plugin: str | None = None) -> Iterable[Failure]:
        """Return the dead letters, oldest first."""
