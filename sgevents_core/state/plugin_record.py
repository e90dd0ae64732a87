"""The record of a plugin, in its lane or in one strand; only its own methods change it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from sgevents_core.choices import OrderBy
from sgevents_core.state.entries import Entry
from sgevents_core.state.keys import CallKey
from sgevents_core.state.progress import BEGINNING, Progress
from sgevents_core.state.strand_places import StrandPlaces
from sgevents_core.state.strands import STRANDS, strand_of

_BY_PERSON: Final = -1.0
"""`retry_at` of a plugin that a person has paused."""

PluginState: TypeAlias = Literal["active", "held", "paused", "not started"]
"""Whether a plugin is called, waits for a retry, waits for a person, or waits for its start."""


class _PlacedPlugin:
    """The place of a plugin that may be separate from its lane, or from one strand of it."""

    if not TYPE_CHECKING:
        __slots__ = ()
    else:
        progress: Progress
        apart: bool

        @property
        def name(self) -> str:
            """The plugin's name."""
            raise NotImplementedError

    @property
    def cursor(self) -> int:
        """`seq` of the last event finished for it; meaningful while `apart`."""
        return self.progress.finished

    def leave_lane(self, lane: Progress) -> None:
        """Separate the plugin from its lane at the lane's position, if it is not separate yet."""
        if not self.apart:
            self.stop_at(lane.of(self.name))

    def stop_at(self, progress: Progress) -> None:
        """Separate the plugin from its lane, at its own progress or a given later one."""
        self.progress = self.progress.joined(progress) if self.apart else progress
        self.apart = True

    def finish(self, seq: int) -> None:
        """Record an event as finished."""
        self.progress = Progress(seq)

    def has_finished(self, entry: Entry) -> bool:
        """Return whether an entry above its progress is finished."""
        return False

    def begin(self, entry: Entry) -> None:
        """Move to the entry that the plugin handles next."""
        if self.progress.running != entry.seq:
            self.progress = Progress.at(entry.seq)

    def finish_callback(self, callback_key: CallKey) -> None:
        """Record a callback as finished for the current event."""
        self.progress = self.progress.with_done(callback_key)

    @property
    def has_finished_more(self) -> bool:
        """Whether entries above its progress are finished."""
        return False

    def is_level_with(self, lane: Progress) -> bool:
        """Return whether the plugin is at its lane's position, between two events."""
        return self.progress == lane and not lane.done and not self.has_finished_more

    def rejoin_lane(self) -> None:
        """Let the plugin rejoin its lane; both must be at the same position."""
        self.apart = False


@dataclass(slots=True)
class PluginRecord(_PlacedPlugin):
    """The ledger's record of one plugin.

    Args:
        name: The plugin's name.
        lane: The lane it belongs to.
        progress: Its progress; meaningful while `apart`.
        apart: Whether it is separate from its lane (held, paused, catching up).
        state: See `PluginState`.
        reason: Why it is held or paused or has not started, for people.
        retry_at: When a hold ends, in seconds since 1970; -1 if a person has paused it; 0
            otherwise.
        failures: Failures in a row.
        above: While `apart`: the entries finished above `progress`, by strand of a lane that the
            plugin left or that is now divided in another way.
        order_by: The key that divides its lane into the strands in `strands`; None if the plugin
            was never separate in a single strand.
        strands: Its record in each strand that it is separate from, while it is not `apart`.

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
    above: StrandPlaces | None = None
    order_by: OrderBy | None = None
    strands: dict[int, StrandRecord] = field(default_factory=dict)

    @property
    def catches_up(self) -> bool:
        """Whether the plugin has to catch up with its lane."""
        return self.apart

    @property
    def hangs(self) -> bool:
        """Whether the plugin waits, without limit, for a call that timed out and still runs."""
        return self.state == "held" and not self.retry_at

    @property
    def is_paused_by_person(self) -> bool:
        """Whether a person has paused the plugin, and not an error."""
        return self.state == "paused" and self.retry_at == _BY_PERSON

    def pause(self, reason_text: str, *, by_person: bool = False) -> None:
        """Pause the plugin until a person resumes it.

        Args:
            reason_text: Why, for people.
            by_person: Whether a person wants it; else an error is the cause, and changed code ends
                the pause.
        """
        retry_at = _BY_PERSON if by_person else 0.0
        self.state, self.reason, self.retry_at = "paused", reason_text, retry_at

    def hold(self, retry_at: float, reason_text: str) -> None:
        """Hold the plugin: wait before calling it again.

        Args:
            retry_at: The end of the hold, in seconds since 1970; 0 to wait until a hanging call
                returns.
            reason_text: Why, for people.
        """
        self.state, self.reason, self.retry_at = "held", reason_text, retry_at

    def resume(self) -> None:
        """Make the plugin active again after a hold, a pause or the wait for its start."""
        self.state, self.reason, self.retry_at = "active", "", 0.0

    def resume_afresh(self) -> None:
        """Resume the plugin, and reset its count of failures in a row."""
        self.resume()
        self.end_failures()

    def count_failure(self) -> None:
        """Count one more event in a row that the plugin failed on for good."""
        self.failures += 1

    def end_failures(self) -> None:
        """Reset the count of failures in a row after a success."""
        self.failures = 0

    def fail_to_start(self, error_text: str) -> None:
        """Wait for the next start because its `startup` failed; a paused plugin stays paused.

        A held plugin does not stay held: a hold promises another call.
        """
        if self.state != "paused":
            self.state, self.retry_at = "not started", 0.0
            self.reason = f"its startup failed: {error_text}"

    def skip_to(self, progress: Progress) -> None:
        """Continue at a given progress, because the journal no longer has the events before it."""
        self.progress = progress
        self._forget_what_is_passed()

    def stop_at(self, progress: Progress) -> None:
        """Separate the plugin from its lane, at its own progress or a given later one."""
        _PlacedPlugin.stop_at(self, progress)
        self._forget_what_is_passed()

    def finish(self, seq: int) -> None:
        """Record an event as finished."""
        _PlacedPlugin.finish(self, seq)
        self._forget_what_is_passed()

    def _forget_what_is_passed(self) -> None:
        """Forget the finished entries that its progress has passed."""
        if self.above is not None and self.above.highest <= self.cursor:
            self.above = None

    @property
    def has_finished_more(self) -> bool:
        """Whether entries above its progress are finished, in strands that it left."""
        return self.above is not None

    def has_finished(self, entry: Entry) -> bool:
        """Return whether an entry above its progress is finished, in a strand that it left."""
        above = self.above
        return above is not None and above.is_finished(entry.seq, strand_of(entry, above.order_by))

    def begin(self, entry: Entry) -> None:
        """Move to the entry that the plugin handles next, with the callbacks done in a strand."""
        _PlacedPlugin.begin(self, entry)
        if self.above is not None:
            strand = strand_of(entry, self.above.order_by)
            done_callbacks = self.above.progress_at(entry.seq, strand).of(self.name).done
            self.progress = Progress.at(entry.seq, self.progress.done | done_callbacks)

    def leave_strands(self, lane_places: StrandPlaces) -> None:
        """Separate the plugin from all strands of its lane, unless it is separate from the lane.

        Args:
            lane_places: How far the lane has come.
        """
        if self.apart:
            return
        own_progress = [
            self.strands[strand].progress if strand in self.strands else place.of(self.name)
            for strand, place in enumerate(lane_places.places)
        ]
        places = StrandPlaces(lane_places.order_by, tuple(own_progress))
        self.progress, self.apart = Progress(places.lowest), True
        self.above = None if places.is_level else places
        self._keep_longest_hold()
        self.order_by, self.strands = None, {}

    def _keep_longest_hold(self) -> None:
        """Hold the plugin until its longest hold in any strand ends."""
        held_strands = [
            strand_record
            for strand_record in self.strands.values()
            if strand_record.is_held and strand_record.retry_at
        ]
        if held_strands and self.state == "active":
            longest_hold = max(held_strands, key=lambda strand_record: strand_record.retry_at)
            self.hold(longest_hold.retry_at, longest_hold.hold_reason)

    def spread(self, order_by: OrderBy) -> list[StrandRecord]:
        """Return the records of a plugin that is separate from each strand, not from the lane.

        They refer to a copy of this record, which must be written first. The plugin must have
        passed every entry finished above its progress, since those are recorded by other strands.
        """
        copy = replace(self, apart=False, order_by=order_by, strands={})
        copy.strands = {
            strand: StrandRecord(copy, strand, self.progress, apart=True)
            for strand in range(STRANDS)
        }
        return list(copy.strands.values())

    def join_strands(self, order_by: OrderBy) -> None:
        """Join the strands of its lane, except those from which its records separate it."""
        self.apart, self.order_by = False, order_by


@dataclass(slots=True)
class StrandRecord(_PlacedPlugin):
    """The ledger's record of one plugin in one strand of its lane.

    A hold belongs to the strand alone; a pause and the count of failures belong to the plugin.

    Args:
        plugin: The record of the plugin.
        strand: The strand.
        progress: Its progress in the strand; meaningful while `apart`.
        apart: Whether it is separate from the strand.
        is_held: Whether it waits for a retry in the strand.
        hold_reason: Why, for people.
        retry_at: When that hold ends, in seconds since 1970; 0 otherwise.
    """

    plugin: PluginRecord = field(compare=False, repr=False)  # its records refer to this one
    strand: int
    progress: Progress = BEGINNING
    apart: bool = False
    is_held: bool = False
    hold_reason: str = ""
    retry_at: float = 0.0

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.plugin.name

    @property
    def lane(self) -> str:
        """The lane it belongs to."""
        return self.plugin.lane

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self.plugin.failures

    @property
    def state(self) -> PluginState:
        """The plugin's `PluginState`, or that it is held in the strand."""
        if self.plugin.state != "active":
            return self.plugin.state
        return "held" if self.is_held else "active"

    @property
    def reason(self) -> str:
        """Why it is held or paused or has not started, for people."""
        return self.hold_reason if self.plugin.state == "active" else self.plugin.reason

    @property
    def catches_up(self) -> bool:
        """Whether the plugin has to catch up in the strand, after it has with the whole lane."""
        return self.apart and not self.plugin.apart

    @property
    def hangs(self) -> bool:
        """Whether the plugin waits, without limit, for a call that timed out and still runs."""
        return self.is_held and not self.retry_at

    def pause(self, reason_text: str) -> None:
        """Pause the plugin, in all strands, until a person resumes it."""
        self.plugin.pause(reason_text)

    def hold(self, retry_at: float, reason_text: str) -> None:
        """Hold the plugin in the strand; see `PluginRecord.hold`."""
        self.is_held, self.hold_reason, self.retry_at = True, reason_text, retry_at

    def resume(self) -> None:
        """Make the plugin active in the strand again after a hold; a pause stays."""
        self.is_held, self.hold_reason, self.retry_at = False, "", 0.0

    def count_failure(self) -> None:
        """Count one more event in a row that the plugin failed on for good."""
        self.plugin.count_failure()

    def end_failures(self) -> None:
        """Reset the plugin's count of failures in a row after a success."""
        self.plugin.end_failures()


AnyPluginRecord: TypeAlias = PluginRecord | StrandRecord
"""The record that decides a plugin's next call: in its whole lane, or in one strand."""
