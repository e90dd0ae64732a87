"""The intake of a lane: the queues of its strands, who serves which, and how far each has come.

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

MOST_AHEAD: Final = 10_000
"""The most events between the lowest place of a lane and its intake."""
MOST_QUEUED: Final = 8 * 1024 * 1024
"""The most bytes of bodies on the queues before the intake waits."""


class Intake:
    """The queues of one lane.

    Strands are numbered from 0; more units of work than strands may be served, which have no queue.

    Args:
        places: Where each strand is at the start.
        extra: How many units of work there are besides the strands.
    """

    def __init__(self, places: StrandPlaces, extra: int = 0) -> None:
        self.order_by: OrderBy = places.order_by
        self.end = places.lowest
        """`seq` of the last entry taken in; entries that a strand has finished are passed over."""
        self._condition = threading.Condition(threading.Lock())
        self._places = list(places.places)
        self._queues: list[deque[Entry]] = [deque() for _ in range(STRANDS)]
        self._bytes = 0
        self._taken: set[int] = set()
        self._ready: deque[int] = deque()
        self._wakened = [False] * (STRANDS + extra)
        self._put_aside: set[int] = set()
        self._ended = False

    # The lane's side

    def put(self, entries: Iterable[Entry]) -> None:
        """Put the next entries of the journal on the queues of their strands."""
        with self._condition:
            for entry in entries:
                self._put(entry)

    def _put(self, entry: Entry) -> None:
        strand = strand_of(entry, self.order_by)
        place = self._places[strand]
        if entry.seq > place.finished:
            queue = self._queues[strand]
            if not queue and place.running != entry.seq:  # it stood where the intake stands
                self._places[strand] = Progress.at(entry.seq)
            queue.append(entry)
            self._bytes += len(entry.body)
            self._wake(strand)
        self.end = entry.seq

    def room(self) -> int:
        """Return how many more entries may be taken in now."""
        with self._condition:
            if self._bytes > MOST_QUEUED:
                return 0
            return max(MOST_AHEAD - (self.end - self._lowest()), 0)

    def wake(self, units: Iterable[int]) -> None:
        """Have units of work served, although nothing is on their queues."""
        with self._condition:
            for unit in units:
                self._wake(unit)

    def end_workers(self) -> None:
        """Let `take` return None from now on."""
        with self._condition:
            self._ended = True
            self._condition.notify_all()

    # The workers' side

    def take(self, timeout: float | None = None) -> int | None:
        """Return a unit that has work and no other worker; None at the end or after a timeout.

        Args:
            timeout: How long to wait, in seconds; None for ever.
        """
        with self._condition:
            while not self._ended:
                while self._ready:
                    unit = self._ready.popleft()
                    if unit not in self._taken:  # claimed meanwhile: it is woken afterwards
                        self._wakened[unit] = False
                        self._taken.add(unit)
                        return unit
                if not self._condition.wait(timeout):
                    return None
            return None

    def claim(self, unit: int) -> bool:
        """Take one unit, unless a worker has it; it is woken when it is given back."""
        with self._condition:
            if unit in self._taken:
                return False
            self._taken.add(unit)
            return True

    def give_back(self, unit: int, *, has_work: bool = False, before: Collection[int] = ()) -> None:
        """End serving a unit; it is served again if entries wait on its queue or it `has_work`.

        Args:
            unit: The unit.
            has_work: Whether it has more to do than its queue says.
            before: Units to serve before it, which waited for it.
        """
        with self._condition:
            self._taken.discard(unit)
            for other in before:
                self._wake(other)
            was_wakened, self._wakened[unit] = self._wakened[unit], False
            has_queue = unit < STRANDS and bool(self._queues[unit])
            if has_queue or has_work or was_wakened:
                self._wake(unit)

    def put_aside(self, unit: int) -> None:
        """Do not serve a unit again until `resume`, whatever wakes it."""
        with self._condition:
            self._put_aside.add(unit)

    def resume(self, unit: int) -> None:
        """Have a unit that was put aside served again."""
        with self._condition:
            self._put_aside.discard(unit)
            self._wake(unit)

    def next_entry(self, strand: int) -> Entry | None:
        """Return the next entry of a strand that the caller serves; None if none waits."""
        queue = self._queues[strand]
        return queue[0] if queue else None

    def finish(self, strand: int, seq: int) -> None:
        """Record that the next entry of a strand is finished, and take it off the queue."""
        with self._condition:
            entry = self._queues[strand].popleft()
            self._bytes -= len(entry.body)
            self._places[strand] = Progress(seq)

    def stop_at(self, strand: int, progress: Progress) -> None:
        """Record that the next entry of a strand stays on the queue, with some callbacks done."""
        with self._condition:
            self._places[strand] = progress

    # What anybody may ask

    def place(self, strand: int) -> Progress:
        """Return how far a strand has come."""
        with self._condition:
            return self._place(strand)

    def places(self) -> StrandPlaces:
        """Return how far all strands have come, at one moment."""
        with self._condition:
            return StrandPlaces(self.order_by, tuple(map(self._place, range(STRANDS))))

    def is_idle(self) -> bool:
        """Return whether nothing waits and nobody serves anything."""
        with self._condition:
            return not (self._taken or self._ready or any(self._queues))

    def blocking(self) -> tuple[int, Entry] | None:
        """Return the strand with the lowest unfinished entry, and that entry; None if none is."""
        with self._condition:
            waiting = [(queue[0].seq, n) for n, queue in enumerate(self._queues) if queue]
            if not waiting:
                return None
            _, strand = min(waiting)
            return strand, self._queues[strand][0]

    def waiting(self) -> int:
        """Return how many entries are on the queues."""
        with self._condition:
            return sum(map(len, self._queues))

    def _place(self, strand: int) -> Progress:
        place = self._places[strand]
        if not self._queues[strand] and place.finished < self.end:
            return Progress(self.end)
        return place

    def _lowest(self) -> int:
        return min(self._place(strand).finished for strand in range(STRANDS))

    def _wake(self, unit: int) -> None:
        if self._wakened[unit] or unit in self._put_aside:
            return
        self._wakened[unit] = True
        if unit not in self._taken:
            self._ready.append(unit)
            self._condition.notify()
