"""Writing the journal and the feed's record."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from sgevents_core.errors import StaleWriter
from sgevents_core.state.entries import MOST_PRUNED, LateRow, Row
from sgevents_core.state.failures import KEPT_FAILURES
from sgevents_core.state.feed_values import JOURNAL, FeedChange, SetAside, named_scripts
from sgevents_core.state.requests import ReplayEvent, RequestStep
from sgevents_core.state.sqlite.aside import delete_aside, write_aside
from sgevents_core.state.sqlite.checksums import checksum_of, row_checksum
from sgevents_core.state.sqlite.reading import SqliteReader
from sgevents_core.state.sqlite.requests import write_asked, write_request
from sgevents_core.state.sqlite.tracebacks import forget_tracebacks

_encode: Final = msgspec.json.Encoder().encode
_ROWS_AT_ONCE: Final = 50
_ENTRY_VALUES: Final = f"({', '.join('?' * 9)})"


class SqliteFeedWriter(SqliteReader):
    """The feed's connection.

    Args:
        folder: The state's folder.

    Raises:
        StateError: See `SqliteReader`.
    """

    _read_only = False

    def append(self, expected_seq: int, rows: Sequence[LateRow], change: FeedChange) -> int:
        """Append rows and the feed's state atomically, and return the journal's new end."""
        era = change.state.era
        with self._db.transaction() as db:
            if self.end() != expected_seq:
                raise StaleWriter(what="the journal")
            _insert(db, expected_seq + 1, era, rows)
            write_feed(db, change)
        return expected_seq + len(rows)

    def begin_era(self, expected_seq: int, change: FeedChange, step: RequestStep) -> None:
        """Begin a new era of the feed, as a person asked: new rows belong to another log.

        Ids missing in the old log are given up and parked rows dropped; both are kept for the
        record.

        Args:
            expected_seq: The journal's end as the writer knows it.
            change: The feed's state in the new era.
            step: The request, answered.

        Raises:
            StaleWriter: Another writer has appended since; nothing was written.
        """
        with self._db.transaction(durable=True) as db:
            if self.end() != expected_seq:
                raise StaleWriter(what="the journal")
            db.execute(
                "INSERT OR REPLACE INTO closed SELECT ?, first, last FROM missing",
                (change.state.era - 1,),
            )
            db.execute(
                "INSERT OR REPLACE INTO dropped SELECT ?, first, last FROM parked",
                (change.state.era - 1,),
            )
            db.execute("DELETE FROM parked")
            db.execute("DELETE FROM missing")
            db.execute("DELETE FROM gone")
            write_feed(db, change)
            write_request(db, step)

    def decide(self, expected_seq: int, change: FeedChange, step: RequestStep) -> None:
        """Write a person's decision about ids of the feed and the request's answer, atomically.

        Args:
            expected_seq: The journal's end as the writer knows it.
            change: The feed's state after it.
            step: The request, answered.

        Raises:
            StaleWriter: Another writer has appended since; nothing was written.
        """
        with self._db.transaction(durable=True) as db:
            if self.end() != expected_seq:
                raise StaleWriter(what="the journal")
            write_feed(db, change)
            write_request(db, step)

    def answer(self, step: RequestStep) -> None:
        """Answer a request that needs no other record."""
        with self._db.transaction() as db:
            write_request(db, step)

    def set_aside(self, event: int | str, reason: str, where: str, at: float, era: int = 1) -> bool:
        """Set an event aside by name; return whether it is newly set aside. See `SetAside`."""
        with self._db.transaction(durable=True) as db:
            return write_aside(db, [SetAside(str(event), reason, where, at, era)]) > 0

    def forget_aside(self, events: Sequence[SetAside], step: RequestStep) -> None:
        """Clear events that are set aside, as a person asked, and write the answer, atomically."""
        with self._db.transaction(durable=True) as db:
            for aside in events:
                delete_aside(db, aside.era, [aside.event], aside.where)
            write_request(db, step)

    def mend(self, era: int, rows: Iterable[Row]) -> None:
        """Replace entries that were passed over by rows read again from the site.

        Each plugin that still needs such an event gets it by a replay.

        Args:
            era: The era of the feed.
            rows: The rows.
        """
        with self._db.transaction(durable=True) as db:
            for row in rows:
                _mend(db, era, row)

    def keep_scripts(
        self, names: Mapping[int, str], ids_by_name: Mapping[str, Collection[int]]
    ) -> None:
        """Record the names of scripts.

        Args:
            names: Id -> name.
            ids_by_name: Name -> ids of all scripts that sign in with it; any others were renamed.
        """
        before = self.scripts()
        after = named_scripts(before, names, ids_by_name)
        if after == before:
            return
        with self._db.transaction() as db:
            gone = [(one,) for one in before.keys() - after.keys()]
            db.executemany("DELETE FROM scripts WHERE id = ?", gone)
            changed = after.items() - before.items()
            db.executemany("INSERT OR REPLACE INTO scripts VALUES (?, ?)", changed)

    def prune(self, before: int, keep_from: int, limit: int = MOST_PRUNED) -> int:
        """Remove the oldest entries that are old enough and no longer needed.

        Their failures are removed with them, except dead letters. What to remove is found before
        the transaction begins, so that it is short: others wait for it.

        Args:
            before: Remove entries created before this time, in seconds since 1970, and all below
                them.
            keep_from: Entries with this `seq` or above stay, and so does the last one.
            limit: The most entries to remove at once.

        Returns:
            How many were removed.
        """
        highest = self.lowest() + limit
        young = self._db.fetch_one(
            "SELECT seq FROM journal WHERE seq < ? AND created_at >= ? ORDER BY seq LIMIT 1",
            highest,
            before,
        )
        keep_from = min(keep_from, self.end(), highest, *(young or ()))
        with self._db.transaction() as db:
            removed = db.execute("DELETE FROM journal WHERE seq < ?", (keep_from,)).rowcount
            db.execute("DELETE FROM attempts WHERE seq < ?", (keep_from,))
        self._prune_failures(keep_from, limit)
        return removed

    def _prune_failures(self, keep_from: int, limit: int) -> None:
        """Remove failures of removed entries, and the oldest if there are too many."""
        newest = self._db.fetch_number("SELECT coalesce(max(id), 0) FROM failures")
        with self._db.transaction() as db:
            removed = db.execute(
                "DELETE FROM failures WHERE id IN (SELECT id FROM failures INDEXED BY"
                " failures_alive WHERE dead = 0 AND (seq < ? OR id <= ?) LIMIT ?)",
                (keep_from, newest - KEPT_FAILURES, limit),
            ).rowcount
            if removed < limit:
                forget_tracebacks(db)


def _mend(db: sqlite3.Connection, era: int, row: Row) -> None:
    rows = db.execute(
        "SELECT seq, plugin FROM passed_over WHERE era = ? AND event = ? ORDER BY seq, plugin",
        (era, row.id),
    ).fetchall()
    for seq in {seq for seq, _ in rows}:
        db.execute(
            "UPDATE journal SET event_type = ?, created_at = ?, body = ?, sum = ? WHERE seq = ?",
            (row.event_type, row.at, row.body, _sum(era, row), seq),
        )
    for seq, plugin in rows:
        if plugin:
            event = ReplayEvent(era, seq, row.id, row.body)
            write_asked(db, "sgevents", ("replay", plugin, {"mended": row.id}, [event]))
    db.execute("DELETE FROM passed_over WHERE era = ? AND event = ?", (era, row.id))
    delete_aside(db, era, [str(row.id)], JOURNAL)


def _sum(era: int, row: Row) -> int:
    return row_checksum(era, row.id, row.event_type, row.at, row.body)


def _insert(db: sqlite3.Connection, seq: int, era: int, rows: Sequence[LateRow]) -> None:
    """Insert rows, many in one statement: each one gives other threads the interpreter's lock."""
    for size in (_ROWS_AT_ONCE, 1):
        count = len(rows) // size * size
        statement = f"INSERT INTO journal VALUES {', '.join([_ENTRY_VALUES] * size)}"  # noqa: S608 - our own
        for start in range(0, count, size):
            db.execute(
                statement,
                [
                    value
                    for number, ((id_, at, event_type, body, _, strands), late) in enumerate(
                        rows[start : start + size], seq + start
                    )
                    for value in (number, era, id_, event_type, at, late, body,
                                  row_checksum(era, id_, event_type, at, body), strands)
                ],
            )  # fmt: skip
        seq, rows = seq + count, rows[count:]


def write_feed(db: sqlite3.Connection, change: FeedChange) -> None:
    """Write the changes of one step of the feed."""
    text = _encode(change.state).decode()
    db.execute("INSERT OR REPLACE INTO feed VALUES (1, ?, ?)", (text, checksum_of(text)))
    db.executemany("DELETE FROM missing WHERE first = ?", ((f,) for f in change.cut))
    db.executemany("INSERT OR REPLACE INTO missing VALUES (?, ?, ?, ?, ?)", change.put)
    db.executemany("DELETE FROM gone WHERE first = ?", ((f,) for f in change.cut_gone))
    db.executemany("INSERT OR REPLACE INTO gone VALUES (?, ?)", change.put_gone)
    db.executemany("DELETE FROM parked WHERE first = ?", ((f,) for f in change.cut_parked))
    db.executemany("INSERT OR REPLACE INTO parked VALUES (?, ?, ?, ?)", change.put_parked)
    write_aside(db, change.set_aside)
    delete_aside(db, change.state.era, change.no_more_aside, "site")
    for table, spans in (("closed", change.closed), ("dropped", change.dropped)):
        db.executemany(
            f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)",  # noqa: S608 - of the two above
            ((change.state.era, *span) for span in spans),
        )
