"""Read ahead while the feed is far behind: choose the ranges to request together. Pure.

Every range ends at or below the highest id that the site has shown, so a visible row lies above any
missing id. Ranges are taken in order, each once the one below is complete. Any failure discards all
of them: the next query is then an ordinary page behind the last row taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from sgevents_core.site.questions import Newest, PageRange
from sgevents_core.state.entries import Row
from sgevents_core.state.feed_values import FeedState

FAR_BEHIND: Final = 4
"""Ranges that must fit below the highest id before they are requested."""
MANY_IDS: Final = 10_000
"""Ids below the highest from which the log is worth a process of its own."""
PAGES_BETWEEN_HIGHEST: Final = 4
"""Full pages before the highest id is requested again, if it was not far ahead."""
READY: Final = 2
"""Ranges per connection, requested or answered, so that one slow answer delays no other."""
DENSE: Final = 0.9
"""The share of visible ids above which a range never holds more ids than fit in an answer."""
FIRST_PATIENCE: Final = 8
"""Answers after a failure before another connection is tried."""
LONGEST_PATIENCE: Final = 256
SLOWER: Final = 4.0
"""How many times as long as usual an answer may take before the site counts as slow..."""
SLOW: Final = 1.0
"""... if it also takes this many seconds longer."""
FORGETTING: Final = 1.02
"""The growth of the usual time with each answer, so that a single fast one does not set it."""


class Connections:
    """How many ranges are requested at the same time: fewer after failures, more after successes.

    Args:
        connection_limit: The setting.
    """

    def __init__(self, connection_limit: int) -> None:
        self.now = connection_limit
        self._most = connection_limit
        self._patience = 1
        self._succeeded = 0
        self._usual: float | None = None

    def succeeded(self, seconds_taken: float) -> None:
        """Note that the site answered, and after how many seconds."""
        usual_seconds = seconds_taken if self._usual is None else self._usual
        self._usual = min(seconds_taken, usual_seconds * FORGETTING)
        if seconds_taken > usual_seconds + SLOW and seconds_taken > usual_seconds * SLOWER:
            self._fewer(self.now - 1)
            return
        self._succeeded += 1
        if self._succeeded >= self._patience:
            self.now, self._succeeded = min(self.now + 1, self._most), 0
            self._patience = max(self._patience // 2, 1)

    def failed(self) -> None:
        """Note that the site did not answer, or refused."""
        self._fewer(self.now // 2)

    def _fewer(self, connection_count: int) -> None:
        self.now, self._succeeded = max(connection_count, 1), 0
        self._patience = min(max(self._patience * 2, FIRST_PATIENCE), LONGEST_PATIENCE)


class ReadAhead:
    """Decisions on which ranges are read ahead.

    Args:
        connection_limit: The largest number of connections.
    """

    def __init__(self, connection_limit: int) -> None:
        self.connections = Connections(connection_limit)
        self._most = connection_limit
        self._ranges: deque[PageRange] = deque()
        self._next: int | None = None
        self._highest = 0
        self._density = 1.0
        self._pages_left = 1

    @property
    def ranges(self) -> tuple[PageRange, ...]:
        """The ranges to ask for, in the order in which they are taken."""
        return tuple(self._ranges)

    def is_far_behind(self, feed_state: FeedState) -> bool:
        """Return whether many ids are left, and no connection is held back because of failures."""
        are_many = self._highest - feed_state.frontier >= MANY_IDS
        return are_many and 1 < self._most == self.connections.now

    @property
    def highest(self) -> int:
        """The highest id that the site has shown; 0 if none has been needed."""
        return self._highest

    def continue_to(self, highest_id: int, feed_state: FeedState) -> None:
        """Begin with ranges up to an id that the site has shown to another follower."""
        self._highest, self._next = highest_id, feed_state.frontier + 1

    def next_call(self, feed_state: FeedState, row_limit: int) -> PageRange | Newest | None:
        """Return the next query; None for an ordinary page.

        Args:
            feed_state: The feed's state.
            row_limit: The largest number of rows to ask for at once.
        """
        is_possible = self._next is not None and feed_state.anchor_id is not None
        if not is_possible or self.connections.now < 2 or self._width(row_limit) < 1:
            self.discard()
            return None
        if self._highest <= feed_state.frontier and self._pages_left <= 0:
            self._pages_left = PAGES_BETWEEN_HIGHEST
            return Newest(1)
        id_distance = self._highest - feed_state.frontier
        if self._ranges or id_distance >= FAR_BEHIND * self._width(row_limit):
            self._extend(feed_state, row_limit)
        return self._ranges[0] if self._ranges else None

    def _extend(self, feed_state: FeedState, row_limit: int) -> None:
        """Add ranges up to the highest id, as many as may be asked for at the same time."""
        anchor_id, anchor_at, first_id = feed_state.anchor_id, feed_state.anchor_at, self._next
        while first_id is not None and anchor_id is not None:
            last_id = first_id + self._width(row_limit) - 1
            if last_id > self._highest or len(self._ranges) >= READY * self.connections.now:
                return
            self._ranges.append(PageRange(first_id, last_id, row_limit, anchor_id, anchor_at))
            self._next = first_id = last_id + 1

    def _width(self, row_limit: int) -> int:
        """Return how many ids to put in a range: no more than fit in one answer.

        One row is the anchor, and an answer is only known to be complete if it is not full.
        """
        event_rows = row_limit - 2
        return event_rows if self._density >= DENSE else int(event_rows * DENSE / self._density)

    def show_highest(self, event_rows: Sequence[Row]) -> None:
        """Note the highest id that a row of the site has shown."""
        self._highest = max((event_row.id for event_row in event_rows), default=0)

    def took_page(
        self, event_rows: Sequence[Row], frontier_id: int, seconds_taken: float, *, is_full: bool
    ) -> None:
        """Note an ordinary page.

        Args:
            event_rows: The rows above the frontier that were taken, ascending.
            frontier_id: The highest id taken.
            seconds_taken: How many seconds the site took.
            is_full: Whether more rows follow.
        """
        self.discard()
        if not is_full:
            self._pages_left, self._highest = 1, 0
            return
        self.connections.succeeded(seconds_taken)
        self._pages_left -= 1
        if event_rows:
            self._next, self._density = frontier_id + 1, _density(event_rows)

    def took_range(
        self,
        range_call: PageRange,
        event_rows: Sequence[Row],
        seconds_taken: float,
        *,
        is_full: bool,
    ) -> None:
        """Note that a range was taken; if it was empty or incomplete, discard the others.

        Args:
            range_call: The range.
            event_rows: The rows that were taken, ascending.
            seconds_taken: How many seconds the site took.
            is_full: Whether the answer may lack rows of the range.
        """
        self.connections.succeeded(seconds_taken)
        if not event_rows or is_full:
            self.discard()
            return
        self._ranges.popleft()
        self._pages_left = 0
        row_density = len(event_rows) / (range_call.last - range_call.first + 1)
        self._density = max(row_density, self._density / 2)  # one hole is not typical

    def failed(self) -> None:
        """Note that the site did not answer for rows that come next."""
        self.connections.failed()
        self.discard()

    def discard(self) -> None:
        """Give up all ranges until an ordinary page was read."""
        self._ranges.clear()
        self._next = None


def _density(event_rows: Sequence[Row]) -> float:
    """Return the share of visible ids among all, ignoring large holes between two rows."""
    middle_index = len(event_rows) // 2
    row_halves = (event_rows[: middle_index + 1], event_rows[middle_index:])
    return max(len(row_half) / (row_half[-1].id - row_half[0].id + 1) for row_half in row_halves)
