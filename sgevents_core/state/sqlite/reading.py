"""Reading the journal and the ledger over one connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from sgevents_core.choices import OrderBy
from sgevents_core.state.entries import Entry
from sgevents_core.state.failures import Failure
from sgevents_core.state.feed_values import (
    FeedRecord,
    FeedState,
    MissingRange,
    ParkedRange,
    SetAside,
)
from sgevents_core.state.imported import ImportedPosition
from sgevents_core.state.keys import CallKey
from sgevents_core.state.needs import FeedTrouble
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.sqlite.aside import read_aside
from sgevents_core.state.sqlite.checksums import (
    checksum_column,
    decode_record,
    row_checksum,
    verify_checksum,
)
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.sqlite.imported import read_imported
from sgevents_core.state.sqlite.places import (
    STRANDS_SINCE,
    read_place,
    read_places,
    read_records,
)
from sgevents_core.state.sqlite.tracebacks import traceback_column
from sgevents_core.state.steps import CallDeaths
from sgevents_core.state.strand_places import StrandPlaces
from sgevents_core.state.strands import SHIFTS, STRANDS, strand_of

_SCRIPTS_SINCE: Final = 5
"""The version of the schema that first had the table `scripts`."""
_PARKED_SINCE: Final = 3
"""The version of the schema that first had the table `parked`."""
_LAST_ENTRIES: Final = 20_000
"""How many entries at the end of the journal show which event types a site has."""
_ENTRY: Final = "seq, event_id, event_type, created_at, late, body, era"
_decode_feed: Final = msgspec.json.Decoder(FeedState).decode
_decode_any: Final = msgspec.json.Decoder().decode


class SqliteReader:
    """The journal and the ledger over one connection, for one thread at a time.

    Args:
        folder: The state's folder.

    Raises:
        StateError: The database cannot be opened, or was written by a newer version. Every method
            raises it if the database fails; then nothing was written.
    """

    _read_only: ClassVar = True
    """Whether nothing may be written or created."""

    def __init__(self, folder: Path) -> None:
        self._db = Database(folder, read_only=self._read_only)
        self._sum = checksum_column(self._db)
        version = self._db.fetch_number("PRAGMA user_version")
        self._strands = "strands" if version >= STRANDS_SINCE else "NULL"

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    @property
    def is_ready(self) -> bool:
        """Whether its tables exist; they may be missing while another process creates them."""
        return self._db.fetch_number("PRAGMA user_version") > 0

    def end(self) -> int:
        """Return the highest `seq`, 0 for an empty journal."""
        return self._db.fetch_number("SELECT coalesce(max(seq), 0) FROM journal")

    def lowest(self) -> int:
        """Return the lowest `seq` that is kept; the next one for an empty journal."""
        return self._db.fetch_number("SELECT coalesce(min(seq), 1) FROM journal")

    def read(self, after: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries with a `seq` above `after`, ascending."""
        rows = self._db.fetch_all(
            f"SELECT {_ENTRY}, {self._sum}, {self._strands}"  # noqa: S608 - our own
            " FROM journal WHERE seq > ? ORDER BY seq LIMIT ?",
            after,
            limit,
        )
        return [_entry(row) for row in rows]

    def created_after(self, seq: int) -> int | None:
        """Return `created_at` of the first entry above `seq`; None if there is none."""
        row = self._db.fetch_one(
            "SELECT created_at FROM journal WHERE seq > ? ORDER BY seq LIMIT 1", seq
        )
        return None if row is None else int(row[0])

    def seq_before_event(self, event_id: int) -> int:
        """Return the `seq` below the first entry whose event id reaches a value."""
        return self._seq_before("event_id", event_id)

    def seq_before_time(self, created: int) -> int:
        """Return the `seq` below the first entry created at a time or later."""
        return self._seq_before("created_at", created)

    def _seq_before(self, column: str, value: int) -> int:
        row = self._db.fetch_one(
            f"SELECT min(seq) - 1 FROM journal WHERE {column} >= ?",  # noqa: S608 - of the two above
            value,
        )
        return self.end() if row is None or row[0] is None else int(row[0])

    def event_types(self) -> list[str]:
        """Return the event types of the last entries, each once."""
        rows = self._db.fetch_all(
            "SELECT DISTINCT event_type FROM journal WHERE seq > ?", self.end() - _LAST_ENTRIES
        )
        return [event_type for (event_type,) in rows]

    def load_feed(self) -> FeedRecord | None:
        """Return the feed's state, None before the first start."""
        row = self._db.fetch_one(f"SELECT state, {self._sum} FROM feed")  # noqa: S608 - our own
        if row is None:
            return None
        verify_checksum(self._db, "the record of the feed", row[1], row[0])
        missing = self._db.fetch_all(
            "SELECT first, last, below_at, noticed, hot FROM missing ORDER BY first"
        )
        gone = self._db.fetch_all("SELECT first, last FROM gone ORDER BY first")
        return FeedRecord(
            decode_record(self._db, "the record of the feed", _decode_feed, row[0]),
            [
                MissingRange(first, last, below_at, noticed, bool(hot))
                for first, last, below_at, noticed, hot in missing
            ],
            [(first, last) for first, last in gone],
            self._parked(),
            {one.event for one in self.set_aside_events() if one.where == "site"},
        )

    def _parked(self) -> list[ParkedRange]:
        if self._db.fetch_number("PRAGMA user_version") < _PARKED_SINCE:
            return []  # read-only: an older daemon runs on it, or it will be upgraded later
        rows = self._db.fetch_all("SELECT first, last, number, at FROM parked ORDER BY first")
        return [ParkedRange(*row) for row in rows]

    def feed_trouble(self) -> FeedTrouble:
        """Return the feed's recorded trouble, without reading the missing ranges."""
        row = self._db.fetch_one("SELECT state FROM feed")
        rewound = "" if row is None else str(msgspec.json.decode(row[0]).get("rewound", ""))
        count, first, last = self._db.fetch_all(
            "SELECT coalesce(sum(last - first + 1), 0), min(first), max(last) FROM parked"
        )[0]
        aside = [one.event for one in self.set_aside_events()]
        return FeedTrouble(rewound, count, first or 0, last or 0, aside)

    def set_aside_events(self) -> list[SetAside]:
        """Return the events that are set aside, oldest first."""
        return read_aside(self._db)

    def passed_over_ids(self, era: int) -> list[int]:
        """Return the ids of the events of an era whose entries were passed over."""
        rows = self._db.fetch_all("SELECT DISTINCT event FROM passed_over WHERE era = ?", era)
        return [int(event) for (event,) in rows]

    def scripts(self) -> dict[int, str]:
        """Return the known names of the site's scripts, by id."""
        if self._db.fetch_number("PRAGMA user_version") < _SCRIPTS_SINCE:
            return {}
        return dict(self._db.fetch_all("SELECT id, name FROM scripts"))

    def read_strand(
        self, strand: int, order_by: OrderBy, *, after: int, until: int, limit: int
    ) -> list[Entry]:
        """Return up to `limit` entries of one strand with a `seq` above `after`, ascending."""
        entries: list[Entry] = []
        while (lacking := limit - len(entries)) > 0:
            rows = self._strand_rows(strand, order_by, after, until, lacking)
            found = map(_entry, rows)
            entries += [entry for entry in found if strand_of(entry, order_by) == strand]
            if len(rows) < lacking:
                break
            after = rows[-1][0]
        return entries

    def _strand_rows(
        self, strand: int, order_by: OrderBy, after: int, until: int, limit: int
    ) -> list[tuple[Any, ...]]:
        """Return rows of a strand, and of no known one: an older version wrote those."""
        return self._db.fetch_all(
            f"SELECT {_ENTRY}, {self._sum}, {self._strands} FROM journal"  # noqa: S608 - our own
            f" WHERE seq > ? AND seq <= ? AND coalesce({self._strands} >> ? & ?, ?) = ?"
            " ORDER BY seq LIMIT ?",
            after,
            until,
            SHIFTS[order_by],
            STRANDS - 1,
            strand,
            strand,
            limit,
        )

    def lane_progress(self, lane: str) -> Progress | None:
        """Return a lane's last recorded position; None for a lane never seen."""
        row = self._db.fetch_one(f"SELECT seq, done, {self._sum} FROM lanes WHERE name = ?", lane)  # noqa: S608 - our own
        if row is None:
            return None
        places = self.lane_places(lane)
        if places is not None:
            return Progress(places.lowest)
        what = f"the place of lane {lane}"
        verify_checksum(self._db, what, row[2], lane, *row[:2])
        return read_place(self._db, what, row[0], row[1])

    def lane_places(self, lane: str) -> StrandPlaces | None:
        """Return the recorded places of a lane's strands; None for a lane that is not divided."""
        return read_places(self._db, lane)

    def plugins(self) -> dict[str, PluginRecord]:
        """Return the records of all plugins ever enabled, by name."""
        return read_records(self._db, self._sum)

    def imported_positions(self) -> dict[str, ImportedPosition]:
        """Return where plugins stood in the daemon before this one, by name."""
        return read_imported(self._db)

    def attempts(self) -> dict[tuple[CallKey, int], int]:
        """Return `(callback, seq)` -> attempts, for all calls that are not settled."""
        rows = self._db.fetch_all("SELECT plugin, callback, seq, attempts FROM attempts")
        return {(CallKey(plugin, callback), seq): count for plugin, callback, seq, count in rows}

    def store(self, plugin: str) -> dict[str, Any]:
        """Return the plugin's store as last committed."""
        rows = self._db.fetch_all(
            f"SELECT key, value, {self._sum} FROM stores WHERE plugin = ?",  # noqa: S608 - our own
            plugin,
        )
        for key, value, checksum in rows:
            what = f"{key!r} in the store of plugin {plugin}"
            verify_checksum(self._db, what, checksum, plugin, key, value)
        return {
            key: decode_record(
                self._db, f"{key!r} in the store of plugin {plugin}", _decode_any, value
            )
            for key, value, _ in rows
        }

    def dead_letters(self, plugin: str | None = None) -> list[Failure]:
        """Return the dead letters, oldest first."""
        rows = self._db.fetch_all(
            "SELECT plugin, callback, seq, event_id, attempt, error,"  # noqa: S608 - all our own
            f" {traceback_column(self._db)}, at, outcome"
            " FROM failures WHERE dead = 1 AND (?1 IS NULL OR plugin = ?1) ORDER BY id",
            plugin,
        )
        return [Failure(*row) for row in rows]

    def dead_letter_counts(self) -> dict[str, tuple[int, str]]:
        """Return, for each plugin with dead letters, their number and the newest error."""
        rows = self._db.fetch_all(
            "SELECT plugin, number, (SELECT error FROM failures WHERE id = newest) FROM"
            " (SELECT plugin, count(*) AS number, max(id) AS newest FROM failures"
            "  WHERE dead = 1 GROUP BY plugin)"
        )
        return {plugin: (number, error) for plugin, number, error in rows}

    def deaths(self) -> list[CallDeaths]:
        """Return the unsettled calls in which the process died."""
        rows = self._db.fetch_all(
            "SELECT plugin, callback, seq, proved, unproved, how, traceback FROM deaths"
            " ORDER BY seq, plugin, callback"
        )
        return [CallDeaths(*row) for row in rows]


def _entry(row: tuple[Any, ...]) -> Entry:
    seq, event_id, event_type, created, late, body, era, checksum, strands = row
    whole = None
    if checksum is not None:
        try:
            whole = checksum == row_checksum(era, event_id, event_type, created, body)
        except (TypeError, AttributeError):  # a flipped byte may change a value's type
            whole = False
    return Entry(seq, event_id, event_type, created, bool(late), body, era, whole, strands)
