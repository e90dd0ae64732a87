"""How many calls of one plugin may run at once in a divided lane.

Nothing waits here: a call that is not admitted puts its strand aside until there is a slot. Where
calls that hang have all slots, the plugin alone waits, and leaves its strands.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Admission:
    """The calls of one plugin that may run at once.

    Args:
        limit: The most calls at once.
        resume: Called with a strand that was put aside, once it may try again.
    """

    def __init__(self, limit: int, resume: Callable[[int], None]) -> None:
        self.limit = limit
        self._free = limit
        self._hung_count = 0
        self._resume = resume
        self._lock = threading.Lock()
        self._waiting: deque[int] = deque()

    def take(self) -> bool:
        """Take a slot for a call; return False if there is none."""
        with self._lock:
            if not self._free:
                return False
            self._free -= 1
            return True

    def give_back(self) -> None:
        """Give back the slot of a call that has returned."""
        with self._lock:
            self._free += 1
            strand = self._waiting.popleft() if self._waiting else None
        if strand is not None:
            self._resume(strand)

    @property
    def is_stuck(self) -> bool:
        """Whether calls that hang have all slots: nobody knows when there will be one."""
        return self._hung_count >= self.limit

    def keep(self) -> None:
        """Note that a call hangs and keeps its slot; once all do, no strand waits for one."""
        with self._lock:
            self._hung_count += 1
            waiting_strands = list(self._waiting) if self.is_stuck else []
            if self.is_stuck:
                self._waiting.clear()
        for strand in waiting_strands:
            self._resume(strand)

    def give_back_kept(self) -> None:
        """Give back the slot of a call that hung and has returned."""
        with self._lock:
            self._hung_count -= 1
        self.give_back()

    def wait(self, strand: int) -> None:
        """Resume a strand once there is a slot; it has already been put aside."""
        with self._lock:
            is_free = self._free > 0 or self.is_stuck
            if not is_free:
                self._waiting.append(strand)
        if is_free:
            self._resume(strand)
