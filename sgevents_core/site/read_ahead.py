"""Reading ahead while the feed is far behind: which ranges are asked for at the same time. Pure.

Every range lies at or below the highest id that the site has shown, so that a row lies above any id
that is missing. Ranges are taken in order, each once the one below is complete. Whatever goes
wrong discards all of them: the next thing that is read is an ordinary page, behind what was taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from sgevents_core.site.questions import Newest, PageRange
from sgevents_core.state.entries import Row
from sgevents_core.state.feed_values import FeedState

FAR_BEHIND: Final = 4
"""Ranges that have to fit below the highest id before they are asked for."""
PAGES_BETWEEN_HIGHEST: Final = 4
"""Full pages after which the highest id is asked for again, if it was not far ahead."""
READY: Final = 2
"""Ranges per connection that are asked for or wait to be taken: one slow answer delays no other."""
DENSE: Final = 0.9
"""The share of visible ids above which a range never holds more ids than fit in an answer."""
FIRST_PATIENCE: Final = 8
"""Answers after trouble before another connection is tried."""
LONGEST_PATIENCE: Final = 256
SLOWER: Final = 4.0
"""How many times as long as usual an answer may take before the site counts as slow..."""
SLOW: Final = 1.0
"""... if it also takes so many seconds longer."""
FORGETTING: Final = 1.02
"""The factor by which the usual time grows with each answer, so that it is not a record."""


class Connections:
    """How many ranges are asked for at the same time: fewer after trouble, more after successes.

    Args:
        most: The setting.
    """

    def __init__(self, most: int) -> None:
        self.now = most
        self._most = most
        self._patience = 1
        self._succeeded = 0
        self._usual: float | None = None

    def succeeded(self, took: float) -> None:
        """Note that the site answered, and how many seconds it took."""
        usual = took if self._usual is None else self._usual
        self._usual = min(took, usual * FORGETTING)
        if took > usual + SLOW and took > usual * SLOWER:
            self._fewer(self.now - 1)
            return
        self._succeeded += 1
        if self._succeeded >= self._patience:
            self.now, self._succeeded = min(self.now + 1, self._most), 0
            self._patience = max(self._patience // 2, 1)

    def failed(self) -> None:
        """Note that the site did not answer, or refused."""
        self._fewer(self.now // 2)

    def _fewer(self, number: int) -> None:
        self.now, self._succeeded = max(number, 1), 0
        self._patience = min(max(self._patience * 2, FIRST_PATIENCE), LONGEST_PATIENCE)


class ReadAhead:
    """Decisions on which ranges are read ahead.

    Args:
        most: The largest number of connections.
    """

    def __init__(self, most: int) -> None:
        self.connections = Connections(most)
        self._most = most
        self._ranges: deque[PageRange] = deque()
        self._next: int | None = None
        self._highest = 0
        self._density = 1.0
        self._pages_left = 1

    @property
    def ranges(self) -> tuple[PageRange, ...]:
        """The ranges to ask for, in the order in which they are taken."""
        return tuple(self._ranges)

    def next_call(self, state: FeedState, limit: int) -> PageRange | Newest | None:
        """Return what to ask next; None for an ordinary page.

        Args:
            state: The feed's state.
            limit: The largest number of rows to ask for at once.
        """
        is_possible = self._next is not None and state.anchor_id is not None
        if not is_possible or self.connections.now < 2 or self._width(limit) < 1:
            self.discard()
            return None
        if self._highest <= state.frontier and self._pages_left <= 0:
            self._pages_left = PAGES_BETWEEN_HIGHEST
            return Newest(1)
        distance = self._highest - state.frontier
        if self._ranges or distance >= FAR_BEHIND * self._width(limit):
            self._extend(state, limit)
        return self._ranges[0] if self._ranges else None

    def _extend(self, state: FeedState, limit: int) -> None:
        """Add ranges up to the highest id, as many as may be asked for at the same time."""
        anchor_id, anchor_at, first = state.anchor_id, state.anchor_at, self._next
        while first is not None and anchor_id is not None:
            last = first + self._width(limit) - 1
            if last > self._highest or len(self._ranges) >= READY * self.connections.now:
                return
            self._ranges.append(PageRange(first, last, limit, anchor_id, anchor_at))
            self._next = first = last + 1

    def _width(self, limit: int) -> int:
        """Return how many ids a range has: no more than have their rows in one answer.

        One row is the anchor, and an answer is only known to be complete if it is not full.
        """
        rows = limit - 2
        return rows if self._density >= DENSE else int(rows * DENSE / self._density)

    def show_highest(self, rows: Sequence[Row]) -> None:
        """Note the highest id that the site shows, as far as rows show it."""
        self._highest = max((row.id for row in rows), default=0)

    def read_page(self, rows: Sequence[Row], frontier: int, took: float, *, full: bool) -> None:
        """Note an ordinary page.

        Args:
            rows: The rows above the frontier that were taken, ascending.
            frontier: The highest id taken.
            took: How many seconds the site took.
            full: Whether more rows follow.
        """
        self.discard()
        if not full:
            self._pages_left, self._highest = 1, 0
            return
        self.connections.succeeded(took)
        self._pages_left -= 1
        if rows:
            self._next, self._density = frontier + 1, _density(rows)

    def took_range(self, call: PageRange, rows: Sequence[Row], took: float, *, full: bool) -> None:
        """Note that a range was taken; one that was empty, or not complete, discards the others.

        Args:
            call: The range.
            rows: The rows that were taken, ascending.
            took: How many seconds the site took.
            full: Whether the answer may lack rows of the range.
        """
        self.connections.succeeded(took)
        if not rows or full:
            self.discard()
            return
        self._ranges.popleft()
        self._pages_left = 0
        density = len(rows) / (call.last - call.first + 1)
        self._density = max(density, self._density / 2)  # a hole is not the rule

    def failed(self) -> None:
        """Note that the site did not answer for rows that come next."""
        self.connections.failed()
        self.discard()

    def discard(self) -> None:
        """Give up all ranges until an ordinary page was read."""
        self._ranges.clear()
        self._next = None


def _density(rows: Sequence[Row]) -> float:
    """Return the share of visible ids, where most of them are: a hole between two rows aside."""
    middle = len(rows) // 2
    halves = (rows[: middle + 1], rows[middle:])
    return max(len(half) / (half[-1].id - half[0].id + 1) for half in halves)
