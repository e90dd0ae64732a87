"""The batches of a lane in memory: which exist, when each is due, in which order they are called.

Nothing here writes to the state or calls a plugin.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import RLock
from typing import NamedTuple
from zlib import crc32

from sgevents_core.batching import BatchRules
from sgevents_core.calling.policy import LONGEST_HOLD
from sgevents_core.choices import OrderBy
from sgevents_core.dispatch.batch_clock import HOST_CLOCK, PROCESS_STARTED_AT, BatchClock
from sgevents_core.dispatch.lane_plugin import Waiting
from sgevents_core.state.batches import WaitingBatch
from sgevents_core.state.strands import STRANDS, strand_in


@dataclass(slots=True)
class LineBatch:
    """One batch.

    Args:
        number: The `seq` of its first event.
        first_at: When its first event came, in monotonic seconds.
        due_at: When it is called if nothing else happens, in monotonic seconds.
        events: The number of its events.
        is_closed: Whether it takes no more events.
        has_begun: Whether that is recorded, because a call of it has begun.
        waiting: Its failed call, if it waits for the site.
        times_put_off: How often it has waited for the site.
        put_off_at: When its callback put it off first, in seconds since 1970; 0 if it did not.
        put_off_reason: Why it was put off last.
    """

    number: int
    first_at: float
    due_at: float
    events: int = 0
    is_closed: bool = False
    has_begun: bool = False
    waiting: Waiting | None = None
    times_put_off: int = 0
    put_off_at: float = 0.0
    put_off_reason: str = ""


@dataclass(slots=True)
class BatchLine:
    """The batches of one key: they are called one after another.

    Args:
        callback_index: The callback's index among all of its lane.
        key: The key.
        strand: The strand in which they are called.
        batches: The batches, in order.
    """

    callback_index: int
    key: str
    strand: int
    batches: deque[LineBatch] = field(default_factory=deque)

    @property
    def head(self) -> LineBatch:
        """The batch that is called next."""
        return self.batches[0]


class Placing(NamedTuple):
    """Where an event comes into a batch.

    Args:
        number: The batch's number.
        strand: The strand in which it is called.
        due_at: When it is due with this event, in monotonic seconds.
    """

    number: int
    strand: int
    due_at: float


class LaneBatches:
    """The batches of one lane.

    Several workers may use it; whoever changes a batch in the state holds `lock` meanwhile, so that
    no event comes into a batch that is being closed.

    Args:
        rules_by_callback: The index of a callback -> the rules of its batches.
        order_by: The key that divides the lane's events into strands; None if it has one strand.
        clock: The clock by which they become due.
    """

    def __init__(
        self,
        rules_by_callback: Mapping[int, BatchRules],
        order_by: OrderBy | None,
        clock: BatchClock = HOST_CLOCK,
    ) -> None:
        self.clock = clock
        self.lock = RLock()
        self._rules = rules_by_callback
        self._order_by = order_by
        self._lines: dict[tuple[int, str], BatchLine] = {}
        self._earliest = math.inf
        self._is_ending = False

    def restore(self, callback_index: int, waiting: WaitingBatch) -> None:
        """Continue a batch that is recorded.

        Args:
            callback_index: The callback's index.
            waiting: The batch as recorded.
        """
        rules = self._rules[callback_index]
        now, host_time = self.clock.monotonic(), self.clock.time()
        age = min(max(host_time - waiting.first_at, 0.0), rules.at_most)
        wait = min(max(waiting.due_at - host_time, 0.0), rules.at_most - age)
        if waiting.first_at < PROCESS_STARTED_AT:  # the feed may bring more, from while nothing ran
            wait = min(max(wait, rules.pause), rules.at_most - age)
        batch = LineBatch(waiting.number, now - age, now + wait, waiting.events)
        batch.put_off_at, batch.put_off_reason = waiting.put_off_at, waiting.reason
        if waiting.is_closed:
            longest_wait = math.inf if waiting.put_off_at else LONGEST_HOLD
            batch.due_at = now + min(max(waiting.due_at - host_time, 0.0), longest_wait)
        batch.is_closed = waiting.is_closed or waiting.events >= rules.size
        batch.has_begun = waiting.is_closed
        line = self._line(callback_index, waiting.key, waiting.strands)
        line.batches.append(batch)
        self._earliest = min(self._earliest, batch.due_at)

    def place(
        self, callback_index: int, key: str, seq: int, packed_strands: int, now: float
    ) -> Placing:
        """Return the batch into which an event comes.

        Args:
            callback_index: The callback's index.
            key: The event's key.
            seq: The event's place in the journal.
            packed_strands: Its strands.
            now: The monotonic time, in seconds.
        """
        rules = self._rules[callback_index]
        line = self._lines.get((callback_index, key))
        strand = (
            self._strand_of(callback_index, key, packed_strands) if line is None else line.strand
        )
        batch = self._open_batch(line)
        if batch is None:
            return Placing(seq, strand, now + (rules.pause if rules.size > 1 else 0.0))
        is_full = batch.events + 1 >= rules.size
        due_at = now if is_full else min(now + rules.pause, batch.first_at + rules.at_most)
        return Placing(batch.number, strand, due_at)

    def add(
        self, callback_index: int, key: str, placing: Placing, packed_strands: int, now: float
    ) -> None:
        """Add an event to the batch that `place` returned, once it is recorded."""
        line = self._line(callback_index, key, packed_strands)
        batch = self._open_batch(line)
        if batch is None:
            batch = LineBatch(placing.number, now, placing.due_at)
            line.batches.append(batch)
        batch.events += 1
        batch.due_at = placing.due_at
        batch.is_closed = batch.events >= self._rules[callback_index].size
        self._earliest = min(self._earliest, batch.due_at)

    def finish(self, line: BatchLine) -> None:
        """Remove the first batch of a line, whose call has ended for good."""
        with self.lock:
            line.batches.popleft()
            if not line.batches:
                del self._lines[line.callback_index, line.key]
            self._earliest = -math.inf

    def put_off(self, line: BatchLine, until: float) -> None:
        """Call the first batch of a line again at a time, in monotonic seconds."""
        with self.lock:
            line.head.due_at = until
            self._earliest = min(self._earliest, until)

    def due(self, strand: int | None = None) -> list[BatchLine]:
        """Return the lines whose first batch is due, the one that waited longest first.

        Args:
            strand: Only those of this strand; None for all.
        """
        if self.clock.monotonic() < self._earliest and not self._is_ending:
            return []
        chosen = [line for line in self.due_now() if strand is None or line.strand == strand]
        return sorted(chosen, key=lambda line: line.head.due_at)

    def due_now(self) -> list[BatchLine]:
        """Return the lines whose first batch is due, or is being called.

        Any thread may ask: what another puts off to now meanwhile is not missed.
        """
        with self.lock:
            now = self.clock.monotonic()
            due_lines = [line for line in self._lines.values() if self._is_due(line, now)]
            self._earliest = min(
                (line.head.due_at for line in self._lines.values()), default=math.inf
            )
        return due_lines

    def next_due(self) -> float:
        """Return in how many seconds a batch is due that is not yet; infinity if none is."""
        now = self.clock.monotonic()
        with self.lock:
            later = [line.head.due_at - now for line in self._lines.values()]
        return min((seconds for seconds in later if seconds > 0.0), default=math.inf)

    def find(self, callback_index: int, number: int) -> BatchLine | None:
        """Return the line whose first batch has a number; None if there is none."""
        found = (line for line in self.lines() if line.callback_index == callback_index)
        return next((line for line in found if line.head.number == number), None)

    def lines(self) -> Iterator[BatchLine]:
        """Yield all lines."""
        with self.lock:
            yield from list(self._lines.values())

    def become_due(self, *, has_begun: bool) -> None:
        """Let the first batch of each line become due now.

        Args:
            has_begun: Whether those whose call has failed become due too.
        """
        now = self.clock.monotonic()
        for line in self.lines():
            if has_begun or not line.head.has_begun:
                self.put_off(line, min(line.head.due_at, now))

    def end_waiting(self) -> None:
        """Wait for no more events: every batch that has no failed call is due from now on."""
        self._is_ending = True

    def _is_due(self, line: BatchLine, now: float) -> bool:
        return line.head.due_at <= now or (self._is_ending and not line.head.has_begun)

    def _line(self, callback_index: int, key: str, packed_strands: int) -> BatchLine:
        line = self._lines.get((callback_index, key))
        if line is None:
            strand = self._strand_of(callback_index, key, packed_strands)
            line = self._lines[callback_index, key] = BatchLine(callback_index, key, strand)
        return line

    def _strand_of(self, callback_index: int, key: str, packed_strands: int) -> int:
        """Return the strand in which the batches of a key are called.

        It is that of the events, if the lane divides them by the same key.
        """
        if self._order_by is None:
            return 0
        if self._rules[callback_index].by == self._order_by:
            return strand_in(packed_strands, self._order_by)
        return crc32(key.encode("utf-8", "surrogatepass")) % STRANDS

    @staticmethod
    def _open_batch(line: BatchLine | None) -> LineBatch | None:
        if line is None or not line.batches or line.batches[-1].is_closed:
            return None
        return line.batches[-1]
