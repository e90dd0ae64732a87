"""Writing the journal and the feed's record."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from sgevents_core.errors import StaleWriter, StateError
from sgevents_core.state.entries import (
    LATE_BY_AUDIT,
    MOST_ENTRIES_PRUNED,
    Entry,
    Row,
    TakenRow,
)
from sgevents_core.state.failures import KEPT_FAILURES
from sgevents_core.state.feed_values import ASIDE_IN_JOURNAL, FeedChange, SetAside, named_scripts
from sgevents_core.state.keys import CallKey
from sgevents_core.state.memory.reading import MemoryReader
from sgevents_core.state.memory.step_writing import (
    write_events_aside,
    write_new_request,
    write_request_step,
)
from sgevents_core.state.memory.tables import Tables
from sgevents_core.state.requests import ReplayEvent, RequestStep

_encode_json: Final = msgspec.json.Encoder().encode


class MemoryFeedWriter(MemoryReader):
    """The feed's connection; see `protocols.FeedWriter`."""

    def take_feed(self) -> None:
        """Do nothing: the feed's thread is the only writer."""

    def append(
        self, expected_seq: int, appended_rows: Sequence[TakenRow], change: FeedChange
    ) -> int:
        """Append rows and the feed's state atomically, and return the journal's new end."""
        tables, feed_era = self._tables, change.state.era
        with tables.lock:
            self._check_end(expected_seq)
            event_keys = {(feed_era, taken_row.row.id) for taken_row in appended_rows}
            if len(event_keys) < len(appended_rows) or not event_keys.isdisjoint(tables.seqs):
                raise StateError(path="memory", reason="an event is appended twice")
            write_feed(tables, change)
            for entry_seq, taken_row in enumerate(appended_rows, expected_seq + 1):
                tables.seqs[feed_era, taken_row.row.id] = entry_seq
                tables.journal[entry_seq] = _build_entry(
                    entry_seq, feed_era, taken_row.row, lateness=taken_row.late
                )
        return expected_seq + len(appended_rows)

    def begin_era(self, expected_seq: int, change: FeedChange, step: RequestStep) -> None:
        """Begin a new era of the feed, as a person requested; see `protocols.FeedWriter`."""
        tables, ended_era = self._tables, change.state.era - 1
        with tables.lock:
            self._check_end(expected_seq)
            tables.closed.update(
                ((ended_era, id_range.first), id_range.last) for id_range in tables.missing.values()
            )
            tables.dropped.update(
                ((ended_era, id_range.first), id_range.last) for id_range in tables.parked.values()
            )
            tables.parked.clear()
            tables.missing.clear()
            tables.gone.clear()
            write_feed(tables, change)
            write_request_step(tables, step)

    def decide(self, expected_seq: int, change: FeedChange, step: RequestStep) -> None:
        """Write a person's decision about ids of the feed and the request's answer, atomically."""
        with self._tables.lock:
            self._check_end(expected_seq)
            write_feed(self._tables, change)
            write_request_step(self._tables, step)

    def answer(self, step: RequestStep) -> None:
        """Answer a request that changes no other record."""
        with self._tables.lock:
            write_request_step(self._tables, step)

    def set_aside(
        self,
        event_name: int | str,
        reason_text: str,
        record_place: str,
        set_aside_at: float,
        feed_era: int = 1,
    ) -> bool:
        """Set an event aside by name; return whether it is newly set aside."""
        with self._tables.lock:
            return (
                write_events_aside(
                    self._tables,
                    [SetAside(str(event_name), reason_text, record_place, set_aside_at, feed_era)],
                )
                > 0
            )

    def forget_aside(self, events_aside: Sequence[SetAside], step: RequestStep) -> None:
        """Clear events that are set aside, as a person asked, and write the answer, atomically."""
        with self._tables.lock:
            for event_aside in events_aside:
                self._tables.aside.pop(
                    (event_aside.era, event_aside.event, event_aside.where), None
                )
            write_request_step(self._tables, step)

    def mend(self, feed_era: int, mended_rows: Iterable[Row]) -> None:
        """Replace entries that were passed over by rows read again from the site."""
        with self._tables.lock:
            for mended_row in mended_rows:
                _mend_entry(self._tables, feed_era, mended_row)

    def keep_scripts(
        self, new_names: Mapping[int, str], ids_by_name: Mapping[str, Collection[int]]
    ) -> None:
        """Record the names of scripts."""
        with self._tables.lock:
            self._tables.scripts = named_scripts(self._tables.scripts, new_names, ids_by_name)

    def prune(
        self, created_before: int, first_kept_seq: int, entry_limit: int = MOST_ENTRIES_PRUNED
    ) -> int:
        """Remove the oldest entries that are old enough and no longer needed; return how many."""
        tables = self._tables
        with tables.lock:
            first_kept = tables.lowest()
            journal_entries = tables.journal.values()
            first_newer = next(
                (
                    removed_entry.seq
                    for removed_entry in journal_entries
                    if removed_entry.created >= created_before
                ),
                first_kept_seq,
            )
            first_kept_seq = min(
                first_kept_seq, first_newer, tables.end(), first_kept + entry_limit
            )
            for entry_seq in range(first_kept, first_kept_seq):
                removed_entry = tables.journal.pop(entry_seq)
                del tables.seqs[removed_entry.era, removed_entry.event_id]
            _prune_failures(tables, first_kept_seq)
            tables.ignored = {
                ignored_key: reason_text
                for ignored_key, reason_text in tables.ignored.items()
                if ignored_key[0] >= first_kept_seq
            }
            _forget_done_parts(tables)
            return max(first_kept_seq - first_kept, 0)

    def _check_end(self, expected_seq: int) -> None:
        if self._tables.end() != expected_seq:
            raise StaleWriter(what="the journal")


def _build_entry(entry_seq: int, feed_era: int, site_row: Row, *, lateness: int) -> Entry:
    return Entry(
        entry_seq,
        site_row.id,
        site_row.event_type,
        site_row.at,
        bool(lateness),
        site_row.body,
        feed_era,
        whole=True,
        strands=site_row.strands,
        by_audit=lateness == LATE_BY_AUDIT,
    )


def write_feed(tables: Tables, change: FeedChange) -> None:
    """Write the changes of one step of the feed."""
    feed_era = change.state.era
    tables.feed = _encode_json(change.state)
    for first_id in change.cut:
        tables.missing.pop(first_id, None)
    tables.missing.update((missing_range.first, missing_range) for missing_range in change.put)
    for first_id in change.cut_gone:
        tables.gone.pop(first_id, None)
    tables.gone.update((first_id, (first_id, last_id)) for first_id, last_id in change.put_gone)
    for first_id in change.cut_parked:
        tables.parked.pop(first_id, None)
    tables.parked.update((parked_range.first, parked_range) for parked_range in change.put_parked)
    write_events_aside(tables, change.set_aside)
    for event_name in change.no_more_aside:
        tables.aside.pop((feed_era, event_name, "site"), None)
    tables.closed.update(((feed_era, first_id), last_id) for first_id, last_id in change.closed)
    tables.dropped.update(((feed_era, first_id), last_id) for first_id, last_id in change.dropped)


def _mend_entry(tables: Tables, feed_era: int, mended_row: Row) -> None:
    passed_over_keys = sorted(
        entry_key
        for entry_key, event_key in tables.passed_over.items()
        if event_key == (feed_era, mended_row.id)
    )
    for entry_seq, plugin_name in passed_over_keys:
        del tables.passed_over[entry_seq, plugin_name]
        if entry_seq in tables.journal:
            tables.journal[entry_seq] = replace(
                tables.journal[entry_seq],
                event_type=mended_row.event_type,
                created=mended_row.at,
                body=mended_row.body,
                whole=True,
            )
        if plugin_name:
            replayed_event = ReplayEvent(feed_era, entry_seq, mended_row.id, mended_row.body)
            write_new_request(
                tables,
                "sgevents",
                ("replay", plugin_name, {"mended": mended_row.id}, [replayed_event]),
            )
    tables.aside.pop((feed_era, str(mended_row.id), ASIDE_IN_JOURNAL), None)


def _prune_failures(tables: Tables, first_kept_seq: int) -> None:
    waiting_batches = {
        (CallKey(event.plugin, event.callback), event.number)
        for event in tables.batched
        if not (event.letter or event.request)
    }
    for failed_call in [
        failed_call
        for failed_call in tables.attempts
        if failed_call[1] < first_kept_seq and failed_call not in waiting_batches
    ]:
        del tables.attempts[failed_call]
    tables.deaths = {
        failed_call: call_deaths
        for failed_call, call_deaths in tables.deaths.items()
        if failed_call[1] >= first_kept_seq or failed_call in waiting_batches
    }
    oldest_kept = max(tables.failures, default=0) - KEPT_FAILURES
    tables.failures = {
        failure_number: failed_call
        for failure_number, failed_call in tables.failures.items()
        if failed_call.dead
        or (failed_call.failure.seq >= first_kept_seq and failure_number > oldest_kept)
    }
    tables.batched = [
        event for event in tables.batched if not event.letter or event.letter in tables.failures
    ]


def _forget_done_parts(tables: Tables) -> None:
    """Remove the parts of events that neither the journal nor a later call has any more."""
    later_calls = {
        (one.failure.plugin, one.failure.event_id) for one in tables.failures.values() if one.dead
    }
    later_calls |= {(key.plugin, key.event_id) for key in tables.deferred}
    tables.done_parts = {
        part
        for part in tables.done_parts
        if (part.era, part.event_id) in tables.seqs or (part.plugin, part.event_id) in later_calls
    }
