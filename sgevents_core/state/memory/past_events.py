"""Past events of a state in memory, and their records."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from sgevents_core.scripts import Scripts
from sgevents_core.state.call_figures import CallFigure, FeedFigure, Span
from sgevents_core.state.deferred import DeferredCall
from sgevents_core.state.entries import Entry, JournalStart
from sgevents_core.state.event_choice import EventChoice
from sgevents_core.state.failures import RecordedFailure
from sgevents_core.state.feed_values import LeftOut
from sgevents_core.state.keys import CallKey
from sgevents_core.state.memory.reading import deferred_order
from sgevents_core.state.memory.tables import Tables
from sgevents_core.state.requests import ReplayEvent


class MemoryPast:
    """The past events; see `protocols.Past`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def close(self) -> None:
        """Do nothing: a state in memory holds nothing open."""

    def event(self, event_id: int) -> ReplayEvent | None:
        """Return the newest event with an id; None if the journal has none."""
        events = self._select_events(lambda entry: entry.event_id == event_id)
        return max(events, key=lambda event: event.era, default=None)

    def between(self, era: int, first: int, last: int) -> list[ReplayEvent]:
        """Return the events of an era with an id from `first` to `last`, in the order seen."""
        return self._select_events(
            lambda entry: entry.era == era and first <= entry.event_id <= last
        )

    def since(self, era: int, created_since: int) -> list[ReplayEvent]:
        """Return the events of an era created since a time in seconds since 1970."""
        return self._select_events(
            lambda entry: entry.era == era and entry.created >= created_since
        )

    def chosen(
        self, choice: EventChoice, scripts: Scripts, *, above: int, below: int, limit: int
    ) -> list[Entry]:
        """Return the chosen entries between two places of the journal, the newest first."""
        failed_seqs = self._failed_seqs(choice.failed_plugin)
        is_failed_wanted = choice.failed or choice.failed_plugin is not None
        with self._tables.lock:
            entries = list(reversed(self._tables.journal.values()))
        chosen_entries = (
            entry
            for entry in entries
            if above < entry.seq < below
            and choice.matches_columns(entry)
            and (entry.seq in failed_seqs or not is_failed_wanted)
            and (not choice.needs_row or choice.matches_row(entry.body, scripts))
        )
        return list(islice(chosen_entries, limit))

    def _failed_seqs(self, plugin_name: str | None) -> set[int]:
        """Return the places of the events on which a callback failed at least once."""
        with self._tables.lock:
            return {
                failed_call.failure.seq
                for failed_call in self._tables.failures.values()
                if plugin_name in {None, failed_call.failure.plugin}
            }

    def kept_from(self, era: int) -> JournalStart | None:
        """Return the oldest event of an era from which on the journal is complete."""
        with self._tables.lock:
            for entry in self._tables.journal.values():
                if entry.era == era and not entry.late:
                    return JournalStart(entry.event_id, entry.created)
        return None

    def left_out(
        self, left_out_kind: LeftOut, era: int, reaching: int = 0
    ) -> list[tuple[int, int]]:
        """Return the ranges of ids, first and last, that were left out in an era."""
        tables = self._tables
        with tables.lock:
            if left_out_kind == "parked":
                return sorted(
                    (parked_range.first, parked_range.last)
                    for parked_range in tables.parked.values()
                    if parked_range.last >= reaching
                )
            range_ends = tables.closed if left_out_kind == "closed" else tables.dropped
            return sorted(
                (first, last)
                for (range_era, first), last in range_ends.items()
                if range_era == era and last >= reaching
            )

    def is_left_out(self, left_out_kind: LeftOut, era: int, event_id: int) -> bool:
        """Return whether an id was left out in an era."""
        return any(first <= event_id <= last for first, last in self.left_out(left_out_kind, era))

    def call_figures(self, span: Span, since: float) -> list[CallFigure]:
        """Return the figures of calls in spans that began at a time or later, the oldest first."""
        with self._tables.lock:
            return [
                figure
                for (own_span, starts_at, *_), figure in sorted(self._tables.call_figures.items())
                if own_span == span and starts_at >= since
            ]

    def feed_figures(self, span: Span, since: float) -> list[FeedFigure]:
        """Return the figures of the feed in spans that began at a time or later."""
        with self._tables.lock:
            return [
                figure
                for (own_span, starts_at), figure in sorted(self._tables.feed_figures.items())
                if own_span == span and starts_at >= since
            ]

    def first_cursors(self) -> dict[str, int]:
        """Return a mapping from plugin to the `seq` of the last event before it began."""
        with self._tables.lock:
            return dict(self._tables.joined)

    def failures(self, event_id: int) -> list[RecordedFailure]:
        """Return all recorded failures of an event, oldest first."""
        with self._tables.lock:
            return [
                RecordedFailure(failed_call.failure, failed_call.dead, failure_number)
                for failure_number, failed_call in self._tables.failures.items()
                if failed_call.failure.event_id == event_id
            ]

    def deferred_of(self, event_id: int) -> list[DeferredCall]:
        """Return the calls for an event that are put off, the next one first."""
        with self._tables.lock:
            deferred_calls = [deferred.call for deferred in self._tables.deferred.values()]
        event_calls = (call for call in deferred_calls if call.event_id == event_id)
        return sorted(event_calls, key=deferred_order)

    def ignored_reasons(self, seq: int) -> dict[CallKey, str]:
        """Return why callbacks did nothing with an event, for those that say so."""
        with self._tables.lock:
            return {
                call_key: reason_text
                for (event_seq, call_key), reason_text in self._tables.ignored.items()
                if event_seq == seq
            }

    def _select_events(self, is_wanted: Callable[[Entry], bool]) -> list[ReplayEvent]:
        with self._tables.lock:
            return [
                ReplayEvent(entry.era, entry.seq, entry.event_id, entry.body)
                for entry in self._tables.journal.values()
                if is_wanted(entry)
            ]
