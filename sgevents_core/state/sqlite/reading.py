"""Reading the journal and the ledger over one connection."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from sgevents_core.choices import OrderBy
from sgevents_core.state import register
from sgevents_core.state.attention import FeedTrouble
from sgevents_core.state.batches import BatchedEvent, WaitingBatch
from sgevents_core.state.deferred import DeferredCall, DeferredCount, DeferredEvent, DeferredKey
from sgevents_core.state.done_parts import DonePart
from sgevents_core.state.entries import Entry, IsWanted
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
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.register import NotedLane
from sgevents_core.state.sqlite.batches import read_batch, read_event_batches, read_waiting
from sgevents_core.state.sqlite.checksums import (
    checksum_column,
    decode_record,
    verify_checksum,
)
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.sqlite.deferred import (
    read_deferred_calls,
    read_deferred_counts,
    read_deferred_event,
    read_lowest_deferred,
)
from sgevents_core.state.sqlite.done_parts import read_part_done
from sgevents_core.state.sqlite.events_aside import read_events_aside
from sgevents_core.state.sqlite.imported import read_imported
from sgevents_core.state.sqlite.journal_reading import JournalReader
from sgevents_core.state.sqlite.progress_records import (
    read_plugin_records,
    read_progress,
    read_strand_places,
)
from sgevents_core.state.sqlite.tracebacks import traceback_column
from sgevents_core.state.steps import CallDeaths
from sgevents_core.state.strand_places import StrandPlaces

_SCRIPTS_SINCE_VERSION: Final = 5
"""The version of the schema that first had the table `scripts`."""
_PARKED_SINCE_VERSION: Final = 3
"""The version of the schema that first had the table `parked`."""
_ENTRIES_WITH_TYPES: Final = 20_000
"""The number of newest entries that show which event types a site has."""
_decode_feed: Final = msgspec.json.Decoder(FeedState).decode
_decode_json: Final = msgspec.json.Decoder().decode


class SqliteReader:
    """The journal and the ledger over one connection, for one thread at a time.

    Args:
        state_folder: The state's folder.

    Raises:
        StateError: The database cannot be opened, or was written by a newer version. Every method
            raises it if the database fails, and then writes nothing.
    """

    _is_read_only: ClassVar = True
    """Whether the connection may neither write nor create anything."""

    def __init__(self, state_folder: Path) -> None:
        self._database = Database(state_folder, read_only=self._is_read_only)
        self._checksum_column = checksum_column(self._database)
        self._journal = JournalReader(self._database)

    @property
    def database(self) -> Database:
        """The connection."""
        return self._database

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    @property
    def is_ready(self) -> bool:
        """Whether its tables exist; they may be missing while another process creates them."""
        return self._database.fetch_number("PRAGMA user_version") > 0

    def end(self) -> int:
        """Return the highest `seq`, 0 for an empty journal."""
        return self._journal.end()

    def lowest(self) -> int:
        """Return the lowest `seq` that is kept; the next one for an empty journal."""
        return self._journal.lowest()

    def read(self, after: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries with a `seq` above `after`, ascending."""
        return self._journal.read(after, limit)

    def read_wanted(self, after: int, limit: int, is_wanted: IsWanted) -> tuple[list[Entry], int]:
        """Return those of the next `limit` entries that are wanted, and the last `seq` of all."""
        return self._journal.read_wanted(after, limit, is_wanted)

    def read_strand(
        self, strand_number: int, order_by: OrderBy, *, after: int, until: int, limit: int
    ) -> list[Entry]:
        """Return up to `limit` entries of one strand with a `seq` above `after`, ascending."""
        return self._journal.read_strand(
            strand_number, order_by, after=after, until=until, limit=limit
        )

    def created_after(self, seq: int) -> int | None:
        """Return `created_at` of the first entry above `seq`; None if there is none."""
        next_entries = self._journal.read(seq, 1)
        return next_entries[0].created if next_entries else None

    def seq_before_event(self, event_id: int) -> int:
        """Return the `seq` below the first entry whose event id reaches a value."""
        return self._journal.seq_before_event(event_id)

    def seq_before_time(self, created_since: int) -> int:
        """Return the `seq` below the first entry created at a time or later."""
        return self._journal.seq_before_time(created_since)

    def event_types(self) -> list[str]:
        """Return the event types of the last entries, each once."""
        return sorted(self._journal.event_types(self.end() - _ENTRIES_WITH_TYPES))

    def load_feed(self) -> FeedRecord | None:
        """Return the feed's state, None before the first start."""
        feed_state = read_feed_state(self._database, self._checksum_column)
        if feed_state is None:
            return None
        missing_rows = self._database.fetch_all(
            "SELECT first, last, below_at, noticed, hot FROM missing ORDER BY first"
        )
        gone_ranges = self._database.fetch_all("SELECT first, last FROM gone ORDER BY first")
        return FeedRecord(
            feed_state,
            [
                MissingRange(first_id, last_id, below_at, noticed, bool(hot))
                for first_id, last_id, below_at, noticed, hot in missing_rows
            ],
            [(first_id, last_id) for first_id, last_id in gone_ranges],
            self._read_parked(),
            {
                event_aside.event
                for event_aside in self.set_aside_events()
                if event_aside.where == "site"
            },
        )

    def _read_parked(self) -> list[ParkedRange]:
        if self._database.fetch_number("PRAGMA user_version") < _PARKED_SINCE_VERSION:
            return []  # an older daemon uses this schema, or a later start will upgrade it
        parked_rows = self._database.fetch_all(
            "SELECT first, last, number, at FROM parked ORDER BY first"
        )
        return [ParkedRange(*parked_row) for parked_row in parked_rows]

    def feed_trouble(self) -> FeedTrouble:
        """Return the feed's recorded trouble, without reading the missing ranges."""
        feed_row = self._database.fetch_one("SELECT state FROM feed")
        rewind_reason = (
            "" if feed_row is None else str(msgspec.json.decode(feed_row[0]).get("rewound", ""))
        )
        parked_count, first_id, last_id = self._database.fetch_all(
            "SELECT coalesce(sum(last - first + 1), 0), min(first), max(last) FROM parked"
        )[0]
        names_aside = [event_aside.event for event_aside in self.set_aside_events()]
        return FeedTrouble(rewind_reason, parked_count, first_id or 0, last_id or 0, names_aside)

    def set_aside_events(self) -> list[SetAside]:
        """Return the events that are set aside, oldest first."""
        return read_events_aside(self._database)

    def passed_over_ids(self, event_era: int) -> list[int]:
        """Return the ids of the events of an era whose entries were passed over."""
        found_rows = self._database.fetch_all(
            "SELECT DISTINCT event FROM passed_over WHERE era = ?", event_era
        )
        return [int(event_id) for (event_id,) in found_rows]

    def scripts(self) -> dict[int, str]:
        """Return the known names of the site's scripts, by id."""
        if self._database.fetch_number("PRAGMA user_version") < _SCRIPTS_SINCE_VERSION:
            return {}
        return dict(self._database.fetch_all("SELECT id, name FROM scripts"))

    def lane_progress(self, lane_name: str) -> Progress | None:
        """Return a lane's last recorded position; None for a lane never seen."""
        lane_row = self._database.fetch_one(
            f"SELECT seq, done, {self._checksum_column} FROM lanes WHERE name = ?",  # noqa: S608 - our own
            lane_name,
        )
        if lane_row is None:
            return None
        strand_places = self.lane_places(lane_name)
        if strand_places is not None:
            return Progress(strand_places.lowest)
        record_name = f"the place of lane {lane_name}"
        verify_checksum(self._database, record_name, lane_row[2], lane_name, *lane_row[:2])
        return read_progress(self._database, record_name, lane_row[0], lane_row[1])

    def lane_places(self, lane_name: str) -> StrandPlaces | None:
        """Return the recorded places of a lane's strands; None for a lane that is not divided."""
        return read_strand_places(self._database, lane_name)

    def noted_lane(self, lane_name: str) -> NotedLane:
        """Return what a lane has noted in its register; empty if that cannot be trusted."""
        folder = self._database.file_path.parent
        return register.read_register(register.lane_register_path(folder, lane_name))

    def plugins(self) -> dict[str, PluginRecord]:
        """Return the records of all plugins ever enabled, by name."""
        return read_plugin_records(self._database, self._checksum_column)

    def imported_positions(self) -> dict[str, ImportedPosition]:
        """Return the positions of plugins in the daemon before this one, by name."""
        return read_imported(self._database)

    def attempts(self) -> dict[tuple[CallKey, int], int]:
        """Return `(callback, seq)` -> attempts, for all calls that are not settled."""
        attempt_rows = self._database.fetch_all(
            "SELECT plugin, callback, seq, attempts FROM attempts"
        )
        return {
            (CallKey(plugin_name, callback_name), seq): attempt_count
            for plugin_name, callback_name, seq, attempt_count in attempt_rows
        }

    def store(self, plugin_name: str) -> dict[str, Any]:
        """Return the plugin's store as last committed."""
        store_rows = self._database.fetch_all(
            f"SELECT key, value, {self._checksum_column} FROM stores WHERE plugin = ?",  # noqa: S608 - our own
            plugin_name,
        )
        for store_key, encoded_value, stored_checksum in store_rows:
            record_name = f"{store_key!r} in the store of plugin {plugin_name}"
            verify_checksum(
                self._database, record_name, stored_checksum, plugin_name, store_key, encoded_value
            )
        return {
            store_key: decode_record(
                self._database,
                f"{store_key!r} in the store of plugin {plugin_name}",
                _decode_json,
                encoded_value,
            )
            for store_key, encoded_value, _ in store_rows
        }

    def dead_letters(self, plugin_name: str | None = None) -> list[Failure]:
        """Return the dead letters, oldest first."""
        letter_rows = self._database.fetch_all(
            "SELECT plugin, callback, seq, event_id, attempt, error,"  # noqa: S608 - all our own
            f" {traceback_column(self._database)}, at, outcome"
            " FROM failures WHERE dead = 1 AND (?1 IS NULL OR plugin = ?1) ORDER BY id",
            plugin_name,
        )
        return [Failure(*failure_row) for failure_row in letter_rows]

    def dead_letter_counts(self) -> dict[str, tuple[int, str]]:
        """Return, for each plugin with dead letters, their number and the newest error."""
        found_rows = self._database.fetch_all(
            "SELECT plugin, number, (SELECT error FROM failures WHERE id = newest) FROM"
            " (SELECT plugin, count(*) AS number, max(id) AS newest FROM failures"
            "  WHERE dead = 1 GROUP BY plugin)"
        )
        return {
            plugin_name: (letter_count, newest_error)
            for plugin_name, letter_count, newest_error in found_rows
        }

    def batches(self) -> list[WaitingBatch]:
        """Return the batches whose call has not ended for good, the oldest first."""
        return read_waiting(self._database)

    def batch(self, plugin_name: str, callback_name: str, batch_number: int) -> list[BatchedEvent]:
        """Return the events of a waiting batch, in order."""
        return read_batch(self._database, plugin_name, callback_name, batch_number)

    def batches_of_event(self, seq: int) -> list[BatchedEvent]:
        """Return an event as it is in batches and in dead letters of batches."""
        return read_event_batches(self._database, seq)

    def deaths(self) -> list[CallDeaths]:
        """Return the unsettled calls in which the process died."""
        death_rows = self._database.fetch_all(
            "SELECT plugin, callback, seq, proved, unproved, how, traceback FROM deaths"
            " ORDER BY seq, plugin, callback"
        )
        return [CallDeaths(*death_row) for death_row in death_rows]

    def deferred_calls(self, plugin_name: str | None = None) -> list[DeferredCall]:
        """Return the calls that are put off, the next one first."""
        return read_deferred_calls(self._database, plugin_name)

    def deferred_event(self, deferred_key: DeferredKey) -> DeferredEvent | None:
        """Return a call that is put off, with its event; None if it is not."""
        return read_deferred_event(self._database, deferred_key)

    def deferred_counts(self) -> dict[str, DeferredCount]:
        """Return, for each plugin that has put off calls, their number and the next due time."""
        return read_deferred_counts(self._database)

    def is_part_done(self, done_part: DonePart) -> bool:
        """Return whether a part of a callback's work for an event is done."""
        return read_part_done(self._database, done_part)

    def lowest_deferred(self, plugin_names: Collection[str]) -> int | None:
        """Return the lowest `seq` among the calls that plugins have put off; None without any."""
        return read_lowest_deferred(self._database, plugin_names)


def read_feed_state(database: Database, sum_column: str = "sum") -> FeedState | None:
    """Return the feed's state without its ranges, None before the first start."""
    feed_row = database.fetch_one(f"SELECT state, {sum_column} FROM feed")  # noqa: S608 - our own
    if feed_row is None:
        return None
    verify_checksum(database, "the record of the feed", feed_row[1], feed_row[0])
    return decode_record(database, "the record of the feed", _decode_feed, feed_row[0])
