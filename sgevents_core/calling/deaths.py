"""The decisions about calls that end their process: how often they are made, and how soon again.

Pure: it takes the counts and the time. A death in a worker process costs its call alone; one of the
daemon is judged at its next start, by the same rules.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from sgevents_core.state.keys import CallKey
from sgevents_core.state.steps import CallDeaths

PROVED: Final = 2
"""Deaths with a known cause in one call after which it is not repeated."""
ALL: Final = 5
"""Deaths of any cause in one call after which it is not repeated."""
OUTSIDE: Final = "nothing shows what killed it"
REMEMBERED: Final = 600.0
"""Seconds for which an ended worker process slows its plugin down."""
TOLERATED: Final = 2
"""How many worker processes a plugin may end before its other events wait too."""
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 60.0


def is_condemned(died: CallDeaths) -> bool:
    """Return whether a call must not be repeated."""
    return died.proved >= PROVED or died.proved + died.unproved >= ALL


def first_death(key: CallKey, seq: int) -> CallDeaths:
    """Return the count of deaths in a call in which no process has died yet."""
    return CallDeaths(key.plugin, key.callback, seq, 0, 0, "", "")


def with_death(died: CallDeaths, how: str, traceback: str, *, is_proved: bool) -> CallDeaths:
    """Return the count of deaths in a call with one more.

    Args:
        died: The deaths so far.
        how: What ended the process, for people.
        traceback: Where, if known.
        is_proved: Whether the call is known to have ended it.
    """
    if not is_proved:
        return died._replace(unproved=died.unproved + 1, how=died.how or how)
    return died._replace(proved=died.proved + 1, how=how, traceback=traceback)


class EndedWorkers:
    """The worker processes that one plugin's calls have ended lately.

    Each costs its lane a start, so a plugin that ends them again and again is called ever more
    slowly; the lane's other plugins are not held up by it.
    """

    def __init__(self) -> None:
        self._ended: deque[float] = deque()

    def add(self, now: float) -> float:
        """Note one more; return how many seconds its next call has to wait.

        Args:
            now: The current monotonic time, in seconds.
        """
        while self._ended and self._ended[0] <= now - REMEMBERED:
            self._ended.popleft()
        self._ended.append(now)
        doublings = (len(self._ended) - 1) // PROVED  # a call that is given up has ended as many
        return min(FIRST_WAIT * 2.0 ** min(doublings, 20), LONGEST_WAIT)

    @property
    def are_many(self) -> bool:
        """Whether they are so many that its other events wait too."""
        return len(self._ended) > TOLERATED

    def __len__(self) -> int:
        return len(self._ended)
