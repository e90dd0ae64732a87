"""The journal and the ledger in one SQLite database on a local disk, so a step commits as one.

Each thread opens its own `SqliteState`; SQLite keeps the writers apart.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from sgevents_core.errors import StaleWriter, StateError
from sgevents_core.journal import schema
from sgevents_core.journal.base import (
    REMOVED,
    Entry,
    Failure,
    FeedChange,
    FeedRecord,
    FeedState,
    LateRow,
    Missing,
    Place,
    PluginRecord,
    Step,
)

DATABASE: Final = "sgevents.db"
_encode: Final = msgspec.json.Encoder().encode
_decode_feed: Final = msgspec.json.Decoder(FeedState).decode
_decode_names: Final = msgspec.json.Decoder(frozenset[str]).decode


class SqliteState:
    """Journal and ledger over one connection; for one thread.

    Args:
        folder: The state's folder.
        read_only: Whether nothing may be written or made.

    Raises:
        StateError: The database cannot be opened, or was written by a newer version.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._path = folder / DATABASE
        mode = "?mode=ro" if read_only else "?mode=rwc"
        with self._told():
            self._db = sqlite3.connect(
                f"{self._path.absolute().as_uri()}{mode}",
                uri=True,
                timeout=30,
                isolation_level=None,
                check_same_thread=False,
            )
            self._db.execute("PRAGMA busy_timeout = 30000")
            if not read_only:
                schema.prepare(self._db)
            self._version = schema.check(self._db, self._path)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    # Journal

    def load_feed(self) -> FeedRecord | None:
        """Return the feed's state, None before the first start."""
        with self._told():
            found = self._db.execute("SELECT state FROM feed").fetchone()
            if found is None:
                return None
            missing = self._db.execute(
                "SELECT first, last, below_at, noticed, hot FROM missing ORDER BY first"
            )
            gone = self._db.execute("SELECT first, last FROM gone ORDER BY first")
            return FeedRecord(
                _decode_feed(found[0]),
                [Missing(*row) for row in missing],
                list(gone),
            )

    def append(self, expected_seq: int, rows: Sequence[LateRow], change: FeedChange) -> int:
        """Append rows and the feed's state as one, and return the journal's new end."""
        era = change.state.era
        with self._told(), self._transaction():
            if self.end() != expected_seq:
                raise StaleWriter(what="the journal")
            self._db.executemany(
                "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    (seq, era, row.id, row.event_type, row.at, late, row.body)
                    for seq, (row, late) in enumerate(rows, expected_seq + 1)
                ),
            )
            self._write_feed(change)
        return expected_seq + len(rows)

    def _write_feed(self, change: FeedChange) -> None:
        db = self._db
        db.execute("INSERT OR REPLACE INTO feed VALUES (1, ?)", (_encode(change.state).decode(),))
        db.executemany("DELETE FROM missing WHERE first = ?", ((f,) for f in change.cut))
        db.executemany("INSERT OR REPLACE INTO missing VALUES (?, ?, ?, ?, ?)", change.put)
        db.executemany("DELETE FROM gone WHERE first = ?", ((f,) for f in change.cut_gone))
        db.executemany("INSERT OR REPLACE INTO gone VALUES (?, ?)", change.put_gone)
        db.executemany(
            "INSERT OR REPLACE INTO closed VALUES (?, ?, ?)",
            ((change.state.era, *span) for span in change.closed),
        )

    def end(self) -> int:
        """Return the highest `seq`, 0 for an empty journal."""
        return int(self._db.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()[0])

    def lowest(self) -> int:
        """Return the lowest `seq` that is kept, the next one for an empty journal."""
        found = self._db.execute("SELECT min(seq) FROM journal").fetchone()[0]
        return self.end() + 1 if found is None else int(found)

    def read(self, after: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries with a `seq` above `after`, ascending."""
        found = self._db.execute(
            "SELECT seq, event_id, event_type, created_at, late, body FROM journal"
            " WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        )
        return [Entry(*row) for row in found]

    def created_after(self, seq: int) -> int | None:
        """Return `created_at` of the first entry above `seq`, None when there is none."""
        found = self._db.execute(
            "SELECT created_at FROM journal WHERE seq > ? ORDER BY seq LIMIT 1", (seq,)
        ).fetchone()
        return None if found is None else int(found[0])

    def seq_before(self, column: str, value: int) -> int:
        """Return the `seq` below the first entry whose `event_id` or `created_at` is at least so.

        Args:
            column: `event_id` or `created_at`.
            value: The id, or seconds since 1970.
        """
        if column not in {"event_id", "created_at"}:
            raise ValueError(column)
        found = self._db.execute(
            f"SELECT min(seq) - 1 FROM journal WHERE {column} >= ?",  # noqa: S608 - of the two above
            (value,),
        ).fetchone()
        return self.end() if found[0] is None else int(found[0])

    # Ledger

    def take_lane(self, lane: str) -> int:
        """Return a new fence for the lane; every older one is refused from here on."""
        with self._told(), self._transaction():
            self._db.execute(
                "INSERT INTO lanes (name, fence) VALUES (?, 1)"
                " ON CONFLICT (name) DO UPDATE SET fence = fence + 1",
                (lane,),
            )
            found = self._db.execute("SELECT fence FROM lanes WHERE name = ?", (lane,)).fetchone()
        return int(found[0])

    def lane_place(self, lane: str) -> Place | None:
        """Return how far a lane is as last recorded, None for a lane never seen."""
        found = self._db.execute("SELECT seq, done FROM lanes WHERE name = ?", (lane,)).fetchone()
        if found is None:
            return None
        return Place(found[0], None if found[1] is None else _decode_names(found[1]))

    def plugins(self) -> dict[str, PluginRecord]:
        """Return the records of all plugins that were ever enabled, by name."""
        found = self._db.execute(
            "SELECT name, lane, cursor, apart, done, state, reason, retry_at, failures"
            " FROM plugins ORDER BY name"
        )
        return {
            row[0]: PluginRecord(
                row[0], row[1], row[2], bool(row[3]), _decode_names(row[4]), *row[5:]
            )
            for row in found
        }

    def lowest_cursor(self, plugins: Collection[str]) -> int:
        """Return the lowest cursor of some plugins: everything above it is still needed."""
        records = self.plugins().values()
        own = [record.cursor for record in records if record.apart and record.name in plugins]
        lanes = self._db.execute("SELECT seq - 1 FROM lanes").fetchall()
        return min([*own, *(row[0] for row in lanes)], default=0)

    def record(self, lane: str, fence: int, step: Step) -> int:
        """Write one step as one, and return the number of its failure, 0 without one."""
        number = 0
        with self._told(), self._transaction(durable=step.durable):
            held = self._db.execute("SELECT fence FROM lanes WHERE name = ?", (lane,)).fetchone()
            if held is None or held[0] != fence:
                raise StaleWriter(what=f"lane {lane}")
            if step.place is not None:
                self._write_place(lane, step.place)
            for record in step.plugins:
                self._write_plugin(record)
            if step.failure is not None:
                number = self._write_failure(step.failure, dead=step.dead)
            for plugin, callback, seq, attempts in step.doubts:
                self._write_attempts(plugin, callback, seq, attempts, "the process died in it")
            if step.settled is not None:
                self._db.execute(
                    "DELETE FROM attempts WHERE plugin = ? AND callback = ? AND seq = ?",
                    step.settled,
                )
            for plugin, changes in step.store.items():
                self._write_store(plugin, changes)
        return number

    def _write_place(self, lane: str, place: Place) -> None:
        done = None if place.done is None else _encode(sorted(place.done)).decode()
        self._db.execute(
            "UPDATE lanes SET seq = ?, done = ? WHERE name = ?", (place.seq, done, lane)
        )

    def _write_plugin(self, record: PluginRecord) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO plugins VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                record.name,
                record.lane,
                record.cursor,
                record.apart,
                _encode(sorted(record.done)).decode(),
                record.state,
                record.reason,
                record.retry_at,
                record.failures,
            ),
        )

    def _write_failure(self, failure: Failure, *, dead: bool) -> int:
        f = failure
        cursor = self._db.execute(
            "INSERT INTO failures (plugin, callback, seq, event_id, attempt, error, traceback, at,"
            " outcome, dead, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
            " (SELECT body FROM journal WHERE seq = ?))",
            (f.plugin, f.callback, f.seq, f.event_id, f.attempt, f.error, f.traceback, f.at,
             f.outcome, dead, f.seq),
        )  # fmt: skip
        self._write_attempts(f.plugin, f.callback, f.seq, f.attempt, f.error)
        return cursor.lastrowid or 0

    def _write_attempts(
        self, plugin: str, callback: str, seq: int, attempts: int, error: str
    ) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?)",
            (plugin, callback, seq, attempts, error),
        )

    def _write_store(self, plugin: str, changes: dict[str, Any]) -> None:
        removed = [(plugin, key) for key, value in changes.items() if value is REMOVED]
        self._db.executemany("DELETE FROM stores WHERE plugin = ? AND key = ?", removed)
        self._db.executemany(
            "INSERT OR REPLACE INTO stores VALUES (?, ?, ?)",
            (
                (plugin, key, _encode(value).decode())
                for key, value in changes.items()
                if value is not REMOVED
            ),
        )

    def tried(self) -> dict[tuple[str, int], int]:
        """Return `(plugin\0callback, seq)` -> attempts, of all calls that are not settled."""
        found = self._db.execute("SELECT plugin, callback, seq, attempts FROM attempts")
        return {(f"{plugin}\0{callback}", seq): count for plugin, callback, seq, count in found}

    def store(self, plugin: str) -> dict[str, Any]:
        """Return the plugin's store as last committed."""
        found = self._db.execute("SELECT key, value FROM stores WHERE plugin = ?", (plugin,))
        return {key: msgspec.json.decode(value) for key, value in found}

    def dead_letters(self, plugin: str | None = None) -> list[Failure]:
        """Return the dead letters, oldest first."""
        found = self._db.execute(
            "SELECT plugin, callback, seq, event_id, attempt, error, traceback, at, outcome"
            " FROM failures WHERE dead = 1 AND (? IS NULL OR plugin = ?) ORDER BY id",
            (plugin, plugin),
        )
        return [Failure(*row) for row in found]

    def prune(self, before: int, keep_from: int, limit: int = 10_000) -> int:
        """Remove the oldest entries that are old enough and needed by nobody.

        Args:
            before: Only those created before, in seconds since 1970.
            keep_from: Entries with this `seq` or above stay.
            limit: Most entries removed at once.

        Returns:
            How many were removed.
        """
        with self._told(), self._transaction():
            self._db.execute(
                "DELETE FROM journal WHERE seq IN (SELECT seq FROM journal"
                " WHERE seq < ? AND created_at < ? ORDER BY seq LIMIT ?)",
                (min(keep_from, self.end()), before, limit),
            )
            return int(self._db.execute("SELECT changes()").fetchone()[0])

    @contextmanager
    def _transaction(self, *, durable: bool = False) -> Iterator[None]:
        if durable:
            self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        finally:
            if durable:
                self._db.execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StateError(path=str(self._path), reason=str(error)) from error
