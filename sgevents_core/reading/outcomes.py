"""The outcome of an event for each callback, from the ledger and the registers. Only reads."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from sgevents_core.crashes import recovery
from sgevents_core.printable import counted
from sgevents_core.state.batches import BatchedEvent
from sgevents_core.state.call_times import TimedCall, calls_for_event
from sgevents_core.state.cursors import entry_at
from sgevents_core.state.deferred import DeferredCall
from sgevents_core.state.entries import Entry
from sgevents_core.state.failures import Failure, RecordedFailure
from sgevents_core.state.imported import IMPORTED_ERA
from sgevents_core.state.keys import CallKey
from sgevents_core.state.opening import open_state
from sgevents_core.state.plugin_record import AnyPluginRecord, PluginRecord, StrandRecord
from sgevents_core.state.progress import BEGINNING, Progress
from sgevents_core.state.protocols import Reader
from sgevents_core.state.skipped_events import was_skipped
from sgevents_core.state.strand_places import StrandPlaces
from sgevents_core.state.strands import strand_of

OutcomeKind: TypeAlias = Literal[
    "handled",
    "handled later",
    "ignored",
    "deferred",
    "dead letter",
    "dismissed",
    "skipped",
    "failed",
    "in a batch",
    "not yet",
    "not for it",
]
_SETTLED_OUTCOMES: Final[dict[str, OutcomeKind]] = {
    "retried": "handled later",
    "dismissed": "dismissed",
    "skip": "skipped",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an event for one callback.

    Args:
        what: The outcome in one or two words.
        text: The outcome in a sentence.
        failures: Its failures, oldest first.
        calls: The known calls with their times, oldest first.
    """

    what: OutcomeKind
    text: str
    failures: tuple[Failure, ...] = ()
    calls: tuple[TimedCall, ...] = ()
    letter_number: int | None = None
    """The number of its dead letter, which may have been settled; None if it never had one."""
    due_at: float = 0.0
    """When it is called at the latest, in seconds since 1970; 0 if it waits for no time."""


class _Marks(NamedTuple):
    """The calls for an event that are put off, and why others did nothing, by callback."""

    seq: int
    deferred: dict[CallKey, DeferredCall]
    ignored: dict[CallKey, str]


class Outcomes:
    """The progress of every plugin at the moment this object was made.

    Args:
        folder: The state's folder.

    Raises:
        StateError: The state cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entry: Entry | None = None
        self._marks = _Marks(0, {}, {})
        self._timed_calls: dict[tuple[str, int], list[TimedCall]] = {}
        with closing(open_state(folder).reader()) as state:
            self.plugin_records = state.plugins()
            self._imported_positions = state.imported_positions()
            self._progress_by_lane: dict[str, Progress | None] = {}
            self._places_by_lane: dict[str, StrandPlaces] = {}
            for lane_name in {record.lane for record in self.plugin_records.values()}:
                self._read_lane(lane_name, state)
        with closing(open_state(folder).past()) as past:
            self._first_places = past.first_cursors()

    def _read_lane(self, lane_name: str, state: Reader) -> None:
        noted = state.noted_lane(lane_name)
        progress, places = state.lane_progress(lane_name), state.lane_places(lane_name)
        if places is not None:
            self._places_by_lane[lane_name] = recovery.join_places(places, noted)
        elif progress is not None and noted.order_by is None:
            progress = recovery.join_progress(progress, noted.of().lane)
        self._progress_by_lane[lane_name] = progress
        records = self.plugin_records.values()
        recovery.restore_plugins(noted, [record for record in records if record.lane == lane_name])

    def is_done(self, plugin: str, callback: str, seq: int) -> bool:
        """Return whether a callback is finished for an event."""
        record = self.plugin_records.get(plugin)
        if record is None:
            return False
        own_record, progress = self._standing(record, seq)
        if own_record.apart:
            progress = own_record.progress
            entry = self._entry_at(seq)
            if entry is not None and own_record.has_finished(entry):
                return True
        return progress is not None and progress.is_done(seq, CallKey(plugin, callback))

    def _standing(self, record: PluginRecord, seq: int) -> tuple[AnyPluginRecord, Progress | None]:
        """Return a plugin's record for an event, and the progress of its lane or strand."""
        places = self._places_by_lane.get(record.lane)
        entry = None if places is None or record.apart else self._entry_at(seq)
        if places is None or entry is None:
            return record, self._progress_by_lane[record.lane]
        strand = strand_of(entry, places.order_by)
        own_record = record.strands.get(strand) or StrandRecord(record, strand)
        return own_record, places.places[strand]

    def _entry_at(self, seq: int) -> Entry | None:
        """Return an event of the journal; read each only once."""
        if self._entry is None or self._entry.seq != seq:
            with closing(open_state(self._folder).reader()) as state:
                self._entry = entry_at(state, seq)
        return self._entry

    def _marks_at(self, seq: int) -> _Marks:
        """Return what callbacks have said of an event of the journal; read each only once."""
        if self._marks.seq != seq:
            entry = self._entry_at(seq)
            with closing(open_state(self._folder).past()) as past:
                deferred_calls = [] if entry is None else past.deferred_of(entry.event_id)
                self._marks = _Marks(
                    seq,
                    {call.call_key: call for call in deferred_calls if call.seq == seq},
                    past.ignored_reasons(seq),
                )
        return self._marks

    def is_for(self, plugin: str, seq: int) -> bool:
        """Return whether an event came after a plugin began."""
        return plugin in self.plugin_records and seq > self._first_places.get(plugin, 0)

    def _reason_not_for(self, plugin: str, seq: int) -> str:
        """Return why a plugin does not get an event; empty if it does."""
        if not self.is_for(plugin, seq):
            return "the plugin was enabled later, and began behind this event"
        imported_position = self._imported_positions.get(plugin)
        entry = None if imported_position is None else self._entry_at(seq)
        if imported_position is None or entry is None or entry.era != IMPORTED_ERA:
            return ""
        was_handled_before = imported_position.has_had(entry.event_id)
        return "the plugin had it from the daemon before this one" if was_handled_before else ""

    def calls_of(self, plugin: str, callback: str, seq: int) -> tuple[TimedCall, ...]:
        """Return the known calls of a callback for an event, oldest first."""
        record = self.plugin_records.get(plugin)
        if record is None:
            return ()
        journal_place = (record.lane, seq)
        if journal_place not in self._timed_calls:
            self._timed_calls[journal_place] = calls_for_event(self._folder, *journal_place)
        call_key = CallKey(plugin, callback)
        return tuple(call for call in self._timed_calls[journal_place] if call.key == call_key)

    def outcome_of(
        self, plugin: str, callback: str, seq: int, failures: Iterable[RecordedFailure]
    ) -> Outcome:
        """Return the outcome of an event for a callback that wants it.

        Args:
            plugin: The callback's plugin.
            callback: Its name.
            seq: The event's place in the journal.
            failures: All failures for the event, as `Past.failures` returns them.
        """
        plugin_failures = [
            kept_failure
            for kept_failure in failures
            if kept_failure[0].plugin == plugin and kept_failure[0].seq == seq
        ]
        callback_failures = [
            kept_failure for kept_failure in plugin_failures if kept_failure[0].callback == callback
        ]
        history = tuple(failure for failure, _, _ in callback_failures)
        in_batch = self._batch_outcome(plugin, callback, seq)
        reason_not_for = self._reason_not_for(plugin, seq)
        if reason_not_for and not (callback_failures or in_batch):  # else a person replayed it
            return Outcome("not for it", reason_not_for)
        marks, call_key = self._marks_at(seq), CallKey(plugin, callback)
        if call_key in marks.deferred:
            deferred_call = marks.deferred[call_key]
            outcome_text = _deferred_text(deferred_call)
            return Outcome("deferred", outcome_text, history, due_at=deferred_call.due_at)
        batch_letter = 0 if in_batch is None else in_batch.letter_number or math.inf
        for failure, is_dead, letter_number in reversed(callback_failures):
            if is_dead:
                outcome_text = f"dead letter {letter_number}: {failure.error}"
                return Outcome("dead letter", outcome_text, history, letter_number=letter_number)
            if failure.outcome in _SETTLED_OUTCOMES and letter_number >= batch_letter:
                return _settled_outcome(failure, letter_number, history)
        if in_batch is not None or not self.is_done(plugin, callback, seq):
            return in_batch or self._unfinished_outcome(plugin, seq, history)
        skip_errors = [one.error for one, _, _ in plugin_failures if was_skipped(one, callback)]
        return _finished_outcome(skip_errors, marks.ignored.get(call_key), history)

    def _batch_outcome(self, plugin: str, callback: str, seq: int) -> Outcome | None:
        """Return the outcome of an event that is in a batch, or in a dead letter of one."""
        with closing(open_state(self._folder).reader()) as state:
            batched_events = [
                event
                for event in state.batches_of_event(seq)
                if (event.plugin, event.callback) == (plugin, callback)
            ]
            if not batched_events:
                return None
            if not batched_events[-1].letter:
                batch_events = state.batch(plugin, callback, batched_events[-1].number)
                attempt_count = state.attempts().get(
                    (CallKey(plugin, callback), batched_events[-1].number), 0
                )
                return Outcome(
                    "in a batch",
                    _batch_text(batch_events, attempt_count),
                    due_at=_batch_due_at(batch_events),
                )
        with closing(open_state(self._folder).letters()) as letters:
            dead_letter = letters.get(batched_events[-1].letter)
        if dead_letter is None:
            return None
        if dead_letter.dead:
            text = f"dead letter {dead_letter.number}, of its batch: {dead_letter.failure.error}"
            history = (dead_letter.failure,)
            return Outcome("dead letter", text, history, letter_number=dead_letter.number)
        return _settled_outcome(dead_letter.failure, dead_letter.number, (dead_letter.failure,))

    def _unfinished_outcome(self, plugin: str, seq: int, history: tuple[Failure, ...]) -> Outcome:
        record, progress = self._standing(self.plugin_records[plugin], seq)
        lane_progress = progress or BEGINNING
        if not record.apart:
            events_behind = lane_progress.behind(seq)
            outcome_text = f"not yet: its lane is {counted(events_behind, 'event')} before it"
            return Outcome("not yet", outcome_text, history)
        is_at_event = record.progress.running == seq
        state = record.state
        if is_at_event and history:
            last_error = record.reason if record.state == "held" else history[-1].error
            attempts_text = f"{counted(len(history), 'attempt')}: {last_error}"
            outcome_text = (
                f"{state} at it after {attempts_text}"
                if state != "active"
                else f"called again after {attempts_text}"
            )
            return Outcome("failed", outcome_text, history)
        state_reason = f"{state}, {record.reason}" if state != "active" else "catching up"
        events_before = counted(record.progress.before(seq), "event")
        place_text = "at it" if is_at_event else f"{events_before} before it"
        return Outcome("not yet", f"not yet: the plugin is {place_text} ({state_reason})", history)


def _batch_text(batch_events: Sequence[BatchedEvent], attempt_count: int) -> str:
    """Return until when the events of a batch wait."""
    batch_text = f"in a batch of {counted(len(batch_events), 'event')}"
    first_event, due_at = batch_events[0], _batch_due_at(batch_events)
    if first_event.put_off_at and due_at:
        reason_text = f": {first_event.reason}" if first_event.reason else ""
        return f"{batch_text}, which is put off until {_moment_text(due_at)}{reason_text}"
    if attempt_count:
        return (
            f"{batch_text}, which is called again after {counted(attempt_count, 'failed attempt')}"
        )
    if not due_at:
        return f"{batch_text}, whose call has begun"
    return f"waiting {batch_text} until {_moment_text(due_at)}, unless more events come"


def _batch_due_at(batch_events: Sequence[BatchedEvent]) -> float:
    """Return when a batch is called; 0 if its call has begun and may be running."""
    due_at = max(event.due_at for event in batch_events)
    return 0.0 if batch_events[0].is_closed and due_at <= time.time() else due_at


def _moment_text(seconds: float) -> str:
    """Return a time with its zone: whoever reads it may be in another one."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S %Z}"


def _settled_outcome(failure: Failure, letter_number: int, history: tuple[Failure, ...]) -> Outcome:
    outcome_kind = _SETTLED_OUTCOMES[failure.outcome]
    outcome_text = {
        "handled later": f"dead letter {letter_number} was handled when called again",
        "dismissed": f"dead letter {letter_number} was dismissed: {failure.error}",
        "skipped": f"failed, and skipped as on_error says: {failure.error}",
    }[outcome_kind]
    is_letter = outcome_kind != "skipped"
    return Outcome(
        outcome_kind, outcome_text, history, letter_number=letter_number if is_letter else None
    )


def _deferred_text(call: DeferredCall) -> str:
    """Return until when and why a call is put off."""
    times_text = f" ({counted(call.deferrals, 'time')} so far)" if call.deferrals > 1 else ""
    reason_text = f": {call.reason}" if call.reason else ""
    return f"put off until {_moment_text(call.due_at)}{times_text}{reason_text}"


def _finished_outcome(
    skip_errors: Sequence[str], ignored_reason: str | None, history: tuple[Failure, ...]
) -> Outcome:
    """Return the outcome of an event that a callback is finished with, without a dead letter."""
    if skip_errors:
        return Outcome("skipped", skip_errors[0], history)
    if ignored_reason is not None:
        return Outcome("ignored", f"ignored: {ignored_reason}", history)
    attempts_text = f" after {counted(len(history), 'failed attempt')}" if history else ""
    return Outcome("handled", f"handled{attempts_text}", history)
