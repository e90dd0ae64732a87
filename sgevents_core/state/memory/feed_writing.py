"""Writing the journal and the feed's record."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from sgevents_core.errors import StaleWriter, StateError
from sgevents_core.state.entries import MOST_PRUNED, Entry, LateRow, Row
from sgevents_core.state.failures import KEPT_FAILURES
from sgevents_core.state.feed_values import JOURNAL, FeedChange, SetAside, named_scripts
from sgevents_core.state.memory.reading import MemoryReader
from sgevents_core.state.memory.step_writing import write_aside, write_asked, write_request
from sgevents_core.state.memory.tables import Tables
from sgevents_core.state.requests import ReplayEvent, RequestStep

_encode: Final = msgspec.json.Encoder().encode


class MemoryFeedWriter(MemoryReader):
    """The feed's connection; see `protocols.FeedWriter`."""

    def append(self, expected_seq: int, rows: Sequence[LateRow], change: FeedChange) -> int:
        """Append rows and the feed's state atomically, and return the journal's new end."""
        tables, era = self._tables, change.state.era
        with tables.lock:
            self._check_end(expected_seq)
            ids = {(era, row.id) for row, _ in rows}
            if len(ids) < len(rows) or not ids.isdisjoint(tables.seqs):
                raise StateError(path="memory", reason="an event is appended twice")
            write_feed(tables, change)
            for seq, (row, late) in enumerate(rows, expected_seq + 1):
                tables.seqs[era, row.id] = seq
                tables.journal[seq] = _entry(seq, era, row, late=late)
        return expected_seq + len(rows)

    def begin_era(self, expected_seq: int, change: FeedChange, step: RequestStep) -> None:
        """Begin a new era of the feed, as a person asked; see `protocols.FeedWriter`."""
        tables, old = self._tables, change.state.era - 1
        with tables.lock:
            self._check_end(expected_seq)
            tables.closed.update(((old, span.first), span.last) for span in tables.missing.values())
            tables.dropped.update(((old, span.first), span.last) for span in tables.parked.values())
            tables.parked.clear()
            tables.missing.clear()
            tables.gone.clear()
            write_feed(tables, change)
            write_request(tables, step)

    def decide(self, expected_seq: int, change: FeedChange, step: RequestStep) -> None:
        """Write a person's decision about ids of the feed and the request's answer, atomically."""
        with self._tables.lock:
            self._check_end(expected_seq)
            write_feed(self._tables, change)
            write_request(self._tables, step)

    def answer(self, step: RequestStep) -> None:
        """Answer a request that needs no other record."""
        with self._tables.lock:
            write_request(self._tables, step)

    def set_aside(self, event: int | str, reason: str, where: str, at: float, era: int = 1) -> bool:
        """Set an event aside by name; return whether it is newly set aside."""
        with self._tables.lock:
            return write_aside(self._tables, [SetAside(str(event), reason, where, at, era)]) > 0

    def forget_aside(self, events: Sequence[SetAside], step: RequestStep) -> None:
        """Clear events that are set aside, as a person asked, and write the answer, atomically."""
        with self._tables.lock:
            for aside in events:
                self._tables.aside.pop((aside.era, aside.event, aside.where), None)
            write_request(self._tables, step)

    def mend(self, era: int, rows: Iterable[Row]) -> None:
        """Replace entries that were passed over by rows read again from the site."""
        with self._tables.lock:
            for row in rows:
                _mend(self._tables, era, row)

    def keep_scripts(
        self, names: Mapping[int, str], ids_by_name: Mapping[str, Collection[int]]
    ) -> None:
        """Record the names of scripts."""
        with self._tables.lock:
            self._tables.scripts = named_scripts(self._tables.scripts, names, ids_by_name)

    def prune(self, before: int, keep_from: int, limit: int = MOST_PRUNED) -> int:
        """Remove the oldest entries that are old enough and no longer needed; return how many."""
        tables = self._tables
        with tables.lock:
            lowest = tables.lowest()
            entries = tables.journal.values()
            young = next((entry.seq for entry in entries if entry.created >= before), keep_from)
            keep_from = min(keep_from, young, tables.end(), lowest + limit)
            for seq in range(lowest, keep_from):
                entry = tables.journal.pop(seq)
                del tables.seqs[entry.era, entry.event_id]
            _prune_failures(tables, keep_from)
            return max(keep_from - lowest, 0)

    def _check_end(self, expected_seq: int) -> None:
        if self._tables.end() != expected_seq:
            raise StaleWriter(what="the journal")


def _entry(seq: int, era: int, row: Row, *, late: bool) -> Entry:
    return Entry(
        seq,
        row.id,
        row.event_type,
        row.at,
        bool(late),
        row.body,
        era,
        whole=True,
        strands=row.strands,
    )


def write_feed(tables: Tables, change: FeedChange) -> None:
    """Write the changes of one step of the feed."""
    era = change.state.era
    tables.feed = _encode(change.state)
    for first in change.cut:
        tables.missing.pop(first, None)
    tables.missing.update((missing.first, missing) for missing in change.put)
    for first in change.cut_gone:
        tables.gone.pop(first, None)
    tables.gone.update((first, (first, last)) for first, last in change.put_gone)
    for first in change.cut_parked:
        tables.parked.pop(first, None)
    tables.parked.update((parked.first, parked) for parked in change.put_parked)
    write_aside(tables, change.set_aside)
    for event in change.no_more_aside:
        tables.aside.pop((era, event, "site"), None)
    tables.closed.update(((era, first), last) for first, last in change.closed)
    tables.dropped.update(((era, first), last) for first, last in change.dropped)


def _mend(tables: Tables, era: int, row: Row) -> None:
    passed = sorted(key for key, of in tables.passed_over.items() if of == (era, row.id))
    for seq, plugin in passed:
        del tables.passed_over[seq, plugin]
        if seq in tables.journal:
            tables.journal[seq] = tables.journal[seq]._replace(
                event_type=row.event_type, created=row.at, body=row.body, whole=True
            )
        if plugin:
            event = ReplayEvent(era, seq, row.id, row.body)
            write_asked(tables, "sgevents", ("replay", plugin, {"mended": row.id}, [event]))
    tables.aside.pop((era, str(row.id), JOURNAL), None)


def _prune_failures(tables: Tables, keep_from: int) -> None:
    for call in [call for call in tables.attempts if call[1] < keep_from]:
        del tables.attempts[call]
    oldest = max(tables.failures, default=0) - KEPT_FAILURES
    tables.failures = {
        number: call
        for number, call in tables.failures.items()
        if call.dead or (call.failure.seq >= keep_from and number > oldest)
    }
