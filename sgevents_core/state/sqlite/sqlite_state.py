"""The journal and the ledger in one SQLite database on a local disk, so that a step is one commit.

Each thread opens its own `SqliteState`; SQLite keeps the writers apart.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from sgevents_core.errors import StaleWriter
from sgevents_core.state.base import (
    Entry,
    Failure,
    FeedChange,
    FeedRecord,
    FeedState,
    LateRow,
    Missing,
    Parked,
    PluginRecord,
    Row,
    Step,
)
from sgevents_core.state.keys import CallKey
from sgevents_core.state.needs import FeedTrouble
from sgevents_core.state.progress import BEGINNING, Progress
from sgevents_core.state.sqlite.aside import (
    JOURNAL,
    SetAside,
    delete_aside,
    read_aside,
    write_aside,
)
from sgevents_core.state.sqlite.checksums import decoded, make_sure, sum_column, sum_of, sum_of_row
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.sqlite.requests import Replayed, write_asked, write_request
from sgevents_core.state.sqlite.tracebacks import (
    forget_tracebacks,
    share_tracebacks,
    traceback_column,
)
from sgevents_core.state.sqlite.writing import write_step
from sgevents_core.state.steps import RequestStep

KEPT_FAILURES: Final = 10_000
"""The number of failures, besides dead letters, that are kept whatever their age."""
_SCRIPTS_SINCE: Final = 5
"""The version of the schema that first had the table `scripts`."""
_PARKED_SINCE: Final = 3
"""The version of the schema that first had the table `parked`."""
_STRANDS_SINCE: Final = 9
"""The version of the schema that first kept the strands of events."""
_LAST_ENTRIES: Final = 20_000
"""How many entries at the end of the journal show which event types a site has."""
_ENTRY: Final = "seq, event_id, event_type, created_at, late, body, era"
_encode: Final = msgspec.json.Encoder().encode
_decode_feed: Final = msgspec.json.Decoder(FeedState).decode
_decode_any: Final = msgspec.json.Decoder().decode
_decode_names: Final = msgspec.json.Decoder(list[str]).decode


class SqliteState:
    """The journal and the ledger over one connection, for one thread at a time.

    Args:
        folder: The state's folder.
        read_only: Whether nothing may be written or created.

    Raises:
        StateError: The database cannot be opened, or was written by a newer version. Every method
            raises it if the database fails; then nothing was written.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._db = Database(folder, read_only=read_only)
        self._sum = sum_column(self._db)
        version = self._db.number("PRAGMA user_version")
        self._strands = "strands" if version >= _STRANDS_SINCE else "NULL"

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    @property
    def made(self) -> bool:
        """Whether its tables exist; they may be missing while another process creates them."""
        return self._db.number("PRAGMA user_version") > 0

    # Journal

    def load_feed(self) -> FeedRecord | None:
        """Return the feed's state, None before the first start."""
        found = self._db.one(f"SELECT state, {self._sum} FROM feed")  # noqa: S608 - our own
        if found is None:
            return None
        make_sure(self._db, "the record of the feed", found[1], found[0])
        missing = self._db.all(
            "SELECT first, last, below_at, noticed, hot FROM missing ORDER BY first"
        )
        gone = self._db.all("SELECT first, last FROM gone ORDER BY first")
        return FeedRecord(
            decoded(self._db, "the record of the feed", _decode_feed, found[0]),
            [
                Missing(first, last, below_at, noticed, bool(hot))
                for first, last, below_at, noticed, hot in missing
            ],
            [(first, last) for first, last in gone],
            self._parked(),
            {one.event for one in self.aside() if one.where == "site"},
        )

    def _parked(self) -> list[Parked]:
        if self._db.number("PRAGMA user_version") < _PARKED_SINCE:
            return []  # read-only: an older daemon runs on it, or it will be upgraded later
        found = self._db.all("SELECT first, last, number, at FROM parked ORDER BY first")
        return [Parked(*row) for row in found]

    def append(self, expected_seq: int, rows: Sequence[LateRow], change: FeedChange) -> int:
        """Append rows and the feed's state atomically, and return the journal's new end."""
        era = change.state.era
        with self._db.transaction() as db:
            if self.end() != expected_seq:
                raise StaleWriter(what="the journal")
            db.executemany(
                "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (seq, era, row.id, row.event_type, row.at, late, row.body, _sum(era, row),
                     row.strands)
                    for seq, (row, late) in enumerate(rows, expected_seq + 1)
                ),
            )  # fmt: skip
            _write_feed(db, change)
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
            _write_feed(db, change)
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
            _write_feed(db, change)
            write_request(db, step)

    def set_aside(self, event: int | str, reason: str, where: str, at: float, era: int = 1) -> bool:
        """Set an event aside by name; return whether it is newly set aside. See `SetAside`."""
        with self._db.transaction(durable=True) as db:
            return write_aside(db, [SetAside(str(event), reason, where, at, era)]) > 0

    def aside(self) -> list[SetAside]:
        """Return the events that are set aside, oldest first."""
        return read_aside(self._db)

    def forget_aside(self, ones: Sequence[SetAside], step: RequestStep) -> None:
        """Clear events that are set aside, as a person asked, and write the answer, atomically."""
        with self._db.transaction(durable=True) as db:
            for one in ones:
                delete_aside(db, one.era, [one.event], one.where)
            write_request(db, step)

    def scripts(self) -> dict[int, str]:
        """Return the known names of the site's scripts, by id."""
        if self._db.number("PRAGMA user_version") < _SCRIPTS_SINCE:
            return {}
        return dict(self._db.all("SELECT id, name FROM scripts"))

    def keep_scripts(self, names: Mapping[int, str], own: Mapping[str, Collection[int]]) -> None:
        """Record the names of scripts.

        Args:
            names: Id -> name.
            own: Name -> ids of all scripts that sign in with it; any others were renamed.
        """
        before = self.scripts()
        settled = {one: name for name, ids in own.items() for one in ids}
        after = {one: name for one, name in before.items() if name not in own}
        after.update({**names, **settled})
        if after == before:
            return
        with self._db.transaction() as db:
            gone = [(one,) for one in before.keys() - after.keys()]
            db.executemany("DELETE FROM scripts WHERE id = ?", gone)
            changed = after.items() - before.items()
            db.executemany("INSERT OR REPLACE INTO scripts VALUES (?, ?)", changed)

    def answer(self, step: RequestStep) -> None:
        """Answer a request that needs no other record."""
        with self._db.transaction() as db:
            write_request(db, step)

    def end(self) -> int:
        """Return the highest `seq`, 0 for an empty journal."""
        return self._db.number("SELECT coalesce(max(seq), 0) FROM journal")

    def lowest(self) -> int:
        """Return the lowest `seq` that is kept; the next one for an empty journal."""
        return self._db.number("SELECT coalesce(min(seq), 1) FROM journal")

    def event_types(self) -> list[str]:
        """Return the event types of the last entries, each once."""
        found = self._db.all(
            "SELECT DISTINCT event_type FROM journal WHERE seq > ?", self.end() - _LAST_ENTRIES
        )
        return [event_type for (event_type,) in found]

    def read(self, after: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries with a `seq` above `after`, ascending."""
        found = self._db.all(
            f"SELECT {_ENTRY}, {self._sum}, {self._strands}"  # noqa: S608 - our own
            " FROM journal WHERE seq > ? ORDER BY seq LIMIT ?",
            after,
            limit,
        )
        return [_entry(row) for row in found]

    def pass_over(self, entry: Entry, plugins: Collection[str], reason: str) -> bool:
        """Set aside an entry that cannot be read, and record the plugins that still need its event.

        Returns:
            Whether it is newly set aside.
        """
        aside = SetAside(str(entry.event_id), reason, JOURNAL, time.time(), entry.era)
        with self._db.transaction(durable=True) as db:
            db.executemany(
                "INSERT OR IGNORE INTO passed_over VALUES (?, ?, ?, ?)",
                ((entry.seq, name, entry.era, entry.event_id) for name in (*plugins, "")),
            )
            return write_aside(db, [aside]) > 0

    def passed_over(self, era: int) -> list[int]:
        """Return the ids of the events of an era whose entries were passed over."""
        found = self._db.all("SELECT DISTINCT event FROM passed_over WHERE era = ?", era)
        return [int(event) for (event,) in found]

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

    def created_after(self, seq: int) -> int | None:
        """Return `created_at` of the first entry above `seq`; None if there is none."""
        found = self._db.one(
            "SELECT created_at FROM journal WHERE seq > ? ORDER BY seq LIMIT 1", seq
        )
        return None if found is None else int(found[0])

    def seq_before(self, column: str, value: int) -> int:
        """Return the `seq` below the first entry whose `event_id` or `created_at` reaches a value.

        Args:
            column: `event_id` or `created_at`.
            value: The id, or seconds since 1970.
        """
        if column not in {"event_id", "created_at"}:
            raise ValueError(column)
        found = self._db.one(
            f"SELECT min(seq) - 1 FROM journal WHERE {column} >= ?",  # noqa: S608 - of the two above
            value,
        )
        return self.end() if found is None or found[0] is None else int(found[0])

    # Ledger

    def take_lane(self, lane: str) -> int:
        """Return a new fence for the lane; older ones are refused from now on."""
        with self._db.transaction() as db:
            db.execute(
                "INSERT INTO lanes (name, fence) VALUES (?, 1)"
                " ON CONFLICT (name) DO UPDATE SET fence = fence + 1",
                (lane,),
            )
            return self._db.number("SELECT fence FROM lanes WHERE name = ?", lane)

    def feed_trouble(self) -> FeedTrouble:
        """Return the feed's recorded trouble, without reading the missing ranges."""
        found = self._db.one("SELECT state FROM feed")
        rewound = "" if found is None else str(msgspec.json.decode(found[0]).get("rewound", ""))
        count, first, last = self._db.all(
            "SELECT coalesce(sum(last - first + 1), 0), min(first), max(last) FROM parked"
        )[0]
        aside = [one.event for one in self.aside()]
        return FeedTrouble(rewound, count, first or 0, last or 0, aside)

    def lane_progress(self, lane: str) -> Progress | None:
        """Return a lane's last recorded position; None for a lane never seen."""
        found = self._db.one(f"SELECT seq, done, {self._sum} FROM lanes WHERE name = ?", lane)  # noqa: S608 - our own
        if found is None:
            return None
        make_sure(self._db, f"the place of lane {lane}", found[2], lane, *found[:2])
        seq, done, _ = found
        what = f"the place of lane {lane}"
        if done is None:
            return Progress(seq)
        return Progress.at(seq, decoded(self._db, what, _decode_keys, done))

    def plugins(self) -> dict[str, PluginRecord]:
        """Return the records of all plugins ever enabled, by name."""
        found = self._db.all(
            "SELECT name, lane, cursor, apart, done, state, reason, retry_at, failures,"  # noqa: S608 - our own
            f" {self._sum} FROM plugins ORDER BY name"
        )
        for *values, checksum in found:
            make_sure(self._db, f"the record of plugin {values[0]}", checksum, *values)
        return {values[0]: self._plugin(*values) for *values, _ in found}

    def _plugin(
        self, name: str, lane: str, cursor: int, apart: int, done: str, *standing: Any
    ) -> PluginRecord:
        finished = decoded(self._db, f"the record of plugin {name}", _decode_keys, done)
        state, reason, *rest = standing
        if state == "active" and reason:  # earlier versions stored "not started" like this
            state = "not started"
        return PluginRecord(
            name, lane, Progress(cursor, finished), bool(apart), state, reason, *rest
        )

    def lowest_cursor(self, plugins: Collection[str]) -> int:
        """Return the highest `seq` up to which all the given plugins have finished.

        Everything above it is still needed by one of them; without plugins, nothing is.
        """
        cursors = [self.end()]
        for record in self.plugins().values():
            if record.name not in plugins:
                continue
            lane = None if record.apart else self.lane_progress(record.lane)
            cursors.append((lane or record.progress).finished)
        return min(cursors)

    def record(self, lane: str, fence: int, step: Step) -> int:
        """Write one step atomically, and return the number of its failure, 0 if it has none."""
        with self._db.transaction(durable=step.durable) as db:
            self._check_fence(lane, fence)
            return write_step(db, lane, step)

    def advance(
        self, lane: str, fence: int, advanced: Callable[[Progress, list[PluginRecord]], Step]
    ) -> None:
        """Advance a lane and its plugins from their recorded positions, in one transaction.

        Args:
            lane: The lane.
            fence: The lane's newest fence.
            advanced: Returns the step to write, from the lane's progress and its plugins' records.

        Raises:
            StaleWriter: `fence` is not the lane's newest; nothing was written.
        """
        with self._db.transaction() as db:
            self._check_fence(lane, fence)
            mine = [record for record in self.plugins().values() if record.lane == lane]
            write_step(db, lane, advanced(self.lane_progress(lane) or BEGINNING, mine))

    def sync(self) -> None:
        """Flush to disk everything committed by any connection."""
        self._db.sync()

    def _check_fence(self, lane: str, fence: int) -> None:
        if self._db.one("SELECT fence FROM lanes WHERE name = ?", lane) != (fence,):
            raise StaleWriter(what=f"lane {lane}")

    def note_joined(self) -> None:
        """Record where each plugin began: earlier events were never meant for it."""
        with self._db.transaction() as db:
            db.execute("INSERT OR IGNORE INTO joined SELECT name, cursor FROM plugins")

    def tried(self) -> dict[tuple[CallKey, int], int]:
        """Return `(callback, seq)` -> attempts, for all calls that are not settled."""
        found = self._db.all("SELECT plugin, callback, seq, attempts FROM attempts")
        return {(CallKey(plugin, callback), seq): count for plugin, callback, seq, count in found}

    def store(self, plugin: str) -> dict[str, Any]:
        """Return the plugin's store as last committed."""
        found = self._db.all(
            f"SELECT key, value, {self._sum} FROM stores WHERE plugin = ?",  # noqa: S608 - our own
            plugin,
        )
        for key, value, checksum in found:
            what = f"{key!r} in the store of plugin {plugin}"
            make_sure(self._db, what, checksum, plugin, key, value)
        return {
            key: decoded(self._db, f"{key!r} in the store of plugin {plugin}", _decode_any, value)
            for key, value, _ in found
        }

    def dead_letters(self, plugin: str | None = None) -> list[Failure]:
        """Return the dead letters, oldest first."""
        found = self._db.all(
            "SELECT plugin, callback, seq, event_id, attempt, error,"  # noqa: S608 - all our own
            f" {traceback_column(self._db)}, at, outcome"
            " FROM failures WHERE dead = 1 AND (?1 IS NULL OR plugin = ?1) ORDER BY id",
            plugin,
        )
        return [Failure(*row) for row in found]

    def dead_letter_counts(self) -> dict[str, tuple[int, str]]:
        """Return, for each plugin with dead letters, their number and the newest error."""
        found = self._db.all(
            "SELECT plugin, number, (SELECT error FROM failures WHERE id = newest) FROM"
            " (SELECT plugin, count(*) AS number, max(id) AS newest FROM failures"
            "  WHERE dead = 1 GROUP BY plugin)"
        )
        return {plugin: (number, error) for plugin, number, error in found}

    def share_tracebacks(self, limit: int = 1_000) -> int:
        """Let failures written by an older version share their tracebacks, up to `limit` at once.

        Returns:
            How many were processed; 0 if none are left.
        """
        if self._db.one("SELECT 1 FROM failures WHERE traceback_id IS NULL AND traceback <> ''"):
            with self._db.transaction() as db:
                return share_tracebacks(db, limit)
        return 0

    def prune(self, before: int, keep_from: int, limit: int = 10_000) -> int:
        """Remove the oldest entries that are old enough and no longer needed.

        Their failures are removed with them, except dead letters.

        Args:
            before: Remove entries created before this time, in seconds since 1970, and all below
                them.
            keep_from: Entries with this `seq` or above stay, and so does the last one.
            limit: The most entries to remove at once.

        Returns:
            How many were removed.
        """
        with self._db.transaction() as db:
            young = self._db.one(
                "SELECT seq FROM journal WHERE created_at >= ? ORDER BY seq LIMIT 1", before
            )
            lowest = self.lowest()
            keep_from = min(keep_from, self.end(), lowest + limit, *(young or ()))
            removed = db.execute("DELETE FROM journal WHERE seq < ?", (keep_from,)).rowcount
            db.execute("DELETE FROM attempts WHERE seq < ?", (keep_from,))
            db.execute(
                "DELETE FROM failures WHERE dead = 0"
                " AND (seq < ? OR id <= (SELECT max(id) FROM failures) - ?)",
                (keep_from, KEPT_FAILURES),
            )
            if removed < limit:
                forget_tracebacks(db)
        return removed


def _entry(row: tuple[Any, ...]) -> Entry:
    seq, event_id, event_type, created, late, body, era, checksum, strands = row
    whole = None
    if checksum is not None:
        try:
            whole = checksum == sum_of_row(era, event_id, event_type, created, body)
        except (TypeError, AttributeError):  # a flipped byte may change a value's type
            whole = False
    return Entry(seq, event_id, event_type, created, bool(late), body, era, whole, strands)


def _decode_keys(text: str) -> frozenset[CallKey]:
    return frozenset(map(CallKey.decode, _decode_names(text)))


def _mend(db: sqlite3.Connection, era: int, row: Row) -> None:
    found = db.execute(
        "SELECT seq, plugin FROM passed_over WHERE era = ? AND event = ? ORDER BY seq, plugin",
        (era, row.id),
    ).fetchall()
    for seq in {seq for seq, _ in found}:
        db.execute(
            "UPDATE journal SET event_type = ?, created_at = ?, body = ?, sum = ? WHERE seq = ?",
            (row.event_type, row.at, row.body, _sum(era, row), seq),
        )
    for seq, plugin in found:
        if plugin:
            event = Replayed(era, seq, row.id, row.body)
            write_asked(db, "sgevents", ("replay", plugin, {"mended": row.id}, [event]))
    db.execute("DELETE FROM passed_over WHERE era = ? AND event = ?", (era, row.id))
    delete_aside(db, era, [str(row.id)], JOURNAL)


def _sum(era: int, row: Row) -> int:
    return sum_of_row(era, row.id, row.event_type, row.at, row.body)


def _write_feed(db: sqlite3.Connection, change: FeedChange) -> None:
    text = _encode(change.state).decode()
    db.execute("INSERT OR REPLACE INTO feed VALUES (1, ?, ?)", (text, sum_of(text)))
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
