"""Reading the journal and the ledger."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import msgspec

from sgevents_core.choices import OrderBy
from sgevents_core.state.entries import Entry
from sgevents_core.state.failures import Failure
from sgevents_core.state.feed_values import FeedRecord, FeedState, SetAside
from sgevents_core.state.imported import ImportedPosition
from sgevents_core.state.keys import CallKey
from sgevents_core.state.memory.tables import Tables
from sgevents_core.state.needs import FeedTrouble
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.steps import CallDeaths
from sgevents_core.state.strand_places import StrandPlaces
from sgevents_core.state.strands import strand_of

_decode_feed: Final = msgspec.json.Decoder(FeedState).decode
_decode: Final = msgspec.json.Decoder().decode


class MemoryReader:
    """A connection that reads; see `protocols.Reader`."""

    is_ready: Final = True

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def end(self) -> int:
        """Return the highest `seq`, 0 for an empty journal."""
        with self._tables.lock:
            return self._tables.end()

    def lowest(self) -> int:
        """Return the lowest `seq` that is kept; the next one for an empty journal."""
        with self._tables.lock:
            return self._tables.lowest()

    def read(self, after: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries with a `seq` above `after`, ascending."""
        with self._tables.lock:
            first = max(after + 1, self._tables.lowest())
            last = min(self._tables.end(), first + limit - 1)
            return [self._tables.journal[seq] for seq in range(first, last + 1)]

    def read_strand(
        self, strand: int, order_by: OrderBy, *, after: int, until: int, limit: int
    ) -> list[Entry]:
        """Return up to `limit` entries of one strand with a `seq` above `after`, ascending."""
        with self._tables.lock:
            seqs = range(max(after + 1, self._tables.lowest()), min(until, self._tables.end()) + 1)
            entries = [self._tables.journal[seq] for seq in seqs]
        return [entry for entry in entries if strand_of(entry, order_by) == strand][:limit]

    def created_after(self, seq: int) -> int | None:
        """Return `created_at` of the first entry above `seq`; None if there is none."""
        following = self.read(seq, 1)
        return following[0].created if following else None

    def seq_before_event(self, event_id: int) -> int:
        """Return the `seq` below the first entry whose event id reaches a value."""
        with self._tables.lock:
            entries = self._tables.journal.values()
            reached = (entry.seq - 1 for entry in entries if entry.event_id >= event_id)
            return next(reached, self._tables.end())

    def seq_before_time(self, created: int) -> int:
        """Return the `seq` below the first entry created at a time or later."""
        with self._tables.lock:
            entries = self._tables.journal.values()
            reached = (entry.seq - 1 for entry in entries if entry.created >= created)
            return next(reached, self._tables.end())

    def event_types(self) -> list[str]:
        """Return the event types of the entries, each once."""
        with self._tables.lock:
            return list(dict.fromkeys(entry.event_type for entry in self._tables.journal.values()))

    def load_feed(self) -> FeedRecord | None:
        """Return the feed's state, None before the first start."""
        tables = self._tables
        with tables.lock:
            if tables.feed is None:
                return None
            return FeedRecord(
                _decode_feed(tables.feed),
                [missing for _, missing in sorted(tables.missing.items())],
                sorted(tables.gone.values()),
                [parked for _, parked in sorted(tables.parked.items())],
                {aside.event for aside in tables.aside.values() if aside.where == "site"},
            )

    def feed_trouble(self) -> FeedTrouble:
        """Return the feed's recorded trouble, without reading the missing ranges."""
        record = self.load_feed()
        with self._tables.lock:
            parked = self._tables.parked.values()
            return FeedTrouble(
                record.state.rewound if record else "",
                sum(parking.last - parking.first + 1 for parking in parked),
                min((parking.first for parking in parked), default=0),
                max((parking.last for parking in parked), default=0),
                [aside.event for aside in self._tables.aside.values()],
            )

    def set_aside_events(self) -> list[SetAside]:
        """Return the events that are set aside, oldest first."""
        with self._tables.lock:
            return list(self._tables.aside.values())

    def passed_over_ids(self, era: int) -> list[int]:
        """Return the ids of the events of an era whose entries were passed over."""
        with self._tables.lock:
            return sorted({event for of, event in self._tables.passed_over.values() if of == era})

    def scripts(self) -> dict[int, str]:
        """Return the known names of the site's scripts, by id."""
        with self._tables.lock:
            return dict(self._tables.scripts)

    def lane_progress(self, lane: str) -> Progress | None:
        """Return a lane's last recorded position; None for a lane never seen."""
        with self._tables.lock:
            kept_lane = self._tables.lanes.get(lane)
            places = None if kept_lane is None else kept_lane.places()
            if kept_lane is None or places is None:
                return None if kept_lane is None else kept_lane.progress
            return Progress(places.lowest)

    def lane_places(self, lane: str) -> StrandPlaces | None:
        """Return the recorded places of a lane's strands; None for a lane that is not divided."""
        with self._tables.lock:
            kept_lane = self._tables.lanes.get(lane)
            return None if kept_lane is None else kept_lane.places()

    def plugins(self) -> dict[str, PluginRecord]:
        """Return the records of all plugins ever enabled, by name."""
        with self._tables.lock:
            kept = sorted(self._tables.plugins.items())
            records = {name: dataclasses.replace(record, strands={}) for name, record in kept}
            for (name, strand), (order_by, record) in sorted(self._tables.plugin_strands.items()):
                plugin = records[name]
                if plugin.order_by == order_by and not plugin.apart:
                    plugin.strands[strand] = dataclasses.replace(record, plugin=plugin)
            return records

    def imported_positions(self) -> dict[str, ImportedPosition]:
        """Return where plugins stood in the daemon before this one, by name."""
        with self._tables.lock:
            return dict(self._tables.imported)

    def attempts(self) -> dict[tuple[CallKey, int], int]:
        """Return `(callback, seq)` -> attempts, for all calls that are not settled."""
        with self._tables.lock:
            return dict(self._tables.attempts)

    def deaths(self) -> list[CallDeaths]:
        """Return the unsettled calls in which the process died."""
        with self._tables.lock:
            deaths = self._tables.deaths.values()
            return sorted(deaths, key=lambda died: (died.seq, died.plugin, died.callback))

    def store(self, plugin: str) -> dict[str, Any]:
        """Return the plugin's store as last committed."""
        with self._tables.lock:
            values = self._tables.stores.get(plugin, {})
            return {key: _decode(value) for key, value in sorted(values.items())}

    def dead_letters(self, plugin: str | None = None) -> list[Failure]:
        """Return the dead letters, oldest first."""
        with self._tables.lock:
            failed = [call.failure for call in self._tables.failures.values() if call.dead]
        return [failure for failure in failed if plugin in {None, failure.plugin}]

    def dead_letter_counts(self) -> dict[str, tuple[int, str]]:
        """Return, for each plugin with dead letters, their number and the newest error."""
        counts: dict[str, tuple[int, str]] = {}
        for failure in self.dead_letters():
            count, _ = counts.get(failure.plugin, (0, ""))
            counts[failure.plugin] = (count + 1, failure.error)
        return counts
