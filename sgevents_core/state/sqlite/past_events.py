"""Past events and their records, for replays and for people. Only reads."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sgevents_core.scripts import Scripts
from sgevents_core.state.call_figures import CallFigure, FeedFigure, Span
from sgevents_core.state.deferred import DeferredCall
from sgevents_core.state.entries import Entry, JournalStart
from sgevents_core.state.event_choice import EventChoice
from sgevents_core.state.failures import Failure, RecordedFailure
from sgevents_core.state.feed_values import LeftOut
from sgevents_core.state.keys import CallKey
from sgevents_core.state.requests import ReplayEvent
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.sqlite.deferred import read_deferred_calls, read_ignored_reasons
from sgevents_core.state.sqlite.event_search import (
    ERAS_QUERY,
    choice_condition,
    entry_condition,
    failed_query,
    page_condition,
)
from sgevents_core.state.sqlite.figures import read_call_figures, read_feed_figures
from sgevents_core.state.sqlite.journal_reading import JournalReader, entries_between, find_event
from sgevents_core.state.sqlite.tracebacks import traceback_column

_EVENT_COLUMNS: Final = "era, seq, event_id, body"


class SqlitePast:
    """The past of one state, over a connection of its own; for one thread at a time.

    Args:
        state_folder: The state's folder.

    Raises:
        StateError: The database cannot be read; every method raises it then.
    """

    def __init__(self, state_folder: Path) -> None:
        self._database = Database(state_folder, read_only=True)
        self._journal = JournalReader(self._database)

    @property
    def database(self) -> Database:
        """The connection."""
        return self._database

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def event(self, event_id: int) -> ReplayEvent | None:
        """Return the newest event with an id; None if the journal has none."""
        for (era,) in sorted(self._database.fetch_all(ERAS_QUERY), reverse=True):
            event = find_event(self._database.fetch_all, era, event_id)
            if event is not None:
                return event
        return None

    def between(self, era: int, first: int, last: int) -> list[ReplayEvent]:
        """Return the events of an era with an id from `first` to `last`, in the order seen."""
        events = self._select_rows("event_id BETWEEN ? AND ?", era, first, last)
        condition = "era = ? AND last_id >= ? AND first_id <= ?"
        for entries in self._journal.pages(condition, era, first, last):
            events += [_event_of(entry) for entry in entries if first <= entry.event_id <= last]
        return sorted(events, key=_seq_of)

    def since(self, era: int, created_since: int) -> list[ReplayEvent]:
        """Return the events of an era created since a time in seconds since 1970."""
        events = self._select_rows("created_at >= ?", era, created_since)
        for entries in self._journal.pages("era = ? AND latest_at >= ?", era, created_since):
            events += [_event_of(entry) for entry in entries if entry.created >= created_since]
        return sorted(events, key=_seq_of)

    def chosen(
        self, choice: EventChoice, scripts: Scripts, *, above: int, below: int, limit: int
    ) -> list[Entry]:
        """Return the chosen entries between two places of the journal, the newest first."""
        sql_condition, sql_values = choice_condition(choice, self._journal.strands_column)
        sql_values |= {"above": above, "below": below}
        entries: Iterator[Entry] = merge(
            self._journal.chosen_rows(sql_condition, sql_values),
            self._chosen_in_pages(choice, above, below),
            key=_seq_of,
            reverse=True,
        )
        if choice.needs_row:
            entries = filter(lambda entry: choice.matches_row(entry.body, scripts), entries)
        return list(islice(entries, limit))

    def _chosen_in_pages(self, choice: EventChoice, above: int, below: int) -> Iterator[Entry]:
        """Yield the entries of pages that may be chosen, the newest first."""
        failed_seqs, may_match = self._failed_seqs(choice, above, below), entry_condition(choice)
        condition, values = page_condition(choice)
        values |= {"above": above, "below": below}
        for entries in self._journal.pages(condition, values, is_descending=True):
            for entry in entries_between(entries, above + 1, below - 1)[::-1]:
                if may_match(entry) and (failed_seqs is None or entry.seq in failed_seqs):
                    yield entry

    def _failed_seqs(self, choice: EventChoice, above: int, below: int) -> set[int] | None:
        """Return the places on which a callback failed, if the choice is of those; else None."""
        if not (choice.failed or choice.failed_plugin is not None):
            return None
        failure_rows = self._database.fetch_all(
            failed_query(),
            {"failed_plugin": choice.failed_plugin, "above": above, "below": below},
        )
        return {seq for (seq,) in failure_rows}

    def kept_from(self, era: int) -> JournalStart | None:
        """Return the oldest event of an era from which on the journal is complete."""
        event_row = self._database.fetch_one(
            "SELECT seq, event_id, created_at FROM journal WHERE era = ? AND late = 0"
            " ORDER BY seq LIMIT 1",
            era,
        )
        in_pages = next(self._journal.pages("era = ?", era), [])[:1]
        if in_pages and (event_row is None or in_pages[0].seq < event_row[0]):
            return JournalStart(in_pages[0].event_id, in_pages[0].created)
        return None if event_row is None else JournalStart(*event_row[1:])

    def left_out(
        self, left_out_kind: LeftOut, era: int, reaching: int = 0
    ) -> list[tuple[int, int]]:
        """Return the ranges of ids, first and last, that were left out in an era."""
        if not self._has_table(left_out_kind):
            return []
        era_condition = "" if left_out_kind == "parked" else "era = :era AND "
        range_query = (  # ranges do not overlap, so at most one of those before reaches the id
            f"SELECT first, last FROM {left_out_kind} WHERE {era_condition}last >= :reaching"  # noqa: S608 - one of our tables
            f" AND first >= coalesce((SELECT max(first) FROM {left_out_kind}"
            f" WHERE {era_condition}first <= :reaching), 0) ORDER BY first"
        )
        range_rows = self._database.fetch_all(range_query, {"era": era, "reaching": reaching})
        return [(first, last) for first, last in range_rows]

    def is_left_out(self, left_out_kind: LeftOut, era: int, event_id: int) -> bool:
        """Return whether an id was left out in an era."""
        return any(first <= event_id <= last for first, last in self.left_out(left_out_kind, era))

    def call_figures(self, span: Span, since: float) -> list[CallFigure]:
        """Return the figures of calls in spans that began at a time or later, the oldest first."""
        return read_call_figures(self._database, span, since)

    def feed_figures(self, span: Span, since: float) -> list[FeedFigure]:
        """Return the figures of the feed in spans that began at a time or later."""
        return read_feed_figures(self._database, span, since)

    def first_cursors(self) -> dict[str, int]:
        """Return a mapping from plugin to the `seq` of the last event before it began."""
        return dict(self._database.fetch_all("SELECT plugin, seq FROM joined"))

    def failures(self, event_id: int) -> list[RecordedFailure]:
        """Return all recorded failures of an event, oldest first."""
        failure_rows: list[tuple[Any, ...]] = self._database.fetch_all(
            "SELECT plugin, callback, seq, event_id, attempt, error,"  # noqa: S608 - our own columns
            f" {traceback_column(self._database)}, at, outcome, dead, id FROM failures"
            " WHERE event_id = ? ORDER BY id",
            event_id,
        )
        return [
            RecordedFailure(Failure(*failure_row[:9]), bool(failure_row[9]), failure_row[10])
            for failure_row in failure_rows
        ]

    def deferred_of(self, event_id: int) -> list[DeferredCall]:
        """Return the calls for an event that are put off, the next one first."""
        return read_deferred_calls(self._database, event_id=event_id)

    def ignored_reasons(self, seq: int) -> dict[CallKey, str]:
        """Return why callbacks did nothing with an event, for those that say so."""
        return read_ignored_reasons(self._database, seq)

    def _select_rows(
        self, sql_condition: str, era: int, *condition_values: Any
    ) -> list[ReplayEvent]:
        event_rows = self._database.fetch_all(
            f"SELECT {_EVENT_COLUMNS} FROM journal"  # noqa: S608 - our own columns and conditions
            f" WHERE era = ? AND {sql_condition} ORDER BY seq",
            era,
            *condition_values,
        )
        return [ReplayEvent(*event_row) for event_row in event_rows]

    def _has_table(self, table_name: str) -> bool:
        """Return whether the schema has a table: a state of an older version may lack it."""
        return (
            self._database.fetch_one("SELECT 1 FROM sqlite_master WHERE name = ?", table_name)
            is not None
        )


def _event_of(entry: Entry) -> ReplayEvent:
    return ReplayEvent(entry.era, entry.seq, entry.event_id, entry.body)


def _seq_of(entry: Entry | ReplayEvent) -> int:
    return entry.seq
