"""A lane's access to the journal and the ledger, which waits and retries while the disk is full."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from sgevents_core.choices import OrderBy
from sgevents_core.errors import StateError
from sgevents_core.observe.liveness import report_alive
from sgevents_core.state.batches import BatchedEvent, WaitingBatch
from sgevents_core.state.deferred import DeferredEvent, DeferredKey
from sgevents_core.state.done_parts import DonePart
from sgevents_core.state.entries import Entry, IsWanted
from sgevents_core.state.held_lane import HeldLane
from sgevents_core.state.lane_trouble import LaneTrouble
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.steps import Step

logger = logging.getLogger("sgevents.dispatch")

FIRST_WAIT: Final = 0.1
LONGEST_WAIT: Final = 5.0
PAGE_ENTRIES: Final = 500
"""The most entries that are read at once."""
MAX_SCANNED: Final = 20_000
"""The most entries that are looked through at once for those of a strand."""
_T = TypeVar("_T")


class StrandLedger(Protocol):
    """The journal and ledger access of a strand's worker."""

    def missed(self, after_seq: int, until_seq: int) -> tuple[list[Entry], int]:
        """Return entries of the strand that a plugin has missed, and how far they reach.

        Args:
            after_seq: The `seq` before them.
            until_seq: The `seq` that they reach at most.
        """

    def record(self, step: Step) -> int:
        """Write a step atomically, and return the number of its failure, 0 if it has none."""

    def pass_over(self, entry: Entry, plugins: Sequence[str], reason: str) -> None:
        """Set aside an entry that cannot be read; record the plugins that need its event."""


class LaneLedger:
    """A lane's reads and writes; no step is given up while the lane runs.

    Any thread of the lane may use it: one at a time has the connection.

    Args:
        held_lane: The lane, with its own connection to the journal and the ledger.
        stopping: Set when the lane must end: a failing write then raises StateError. What no
            waiting mends, such as damage, raises at once.
    """

    def __init__(self, held_lane: HeldLane, stopping: threading.Event) -> None:
        self._held_lane = held_lane
        self._state = held_lane.writer
        self._stop_event = stopping
        self._connection_lock = threading.RLock()
        self.fence = held_lane.fence
        self.trouble = LaneTrouble(held_lane.name)
        self._failure_count = 0

    def read(self, after_seq: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries of the journal above `after_seq`."""
        return self._retry_until_done(lambda: self._state.read(after_seq, limit))

    def read_wanted(
        self, after_seq: int, limit: int, is_wanted: IsWanted
    ) -> tuple[list[Entry], int]:
        """Return those of the next `limit` entries that are wanted, and the last `seq` of all."""
        return self._retry_until_done(lambda: self._state.read_wanted(after_seq, limit, is_wanted))

    def end(self) -> int:
        """Return the highest `seq` of the journal."""
        return self._retry_until_done(self._state.end)

    def missed(self, after_seq: int, until_seq: int) -> tuple[list[Entry], int]:
        """Return the next entries that a plugin has missed, and how far they reach."""
        entries = self.read(after_seq, PAGE_ENTRIES)
        return entries, entries[-1].seq if entries else until_seq

    def read_strand(
        self, strand: int, order_by: OrderBy, after_seq: int, until_seq: int
    ) -> tuple[list[Entry], int]:
        """Return the next entries of one strand, and how far they reach.

        Args:
            strand: The strand.
            order_by: The key that divides the lane.
            after_seq: The `seq` before them.
            until_seq: The `seq` that they reach at most.
        """
        until_seq = min(until_seq, after_seq + MAX_SCANNED)
        entries = self._retry_until_done(
            lambda: self._state.read_strand(
                strand, order_by, after=after_seq, until=until_seq, limit=PAGE_ENTRIES
            )
        )
        return entries, entries[-1].seq if len(entries) == PAGE_ENTRIES else until_seq

    def record(self, step: Step) -> int:
        """Write a step atomically, and return the number of its failure, 0 if it has none."""
        return self._retry_until_done(lambda: self._held_lane.record(step))

    def record_once(self, step: Step) -> None:
        """Write a step without retrying."""
        with self._connection_lock:
            self._held_lane.record(step)

    def pass_over(self, entry: Entry, plugins: Sequence[str], reason: str) -> None:
        """Set aside an entry that cannot be read; record the plugins that need its event."""
        if self._retry_until_done(lambda: self._state.pass_over(entry, plugins, reason)):
            logger.warning(
                "Event %d cannot be read from the journal (%s). It is set aside and requested "
                "from the site again; all others continue.",
                entry.event_id,
                reason,
                extra={"action": "feed.set_aside", "event": entry.event_id, "reason": reason},
            )

    def deferred_event(self, deferred_key: DeferredKey) -> DeferredEvent | None:
        """Return a call that is put off, with its event; None if it is not."""
        return self._retry_until_done(lambda: self._state.deferred_event(deferred_key))

    def batches(self) -> list[WaitingBatch]:
        """Return the batches of all lanes whose call has not ended for good."""
        return self._retry_until_done(self._state.batches)

    def read_batch(
        self, plugin_name: str, callback_name: str, batch_number: int
    ) -> list[BatchedEvent]:
        """Return the events of a waiting batch, in order; a damaged one from the journal."""
        events = self._retry_until_done(
            lambda: self._state.batch(plugin_name, callback_name, batch_number)
        )
        return [event if event.whole else self._mended(event) for event in events]

    def _mended(self, event: BatchedEvent) -> BatchedEvent:
        """Return an event of a batch with its row in the journal, if that is whole."""
        entries = self.read(Progress.at(event.seq).finished, 1)
        if not entries or entries[0].seq != event.seq or not entries[0].whole:
            return event
        return event._replace(body=entries[0].body, event_id=entries[0].event_id, whole=True)

    def is_part_done(self, done_part: DonePart) -> bool:
        """Return whether a part of a callback's work for an event is done."""
        return self._retry_until_done(lambda: self._state.is_part_done(done_part))

    def note_part_done(self, done_part: DonePart) -> None:
        """Record that a part is done."""
        self.record(Step(done_part=done_part))

    def plugins(self) -> dict[str, PluginRecord]:
        """Return the records of all plugins, by name."""
        return self._retry_until_done(self._state.plugins)

    def close(self) -> None:
        """Close the connection."""
        self._state.close()

    def _retry_until_done(self, state_call: Callable[[], _T]) -> _T:
        while True:
            try:
                with self._connection_lock:
                    result = state_call()
            except StateError as error:
                if self._stop_event.is_set() or error.is_lasting:
                    raise
                wait_seconds = self._record_failure(error)
                report_alive(wait_seconds)
                self._stop_event.wait(wait_seconds)
            else:
                self._failure_count = 0
                self.trouble.record_success()
                return result

    def _record_failure(self, error: StateError) -> float:
        """Count a failure; return how long to wait, in seconds."""
        self.trouble.record_failure(error)
        self._failure_count += 1
        return min(FIRST_WAIT * 2.0 ** min(self._failure_count - 1, 10), LONGEST_WAIT)


class DividedLedger:
    """The reads and writes of one strand of a divided lane.

    Args:
        lane_ledger: The lane's.
        strand_number: The strand.
        order_by: The key that divides the lane.
    """

    def __init__(self, lane_ledger: LaneLedger, strand_number: int, order_by: OrderBy) -> None:
        self._ledger = lane_ledger
        self._strand_number = strand_number
        self._order_by = order_by

    def missed(self, after_seq: int, until_seq: int) -> tuple[list[Entry], int]:
        """Return the next entries that a plugin has missed, and how far they reach."""
        return self._ledger.read_strand(self._strand_number, self._order_by, after_seq, until_seq)

    def record(self, step: Step) -> int:
        """Write a step atomically, and return the number of its failure, 0 if it has none."""
        if step.progress is not None:
            step.strand = self._strand_number
        return self._ledger.record(step)

    def pass_over(self, entry: Entry, plugins: Sequence[str], reason: str) -> None:
        """Set aside an entry that cannot be read; record the plugins that need its event."""
        self._ledger.pass_over(entry, plugins, reason)
