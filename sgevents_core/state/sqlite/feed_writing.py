"""Writing the journal and the feed's record."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from sgevents_core.errors import StaleWriter
from sgevents_core.state.entries import MOST_ENTRIES_PRUNED, Row, TakenRow
from sgevents_core.state.failures import KEPT_FAILURES
from sgevents_core.state.feed_values import ASIDE_IN_JOURNAL, FeedChange, SetAside, named_scripts
from sgevents_core.state.requests import ReplayEvent, RequestDraft, RequestStep
from sgevents_core.state.sqlite.batches import forget_settled
from sgevents_core.state.sqlite.checksums import checksum_of
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.sqlite.events_aside import delete_events_aside, write_events_aside
from sgevents_core.state.sqlite.forgetting import forget_calls
from sgevents_core.state.sqlite.journal_writing import (
    delete_entries,
    insert_entries,
    mend_entries,
)
from sgevents_core.state.sqlite.reading import SqliteReader
from sgevents_core.state.sqlite.requests import write_new_request, write_request_step
from sgevents_core.state.sqlite.tracebacks import forget_tracebacks

_encode_json: Final = msgspec.json.Encoder().encode
_CHECKPOINT_SIZE: Final = 16_384_000
"""Bytes of the write-ahead log after which an append moves them into the database.

Four times the limit of lanes, so that catching up waits less often for the disk, and the log stays
short while events come singly.
"""


class SqliteFeedWriter(SqliteReader):
    """The feed's connection.

    Args:
        state_folder: The state's folder.

    Raises:
        StateError: See `SqliteReader`.
    """

    _is_read_only = False

    def __init__(self, state_folder: Path) -> None:
        super().__init__(state_folder)
        self._database.set_checkpoint_size(_CHECKPOINT_SIZE)

    def take_feed(self) -> None:
        """Do nothing: the feed's thread is the only writer."""

    def append(
        self, expected_seq: int, appended_rows: Sequence[TakenRow], change: FeedChange
    ) -> int:
        """Append rows and the feed's state atomically, and return the journal's new end."""
        feed_era = change.state.era
        with self._database.transaction() as connection:
            self._check_end(expected_seq)
            insert_entries(connection, expected_seq + 1, feed_era, appended_rows)
            write_feed(connection, change)
        return expected_seq + len(appended_rows)

    def begin_era(self, expected_seq: int, change: FeedChange, step: RequestStep) -> None:
        """Begin a new era of the feed, as a person requested: new rows belong to another log.

        Ids missing in the old log are given up and parked rows dropped; both are kept for the
        record.

        Args:
            expected_seq: The journal's end as the writer knows it.
            change: The feed's state in the new era.
            step: The request, answered.

        Raises:
            StaleWriter: Another writer has appended since; nothing was written.
        """
        with self._database.transaction(durable=True) as connection:
            self._check_end(expected_seq)
            write_new_era(connection, change)
            write_request_step(connection, step)

    def decide(self, expected_seq: int, change: FeedChange, step: RequestStep) -> None:
        """Write a person's decision about ids of the feed and the request's answer, atomically.

        Args:
            expected_seq: The journal's end as the writer knows it.
            change: The feed's state after it.
            step: The request, answered.

        Raises:
            StaleWriter: Another writer has appended since; nothing was written.
        """
        with self._database.transaction(durable=True) as connection:
            self._check_end(expected_seq)
            write_feed(connection, change)
            write_request_step(connection, step)

    def _check_end(self, expected_seq: int) -> None:
        if self.end() != expected_seq:
            raise StaleWriter(what="the journal")

    def answer(self, step: RequestStep) -> None:
        """Answer a request that changes no other record."""
        with self._database.transaction() as connection:
            write_request_step(connection, step)

    def set_aside(
        self,
        event_name: int | str,
        reason_text: str,
        record_place: str,
        set_aside_at: float,
        feed_era: int = 1,
    ) -> bool:
        """Set an event aside by name; return whether it is newly set aside. See `SetAside`."""
        with self._database.transaction(durable=True) as connection:
            return (
                write_events_aside(
                    connection,
                    [SetAside(str(event_name), reason_text, record_place, set_aside_at, feed_era)],
                )
                > 0
            )

    def forget_aside(self, events_aside: Sequence[SetAside], step: RequestStep) -> None:
        """Clear events that are set aside, as a person asked, and write the answer, atomically."""
        with self._database.transaction(durable=True) as connection:
            for event_aside in events_aside:
                delete_events_aside(
                    connection, event_aside.era, [event_aside.event], event_aside.where
                )
            write_request_step(connection, step)

    def mend(self, feed_era: int, mended_rows: Iterable[Row]) -> None:
        """Replace entries that were passed over by rows read again from the site.

        Each plugin that still needs such an event gets it by a replay.

        Args:
            feed_era: The era of the feed.
            mended_rows: The rows.
        """
        with self._database.transaction(durable=True) as connection:
            for mended_row in mended_rows:
                passed_over = find_passed_over(self._database, feed_era, mended_row.id)
                mend_entries(connection, feed_era, mended_row, {seq for seq, _ in passed_over})
                for request_draft in mended_replays(passed_over, feed_era, mended_row):
                    write_new_request(connection, "sgevents", request_draft)
                forget_passed_over(connection, feed_era, mended_row.id, passed_over)

    def keep_scripts(
        self, new_names: Mapping[int, str], ids_by_name: Mapping[str, Collection[int]]
    ) -> None:
        """Record the names of scripts.

        Args:
            new_names: Id -> name.
            ids_by_name: Name -> ids of all scripts that sign in with it; any others were renamed.
        """
        names_before = self.scripts()
        names_after = named_scripts(names_before, new_names, ids_by_name)
        if names_after == names_before:
            return
        with self._database.transaction() as connection:
            write_script_names(
                connection,
                names_before.keys() - names_after.keys(),
                dict(names_after.items() - names_before.items()),
            )

    def prune(
        self, created_before: int, first_kept_seq: int, entry_limit: int = MOST_ENTRIES_PRUNED
    ) -> int:
        """Remove the oldest entries that are old enough and no longer needed.

        Their failures are removed with them, except dead letters. The entries to remove are
        selected before the transaction, which stays short because other writers wait for it.

        Args:
            created_before: Remove entries created before this time, in seconds since 1970, and all
                below them.
            first_kept_seq: Entries with this `seq` or above stay, and so does the last one.
            entry_limit: The most entries to remove at once.

        Returns:
            How many were removed.
        """
        first_kept_seq = find_prune_end(self, created_before, first_kept_seq, entry_limit)
        with self._database.transaction() as connection:
            removed_entries = delete_entries(connection, first_kept_seq)
            forget_calls(connection, first_kept_seq)
        self._prune_failures(first_kept_seq, entry_limit)
        return removed_entries

    def _prune_failures(self, first_kept_seq: int, failure_limit: int) -> None:
        """Remove failures of removed entries, and the oldest if there are too many."""
        newest_failure = self._database.fetch_number("SELECT coalesce(max(id), 0) FROM failures")
        with self._database.transaction() as connection:
            removed_failures = connection.execute(
                "DELETE FROM failures WHERE id IN (SELECT id FROM failures INDEXED BY"
                " failures_alive WHERE dead = 0 AND (seq < ? OR id <= ?) LIMIT ?)",
                (first_kept_seq, newest_failure - KEPT_FAILURES, failure_limit),
            ).rowcount
            if removed_failures < failure_limit:
                forget_tracebacks(connection)
                forget_settled(connection)


def find_prune_end(
    state_reader: SqliteReader, created_before: int, first_kept_seq: int, entry_limit: int
) -> int:
    """Return the lowest `seq` that stays when some of the oldest entries are removed."""
    first_seq_kept = state_reader.lowest() + entry_limit
    newer_seqs = [
        entry.seq
        for entry in state_reader.read(state_reader.lowest() - 1, entry_limit)
        if entry.created >= created_before
    ]
    return min(first_kept_seq, state_reader.end(), first_seq_kept, *newer_seqs[:1])


def write_new_era(
    connection: sqlite3.Connection, change: FeedChange, aside_numbers: Iterator[int] | None = None
) -> None:
    """Give up what is missing, drop what is parked, and write the feed's state in a new era."""
    connection.execute(
        "INSERT OR REPLACE INTO closed SELECT ?, first, last FROM missing", (change.state.era - 1,)
    )
    connection.execute(
        "INSERT OR REPLACE INTO dropped SELECT ?, first, last FROM parked", (change.state.era - 1,)
    )
    connection.execute("DELETE FROM parked")
    connection.execute("DELETE FROM missing")
    connection.execute("DELETE FROM gone")
    write_feed(connection, change, aside_numbers)


def write_script_names(
    connection: sqlite3.Connection, forgotten_ids: Iterable[int], changed_names: Mapping[int, str]
) -> None:
    """Forget the names of some scripts, and write those of others."""
    connection.executemany(
        "DELETE FROM scripts WHERE id = ?", ((script_id,) for script_id in forgotten_ids)
    )
    connection.executemany("INSERT OR REPLACE INTO scripts VALUES (?, ?)", changed_names.items())


def find_passed_over(database: Database, feed_era: int, event_id: int) -> list[tuple[int, str]]:
    """Return `(seq, plugin)` of the records that an event was passed over, in their order."""
    return [
        (seq, plugin_name)
        for seq, plugin_name in database.fetch_all(
            "SELECT seq, plugin FROM passed_over WHERE era = ? AND event = ? ORDER BY seq, plugin",
            feed_era,
            event_id,
        )
    ]


def mended_replays(
    passed_over: Iterable[tuple[int, str]], feed_era: int, mended_row: Row
) -> list[RequestDraft]:
    """Return the requests by which plugins get an event that was passed over."""
    return [
        (
            "replay",
            plugin_name,
            {"mended": mended_row.id},
            [ReplayEvent(feed_era, seq, mended_row.id, mended_row.body)],
        )
        for seq, plugin_name in passed_over
        if plugin_name
    ]


def forget_passed_over(
    connection: sqlite3.Connection,
    feed_era: int,
    event_id: int,
    passed_over: Iterable[tuple[int, str]],
) -> None:
    """Remove records that an event was passed over."""
    connection.executemany("DELETE FROM passed_over WHERE seq = ? AND plugin = ?", passed_over)
    delete_events_aside(connection, feed_era, [str(event_id)], ASIDE_IN_JOURNAL)


def write_feed(
    connection: sqlite3.Connection, change: FeedChange, aside_numbers: Iterator[int] | None = None
) -> None:
    """Write the changes of one step of the feed.

    Args:
        connection: The connection.
        change: The changes.
        aside_numbers: The numbers of records of rows set aside; None for the next ones.
    """
    encoded_state = _encode_json(change.state).decode()
    connection.execute(
        "INSERT OR REPLACE INTO feed VALUES (1, ?, ?)", (encoded_state, checksum_of(encoded_state))
    )
    era = change.state.era
    for statement, values in (
        ("DELETE FROM missing WHERE first = ?", [(first_id,) for first_id in change.cut]),
        ("INSERT OR REPLACE INTO missing VALUES (?, ?, ?, ?, ?)", change.put),
        ("DELETE FROM gone WHERE first = ?", [(first_id,) for first_id in change.cut_gone]),
        ("INSERT OR REPLACE INTO gone VALUES (?, ?)", change.put_gone),
        ("DELETE FROM parked WHERE first = ?", [(first_id,) for first_id in change.cut_parked]),
        ("INSERT OR REPLACE INTO parked VALUES (?, ?, ?, ?)", change.put_parked),
        ("INSERT OR REPLACE INTO closed VALUES (?, ?, ?)", [(era, *ids) for ids in change.closed]),
        (
            "INSERT OR REPLACE INTO dropped VALUES (?, ?, ?)",
            [(era, *ids) for ids in change.dropped],
        ),
    ):
        if values:  # even nothing to write would give other threads the interpreter's lock
            connection.executemany(statement, values)
    if change.set_aside:
        write_events_aside(connection, change.set_aside, aside_numbers)
    if change.no_more_aside:
        delete_events_aside(connection, era, change.no_more_aside, "site")
