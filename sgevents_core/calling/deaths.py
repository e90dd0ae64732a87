"""Decide how often to repeat a call that ends its process, and how soon.

Pure: it takes the counts and the time. A death in a worker process costs its call alone; one of the
daemon is judged at its next start, by the same rules.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import Final

from sgevents_core.settings import format_duration
from sgevents_core.state.keys import CallKey
from sgevents_core.state.steps import CallDeaths

PROVED_LIMIT: Final = 2
"""Deaths with a known cause in one call after which it is not repeated."""
DEATHS_LIMIT: Final = 5
"""Deaths of any cause in one call after which it is not repeated."""
UNKNOWN_CAUSE: Final = "nothing shows what killed it"
MEMORY_SECONDS: Final = 600.0
"""Seconds for which an ended worker process slows its plugin down."""
TOLERATED_ENDS: Final = 2
"""How many worker processes a plugin may end before its other events wait too."""
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 60.0


def died_too_often(call_deaths: CallDeaths) -> bool:
    """Return whether a call must not be repeated."""
    return (
        call_deaths.proved >= PROVED_LIMIT
        or call_deaths.proved + call_deaths.unproved >= DEATHS_LIMIT
    )


def first_death(call_key: CallKey, seq: int) -> CallDeaths:
    """Return the count of deaths in a call in which no process has died yet."""
    return CallDeaths(call_key.plugin, call_key.callback, seq, 0, 0, "", "")


def count_death(
    call_deaths: CallDeaths, cause_text: str, traceback_text: str, *, is_proved: bool
) -> CallDeaths:
    """Return the count of deaths in a call with one more.

    Args:
        call_deaths: The deaths so far.
        cause_text: The cause of the death, for people.
        traceback_text: Where, if known.
        is_proved: Whether the call is known to have ended it.
    """
    if not is_proved:
        return call_deaths._replace(
            unproved=call_deaths.unproved + 1, how=call_deaths.how or cause_text
        )
    return call_deaths._replace(
        proved=call_deaths.proved + 1, how=cause_text, traceback=traceback_text
    )


class EndedWorkers:
    """The worker processes that one plugin's calls have ended lately, in all its strands.

    Each costs its lane a start, so a plugin that ends them again and again is called ever more
    slowly, one call at a time: the plugin waits, and no worker does. It may be used from any
    thread.
    """

    def __init__(self) -> None:
        self.is_slow = False
        """Whether the plugin was called too often; false costs its calls nothing."""
        self.reason = ""
        """Why it is called more slowly, for people."""
        self._end_times: deque[float] = deque()
        self._free_at = 0.0
        self._trial_strand: int | None = None
        self._lock = threading.Lock()

    def count_end(self, current_time: float) -> float:
        """Count one more ended process; return how many seconds the plugin's next call must wait.

        Args:
            current_time: The current monotonic time, in seconds.
        """
        with self._lock:
            self._forget_old(current_time)
            self._end_times.append(current_time)
            doublings = (
                len(self._end_times) - 1
            ) // PROVED_LIMIT  # a call that is given up has ended that many
            wait_seconds = min(FIRST_WAIT * 2.0 ** min(doublings, 20), LONGEST_WAIT)
            self._free_at = max(self._free_at, current_time + wait_seconds)
            self.is_slow = self.are_many
            self.reason = (
                f"its calls have ended {len(self._end_times)} worker processes within "
                f"{format_duration(MEMORY_SECONDS)}; it is called more slowly"
            )
            return wait_seconds

    @property
    def are_many(self) -> bool:
        """Whether enough processes have ended that the plugin's other events wait too."""
        return len(self._end_times) > TOLERATED_ENDS

    def wait_left(self, current_time: float) -> float:
        """Return for how many seconds a slow plugin must not be called yet.

        Infinite while one of its calls runs.

        Args:
            current_time: The current monotonic time, in seconds.
        """
        with self._lock:
            self._forget_old(current_time)
            if not self.is_slow:
                return 0.0
            if self._trial_strand is not None:
                return math.inf
            return max(self._free_at - current_time, 0.0)

    def begin_call(self, strand_number: int, current_time: float) -> bool:
        """Begin a call of a slow plugin in a strand; return False if it must wait.

        Args:
            strand_number: The strand.
            current_time: The current monotonic time, in seconds.
        """
        if self.wait_left(current_time):
            return False
        with self._lock:
            if self.is_slow and self._trial_strand is not None:
                return False
            self._trial_strand = strand_number
        return True

    def end_call(self, strand_number: int) -> bool:
        """Note that a call in a strand is over; return whether it kept others from being made."""
        if self._trial_strand != strand_number:  # nobody else has set it to this strand
            return False
        self._trial_strand = None
        return True

    def _forget_old(self, current_time: float) -> None:
        while self._end_times and self._end_times[0] <= current_time - MEMORY_SECONDS:
            self._end_times.popleft()
        self.is_slow = self.is_slow and self.are_many

    def __len__(self) -> int:
        return len(self._end_times)
