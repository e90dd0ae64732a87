"""Reading the journal and the ledger."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from sgevents_core.choices import OrderBy
from sgevents_core.state import register
from sgevents_core.state.attention import FeedTrouble
from sgevents_core.state.batches import BatchedEvent, WaitingBatch, waiting_batches
from sgevents_core.state.deferred import DeferredCall, DeferredCount, DeferredEvent, DeferredKey
from sgevents_core.state.done_parts import DonePart
from sgevents_core.state.entries import Entry, IsWanted
from sgevents_core.state.failures import Failure
from sgevents_core.state.feed_values import FeedRecord, FeedState, SetAside
from sgevents_core.state.imported import ImportedPosition
from sgevents_core.state.keys import CallKey
from sgevents_core.state.memory.tables import Tables
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.register import NotedLane
from sgevents_core.state.steps import CallDeaths
from sgevents_core.state.strand_places import StrandPlaces
from sgevents_core.state.strands import strand_of

_decode_feed: Final = msgspec.json.Decoder(FeedState).decode
_decode_json: Final = msgspec.json.Decoder().decode


class MemoryReader:
    """A connection that reads; see `protocols.Reader`."""

    is_ready: Final = True

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def close(self) -> None:
        """Do nothing: a state in memory holds nothing open."""

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
            first_seq = max(after + 1, self._tables.lowest())
            last_seq = min(self._tables.end(), first_seq + limit - 1)
            return [self._tables.journal[seq] for seq in range(first_seq, last_seq + 1)]

    def read_wanted(self, after: int, limit: int, is_wanted: IsWanted) -> tuple[list[Entry], int]:
        """Return those of the next `limit` entries that are wanted, and the last `seq` of all."""
        entries = self.read(after, limit)
        wanted_entries = [
            entry
            for entry in entries
            if entry.whole is False or is_wanted(entry.event_type, entry.route)
        ]
        return wanted_entries, entries[-1].seq if entries else after

    def read_strand(
        self, strand_number: int, order_by: OrderBy, *, after: int, until: int, limit: int
    ) -> list[Entry]:
        """Return up to `limit` entries of one strand with a `seq` above `after`, ascending."""
        with self._tables.lock:
            seq_range = range(
                max(after + 1, self._tables.lowest()), min(until, self._tables.end()) + 1
            )
            journal_entries = [self._tables.journal[seq] for seq in seq_range]
        return [entry for entry in journal_entries if strand_of(entry, order_by) == strand_number][
            :limit
        ]

    def created_after(self, seq: int) -> int | None:
        """Return `created_at` of the first entry above `seq`; None if there is none."""
        next_entries = self.read(seq, 1)
        return next_entries[0].created if next_entries else None

    def seq_before_event(self, event_id: int) -> int:
        """Return the `seq` below the first entry whose event id reaches a value."""
        with self._tables.lock:
            journal_entries = self._tables.journal.values()
            seqs_before = (entry.seq - 1 for entry in journal_entries if entry.event_id >= event_id)
            return next(seqs_before, self._tables.end())

    def seq_before_time(self, created_since: int) -> int:
        """Return the `seq` below the first entry created at a time or later."""
        with self._tables.lock:
            journal_entries = self._tables.journal.values()
            seqs_before = (
                entry.seq - 1 for entry in journal_entries if entry.created >= created_since
            )
            return next(seqs_before, self._tables.end())

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
                [missing_range for _, missing_range in sorted(tables.missing.items())],
                sorted(tables.gone.values()),
                [parked_range for _, parked_range in sorted(tables.parked.items())],
                {
                    event_aside.event
                    for event_aside in tables.aside.values()
                    if event_aside.where == "site"
                },
            )

    def feed_trouble(self) -> FeedTrouble:
        """Return the feed's recorded trouble, without reading the missing ranges."""
        feed_record = self.load_feed()
        with self._tables.lock:
            parked_ranges = self._tables.parked.values()
            return FeedTrouble(
                feed_record.state.rewound if feed_record else "",
                sum(parked_range.last - parked_range.first + 1 for parked_range in parked_ranges),
                min((parked_range.first for parked_range in parked_ranges), default=0),
                max((parked_range.last for parked_range in parked_ranges), default=0),
                [event_aside.event for event_aside in self.set_aside_events()],
            )

    def set_aside_events(self) -> list[SetAside]:
        """Return the events that are set aside, oldest first."""
        with self._tables.lock:
            return sorted(
                self._tables.aside.values(),
                key=lambda aside: (aside.at, aside.era, aside.where, aside.event),
            )

    def passed_over_ids(self, feed_era: int) -> list[int]:
        """Return the ids of the events of an era whose entries were passed over."""
        with self._tables.lock:
            return sorted(
                {
                    event_id
                    for event_era, event_id in self._tables.passed_over.values()
                    if event_era == feed_era
                }
            )

    def scripts(self) -> dict[int, str]:
        """Return the known names of the site's scripts, by id."""
        with self._tables.lock:
            return dict(self._tables.scripts)

    def lane_progress(self, lane_name: str) -> Progress | None:
        """Return a lane's last recorded position; None for a lane never seen."""
        with self._tables.lock:
            kept_lane = self._tables.lanes.get(lane_name)
            strand_places = None if kept_lane is None else kept_lane.places()
            if kept_lane is None or strand_places is None:
                return None if kept_lane is None else kept_lane.progress
            return Progress(strand_places.lowest)

    def lane_places(self, lane_name: str) -> StrandPlaces | None:
        """Return the recorded places of a lane's strands; None for a lane that is not divided."""
        with self._tables.lock:
            kept_lane = self._tables.lanes.get(lane_name)
            return None if kept_lane is None else kept_lane.places()

    def noted_lane(self, lane_name: str) -> NotedLane:
        """Return what a lane has noted in its register; empty if that cannot be trusted."""
        return register.read_register(
            register.lane_register_path(self._tables.state_folder, lane_name)
        )

    def plugins(self) -> dict[str, PluginRecord]:
        """Return the records of all plugins ever enabled, by name."""
        with self._tables.lock:
            known_plugins = sorted(self._tables.plugins.items())
            plugin_records = {
                plugin_name: dataclasses.replace(strand_record, strands={})
                for plugin_name, strand_record in known_plugins
            }
            for (plugin_name, strand_number), (order_by, strand_record) in sorted(
                self._tables.plugin_strands.items()
            ):
                plugin_record = plugin_records[plugin_name]
                if plugin_record.order_by == order_by and not plugin_record.apart:
                    plugin_record.strands[strand_number] = dataclasses.replace(
                        strand_record, plugin=plugin_record
                    )
            return plugin_records

    def imported_positions(self) -> dict[str, ImportedPosition]:
        """Return the positions of plugins in the daemon before this one, by name."""
        with self._tables.lock:
            return dict(self._tables.imported)

    def attempts(self) -> dict[tuple[CallKey, int], int]:
        """Return `(callback, seq)` -> attempts, for all calls that are not settled."""
        with self._tables.lock:
            return dict(self._tables.attempts)

    def batches(self) -> list[WaitingBatch]:
        """Return the batches whose call has not ended for good, the oldest first."""
        with self._tables.lock:
            return waiting_batches(
                event for event in self._tables.batched if not (event.letter or event.request)
            )

    def batch(self, plugin_name: str, callback_name: str, batch_number: int) -> list[BatchedEvent]:
        """Return the events of a waiting batch, in order."""
        batch = (plugin_name, callback_name, batch_number)
        return self._batched(
            lambda event: not (event.letter or event.request) and event[:3] == batch
        )

    def batches_of_event(self, seq: int) -> list[BatchedEvent]:
        """Return an event as it is in batches and in dead letters of batches."""
        return self._batched(lambda event: event.seq == seq and not event.request)

    def _batched(self, is_chosen: Callable[[BatchedEvent], bool]) -> list[BatchedEvent]:
        with self._tables.lock:
            chosen_events = filter(is_chosen, self._tables.batched)
            return sorted(chosen_events, key=lambda event: event.seq)

    def deaths(self) -> list[CallDeaths]:
        """Return the unsettled calls in which the process died."""
        with self._tables.lock:
            call_deaths = self._tables.deaths.values()
            return sorted(
                call_deaths,
                key=lambda deaths_in_call: (
                    deaths_in_call.seq,
                    deaths_in_call.plugin,
                    deaths_in_call.callback,
                ),
            )

    def store(self, plugin_name: str) -> dict[str, Any]:
        """Return the plugin's store as last committed."""
        with self._tables.lock:
            encoded_values = self._tables.stores.get(plugin_name, {})
            return {
                store_key: _decode_json(encoded_value)
                for store_key, encoded_value in sorted(encoded_values.items())
            }

    def dead_letters(self, plugin_name: str | None = None) -> list[Failure]:
        """Return the dead letters, oldest first."""
        with self._tables.lock:
            failed_attempts = [
                failed_call.failure
                for failed_call in self._tables.failures.values()
                if failed_call.dead
            ]
        return [failure for failure in failed_attempts if plugin_name in {None, failure.plugin}]

    def dead_letter_counts(self) -> dict[str, tuple[int, str]]:
        """Return, for each plugin with dead letters, their number and the newest error."""
        letter_counts: dict[str, tuple[int, str]] = {}
        for failure in self.dead_letters():
            letter_count, _ = letter_counts.get(failure.plugin, (0, ""))
            letter_counts[failure.plugin] = (letter_count + 1, failure.error)
        return letter_counts

    def deferred_calls(self, plugin_name: str | None = None) -> list[DeferredCall]:
        """Return the calls that are put off, the next one first."""
        with self._tables.lock:
            deferred_calls = [deferred.call for deferred in self._tables.deferred.values()]
        return sorted(
            (call for call in deferred_calls if plugin_name in {None, call.plugin}),
            key=deferred_order,
        )

    def deferred_event(self, deferred_key: DeferredKey) -> DeferredEvent | None:
        """Return a call that is put off, with its event; None if it is not."""
        with self._tables.lock:
            return self._tables.deferred.get(deferred_key)

    def deferred_counts(self) -> dict[str, DeferredCount]:
        """Return, for each plugin that has put off calls, their number and the next due time."""
        counts: dict[str, DeferredCount] = {}
        for call in self.deferred_calls():
            call_count, next_due_at = counts.get(call.plugin, (0, call.due_at))
            counts[call.plugin] = DeferredCount(call_count + 1, next_due_at)
        return counts

    def is_part_done(self, done_part: DonePart) -> bool:
        """Return whether a part of a callback's work for an event is done."""
        with self._tables.lock:
            return done_part in self._tables.done_parts

    def lowest_deferred(self, plugin_names: Collection[str]) -> int | None:
        """Return the lowest `seq` among the calls that plugins have put off; None without any."""
        deferred_calls = self.deferred_calls()
        return min(
            (call.seq for call in deferred_calls if call.seq and call.plugin in plugin_names),
            default=None,
        )


def deferred_order(call: DeferredCall) -> tuple[float, int, int, str, str]:
    """Return the key by which calls that are put off are sorted."""
    return call.due_at, call.seq, call.event_id, call.plugin, call.callback
