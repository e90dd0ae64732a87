"""Writing the journal and the feed's record."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from sgevents_core.errors import StaleWriter
from sgevents_core.state.entries import MOST_ENTRIES_PRUNED, LateRow, Row
from sgevents_core.state.failures import KEPT_FAILURES
from sgevents_core.state.feed_values import ASIDE_IN_JOURNAL, FeedChange, SetAside, named_scripts
from sgevents_core.state.requests import ReplayEvent, RequestStep
from sgevents_core.state.sqlite.batches import forget_settled
from sgevents_core.state.sqlite.checksums import checksum_of, row_checksum
from sgevents_core.state.sqlite.done_parts import forget_done_parts
from sgevents_core.state.sqlite.events_aside import delete_events_aside, write_events_aside
from sgevents_core.state.sqlite.reading import SqliteReader
from sgevents_core.state.sqlite.requests import write_new_request, write_request_step
from sgevents_core.state.sqlite.tracebacks import forget_tracebacks

_encode_json: Final = msgspec.json.Encoder().encode
_ROWS_PER_STATEMENT: Final = (100, 10, 1)
_CHECKPOINT_PAGES: Final = 4000
"""Pages of the write-ahead log, of 4 KiB, after which an append moves them into the database.

Four times SQLite's own limit, so that catching up waits less often for the disk. Connections of
lanes keep that limit, and so the log stays as short as ever while events come singly.
"""
_ENTRY_PLACEHOLDERS: Final = f"({', '.join('?' * 9)})"


class SqliteFeedWriter(SqliteReader):
    """The feed's connection.

    Args:
        folder: The state's folder.

    Raises:
        StateError: See `SqliteReader`.
    """

    _is_read_only = False

    def __init__(self, state_folder: Path) -> None:
        super().__init__(state_folder)
        self._database.set_checkpoint_pages(_CHECKPOINT_PAGES)

    def append(
        self, expected_seq: int, appended_rows: Sequence[LateRow], change: FeedChange
    ) -> int:
        """Append rows and the feed's state atomically, and return the journal's new end."""
        feed_era = change.state.era
        with self._database.transaction() as connection:
            if self.end() != expected_seq:
                raise StaleWriter(what="the journal")
            _insert_entries(connection, expected_seq + 1, feed_era, appended_rows)
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
            if self.end() != expected_seq:
                raise StaleWriter(what="the journal")
            connection.execute(
                "INSERT OR REPLACE INTO closed SELECT ?, first, last FROM missing",
                (change.state.era - 1,),
            )
            connection.execute(
                "INSERT OR REPLACE INTO dropped SELECT ?, first, last FROM parked",
                (change.state.era - 1,),
            )
            connection.execute("DELETE FROM parked")
            connection.execute("DELETE FROM missing")
            connection.execute("DELETE FROM gone")
            write_feed(connection, change)
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
            if self.end() != expected_seq:
                raise StaleWriter(what="the journal")
            write_feed(connection, change)
            write_request_step(connection, step)

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
                _mend_entry(connection, feed_era, mended_row)

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
            forgotten_ids = [(script_id,) for script_id in names_before.keys() - names_after.keys()]
            connection.executemany("DELETE FROM scripts WHERE id = ?", forgotten_ids)
            changed_names = names_after.items() - names_before.items()
            connection.executemany("INSERT OR REPLACE INTO scripts VALUES (?, ?)", changed_names)

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
        first_seq_kept = self.lowest() + entry_limit
        newer_row = self._database.fetch_one(
            "SELECT seq FROM journal WHERE seq < ? AND created_at >= ? ORDER BY seq LIMIT 1",
            first_seq_kept,
            created_before,
        )
        first_kept_seq = min(first_kept_seq, self.end(), first_seq_kept, *(newer_row or ()))
        with self._database.transaction() as connection:
            removed_entries = connection.execute(
                "DELETE FROM journal WHERE seq < ?", (first_kept_seq,)
            ).rowcount
            connection.execute(
                "DELETE FROM attempts WHERE seq < ?"
                " AND seq NOT IN (SELECT batch FROM batched WHERE letter = 0)",
                (first_kept_seq,),
            )
            connection.execute("DELETE FROM ignored WHERE seq < ?", (first_kept_seq,))
            forget_done_parts(connection, first_kept_seq)
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


def _mend_entry(connection: sqlite3.Connection, feed_era: int, mended_row: Row) -> None:
    passed_over_rows = connection.execute(
        "SELECT seq, plugin FROM passed_over WHERE era = ? AND event = ? ORDER BY seq, plugin",
        (feed_era, mended_row.id),
    ).fetchall()
    for seq in {seq for seq, _ in passed_over_rows}:
        connection.execute(
            "UPDATE journal SET event_type = ?, created_at = ?, body = ?, sum = ? WHERE seq = ?",
            (
                mended_row.event_type,
                mended_row.at,
                mended_row.body,
                _checksum_of_row(feed_era, mended_row),
                seq,
            ),
        )
    for seq, plugin_name in passed_over_rows:
        if plugin_name:
            replayed_event = ReplayEvent(feed_era, seq, mended_row.id, mended_row.body)
            write_new_request(
                connection,
                "sgevents",
                ("replay", plugin_name, {"mended": mended_row.id}, [replayed_event]),
            )
    connection.execute(
        "DELETE FROM passed_over WHERE era = ? AND event = ?", (feed_era, mended_row.id)
    )
    delete_events_aside(connection, feed_era, [str(mended_row.id)], ASIDE_IN_JOURNAL)


def _checksum_of_row(feed_era: int, site_row: Row) -> int:
    type_bytes = site_row.event_type.encode()
    return row_checksum(feed_era, site_row.id, type_bytes, site_row.at, site_row.body)


def _insert_entries(
    connection: sqlite3.Connection, first_seq: int, era: int, late_rows: Sequence[LateRow]
) -> None:
    """Insert rows, many per statement: each gives other threads the interpreter's lock."""
    for rows_at_once in _ROWS_PER_STATEMENT:
        row_count = len(late_rows) // rows_at_once * rows_at_once
        placeholders = ", ".join([_ENTRY_PLACEHOLDERS] * rows_at_once)
        insert_statement = f"INSERT INTO journal VALUES {placeholders}"  # noqa: S608 - our own
        for batch_start in range(0, row_count, rows_at_once):
            connection.execute(
                insert_statement,
                [
                    column
                    for seq, (row, late) in enumerate(
                        late_rows[batch_start : batch_start + rows_at_once], first_seq + batch_start
                    )
                    for column in (seq, era, row.id, row.event_type, row.at, late, row.body,
                                   _checksum_of_row(era, row), row.strands)
                ],
            )  # fmt: skip
        first_seq, late_rows = first_seq + row_count, late_rows[row_count:]


def write_feed(connection: sqlite3.Connection, change: FeedChange) -> None:
    """Write the changes of one step of the feed."""
    encoded_state = _encode_json(change.state).decode()
    connection.execute(
        "INSERT OR REPLACE INTO feed VALUES (1, ?, ?)", (encoded_state, checksum_of(encoded_state))
    )
    connection.executemany(
        "DELETE FROM missing WHERE first = ?", ((first_id,) for first_id in change.cut)
    )
    connection.executemany("INSERT OR REPLACE INTO missing VALUES (?, ?, ?, ?, ?)", change.put)
    connection.executemany(
        "DELETE FROM gone WHERE first = ?", ((first_id,) for first_id in change.cut_gone)
    )
    connection.executemany("INSERT OR REPLACE INTO gone VALUES (?, ?)", change.put_gone)
    connection.executemany(
        "DELETE FROM parked WHERE first = ?", ((first_id,) for first_id in change.cut_parked)
    )
    connection.executemany("INSERT OR REPLACE INTO parked VALUES (?, ?, ?, ?)", change.put_parked)
    write_events_aside(connection, change.set_aside)
    delete_events_aside(connection, change.state.era, change.no_more_aside, "site")
    for table_name, id_ranges in (("closed", change.closed), ("dropped", change.dropped)):
        connection.executemany(
            f"INSERT OR REPLACE INTO {table_name} VALUES (?, ?, ?)",  # noqa: S608 - of the two above
            ((change.state.era, *id_range) for id_range in id_ranges),
        )
