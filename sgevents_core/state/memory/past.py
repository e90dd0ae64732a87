"""Past events of a state in memory, and their records."""

from __future__ import annotations

from collections.abc import Callable

from sgevents_core.state.entries import Entry, JournalStart
from sgevents_core.state.failures import RecordedFailure
from sgevents_core.state.feed_values import LeftOut
from sgevents_core.state.memory.tables import Tables
from sgevents_core.state.requests import ReplayEvent


class MemoryPast:
    """The past events; see `protocols.Past`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def event(self, event_id: int) -> ReplayEvent | None:
        """Return the newest event with an id; None if the journal has none."""
        events = self._events(lambda entry: entry.event_id == event_id)
        return max(events, key=lambda event: event.era, default=None)

    def between(self, era: int, first: int, last: int) -> list[ReplayEvent]:
        """Return the events of an era with an id from `first` to `last`, in the order seen."""
        return self._events(lambda entry: entry.era == era and first <= entry.event_id <= last)

    def since(self, era: int, at: int) -> list[ReplayEvent]:
        """Return the events of an era created since a time in seconds since 1970."""
        return self._events(lambda entry: entry.era == era and entry.created >= at)

    def kept_from(self, era: int) -> JournalStart | None:
        """Return the oldest event of an era from which the journal is complete."""
        with self._tables.lock:
            for entry in self._tables.journal.values():
                if entry.era == era and not entry.late:
                    return JournalStart(entry.event_id, entry.created)
        return None

    def left_out(self, kind: LeftOut, era: int) -> list[tuple[int, int]]:
        """Return the ranges of ids, first and last, that were left out in an era."""
        tables = self._tables
        with tables.lock:
            if kind == "parked":
                return sorted((parked.first, parked.last) for parked in tables.parked.values())
            ranges = tables.closed if kind == "closed" else tables.dropped
            return sorted((first, last) for (of, first), last in ranges.items() if of == era)

    def is_left_out(self, kind: LeftOut, era: int, event_id: int) -> bool:
        """Return whether an id was left out in an era."""
        return any(first <= event_id <= last for first, last in self.left_out(kind, era))

    def first_cursors(self) -> dict[str, int]:
        """Return plugin -> the `seq` of the last event before the plugin began."""
        with self._tables.lock:
            return dict(self._tables.joined)

    def failures(self, event_id: int) -> list[RecordedFailure]:
        """Return all recorded failures of an event, oldest first."""
        with self._tables.lock:
            return [
                RecordedFailure(call.failure, call.dead, number)
                for number, call in self._tables.failures.items()
                if call.failure.event_id == event_id
            ]

    def _events(self, is_wanted: Callable[[Entry], bool]) -> list[ReplayEvent]:
        with self._tables.lock:
            return [
                ReplayEvent(entry.era, entry.seq, entry.event_id, entry.body)
                for entry in self._tables.journal.values()
                if is_wanted(entry)
            ]
