"""The intake of a lane: its strands' queues, their workers and their progress.

Everything here is under one lock: putting an entry on a queue and moving the intake are one step,
and so is what `places` returns. Nothing here reads the journal, calls a plugin or waits, except
`take`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Iterable
from typing import Final

from sgevents_core.choices import OrderBy
from sgevents_core.state.entries import Entry
from sgevents_core.state.progress import Progress
from sgevents_core.state.strand_places import StrandPlaces
from sgevents_core.state.strands import STRANDS, strand_of

MAX_AHEAD: Final = 10_000
"""The most events between the lowest place of a lane and its intake."""
MAX_QUEUED_BYTES: Final = 8 * 1024 * 1024
"""The most bytes of bodies on the queues before the intake waits."""


class Intake:
    """The queues of one lane.

    Strands are numbered from 0; more units of work than strands may be served, which have no queue.

    Args:
        strand_places: Where each strand is at the start.
        extra_units: How many units of work there are besides the strands.
    """

    def __init__(self, strand_places: StrandPlaces, extra_units: int = 0) -> None:
        self.order_by: OrderBy = strand_places.order_by
        self.end = strand_places.lowest
        """`seq` of the last entry taken in; entries that a strand has finished are passed over."""
        self._condition = threading.Condition(threading.Lock())
        self._strand_places = list(strand_places.places)
        self._strand_queues: list[deque[Entry]] = [deque() for _ in range(STRANDS)]
        self._queued_bytes = 0
        self._served_units: set[int] = set()
        self._ready_units: deque[int] = deque()
        self._woken_units = [False] * (STRANDS + extra_units)
        self._units_aside: set[int] = set()
        self._is_ended = False

    # The lane's side

    def put(self, journal_entries: Iterable[Entry], last_seq: int) -> None:
        """Put the next entries of the journal on the queues of their strands.

        Args:
            journal_entries: Those that somebody may want.
            last_seq: The `seq` of the last entry, wanted or not.
        """
        with self._condition:
            for entry in journal_entries:
                self._queue_entry(entry)
            self.end = last_seq

    def _queue_entry(self, entry: Entry) -> None:
        strand_number = strand_of(entry, self.order_by)
        strand_place = self._strand_places[strand_number]
        if entry.seq > strand_place.finished:
            strand_queue = self._strand_queues[strand_number]
            was_level = not strand_queue and strand_place.running != entry.seq
            if was_level:
                self._strand_places[strand_number] = Progress.at(entry.seq)
            strand_queue.append(entry)
            self._queued_bytes += len(entry.body)
            self._wake_unit(strand_number)

    def room(self) -> int:
        """Return how many more entries may be taken in now."""
        with self._condition:
            if self._queued_bytes > MAX_QUEUED_BYTES:
                return 0
            return max(MAX_AHEAD - (self.end - self._lowest_place()), 0)

    def wake(self, units: Iterable[int]) -> None:
        """Have units of work served even if their queues are empty."""
        with self._condition:
            for unit in units:
                self._wake_unit(unit)

    def end_workers(self) -> None:
        """Let `take` return None from now on."""
        with self._condition:
            self._is_ended = True
            self._condition.notify_all()

    # The workers' side

    def take(self, timeout: float | None = None) -> int | None:
        """Return a unit that has work and no other worker; None at the end or after a timeout.

        Args:
            timeout: How long to wait, in seconds; None for ever.
        """
        with self._condition:
            while not self._is_ended:
                while self._ready_units:
                    unit = self._ready_units.popleft()
                    if unit not in self._served_units:  # claimed meanwhile: it is woken afterwards
                        self._woken_units[unit] = False
                        self._served_units.add(unit)
                        return unit
                if not self._condition.wait(timeout):
                    return None
            return None

    def claim(self, unit: int) -> bool:
        """Take one unit, unless a worker has it; it is woken when it is given back."""
        with self._condition:
            if unit in self._served_units:
                return False
            self._served_units.add(unit)
            return True

    def give_back(
        self, unit: int, *, has_work: bool = False, units_before: Collection[int] = ()
    ) -> None:
        """End serving a unit; it is served again if entries wait on its queue or it `has_work`.

        Args:
            unit: The unit.
            has_work: Whether it has more to do than its queue says.
            units_before: Units to serve before it, which waited for it.
        """
        with self._condition:
            self._served_units.discard(unit)
            for waiting_unit in units_before:
                self._wake_unit(waiting_unit)
            was_wakened, self._woken_units[unit] = self._woken_units[unit], False
            has_queue = unit < STRANDS and bool(self._strand_queues[unit])
            if has_queue or has_work or was_wakened:
                self._wake_unit(unit)

    def put_aside(self, unit: int) -> None:
        """Do not serve a unit again until `resume`, whatever wakes it."""
        with self._condition:
            self._units_aside.add(unit)

    def resume(self, unit: int) -> None:
        """Have a unit that was put aside served again."""
        with self._condition:
            self._units_aside.discard(unit)
            self._wake_unit(unit)

    def is_aside(self, unit: int) -> bool:
        """Return whether a unit was put aside."""
        return unit in self._units_aside

    def is_served(self, unit: int) -> bool:
        """Return whether a worker or an errand has a unit now."""
        return unit in self._served_units

    def next_entry(self, strand_number: int) -> Entry | None:
        """Return the next entry of a strand that the caller serves; None if none waits."""
        queue = self._strand_queues[strand_number]
        return queue[0] if queue else None

    def finish(self, strand_number: int, seq: int) -> None:
        """Record that the next entry of a strand is finished, and take it off the queue."""
        with self._condition:
            entry = self._strand_queues[strand_number].popleft()
            self._queued_bytes -= len(entry.body)
            self._strand_places[strand_number] = Progress(seq)

    def stop_at(self, strand_number: int, progress: Progress) -> None:
        """Record that the next entry of a strand stays on the queue, with some callbacks done."""
        with self._condition:
            self._strand_places[strand_number] = progress

    # For any thread

    def place(self, strand_number: int) -> Progress:
        """Return the progress of a strand."""
        with self._condition:
            return self._place_of(strand_number)

    def places(self) -> StrandPlaces:
        """Return the progress of all strands, at one moment."""
        with self._condition:
            return StrandPlaces(self.order_by, tuple(map(self._place_of, range(STRANDS))))

    def is_idle(self) -> bool:
        """Return whether no entry waits and no unit is being served."""
        with self._condition:
            return not (self._served_units or self._ready_units or any(self._strand_queues))

    def blocking(self) -> tuple[int, Entry] | None:
        """Return the strand with the lowest unfinished entry, and that entry; None if none is."""
        with self._condition:
            oldest_entries = [
                (queue[0].seq, strand_number)
                for strand_number, queue in enumerate(self._strand_queues)
                if queue
            ]
            if not oldest_entries:
                return None
            _, strand_number = min(oldest_entries)
            return strand_number, self._strand_queues[strand_number][0]

    def waiting(self) -> int:
        """Return how many entries are on the queues."""
        with self._condition:
            return sum(map(len, self._strand_queues))

    def _place_of(self, strand_number: int) -> Progress:
        strand_place = self._strand_places[strand_number]
        if not self._strand_queues[strand_number] and strand_place.finished < self.end:
            return Progress(self.end)
        return strand_place

    def _lowest_place(self) -> int:
        return min(self._place_of(strand_number).finished for strand_number in range(STRANDS))

    def _wake_unit(self, unit: int) -> None:
        if self._woken_units[unit] or unit in self._units_aside:
            return
        self._woken_units[unit] = True
        if unit not in self._served_units:
            self._ready_units.append(unit)
            self._condition.notify()
