"""The newest entries of the journal in memory, for lanes that are close behind the feed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from sgevents_core.state.entries import Entry, LateRow

MOST_BYTES: Final = 4 * 1024 * 1024
"""The most bytes of rows that are kept: what some thousand events have."""


class RecentEntries:
    """The entries that this process has appended last, all of them committed.

    They are what a lane would read from the database: nothing depends on their being kept. Any
    thread may read them; one at a time appends.

    Args:
        most_bytes: The most bytes of rows to keep.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._first_seq = 0
        self._rows: list[LateRow] = []
        self._row_bytes = 0
        self._era = 0

    def append(self, first_seq: int, era: int, appended_rows: Sequence[LateRow]) -> None:
        """Keep rows that were just committed, and drop the oldest beyond the limit.

        Rows of another era, or that do not follow those kept, replace them.

        Args:
            first_seq: The `seq` of the first one.
            era: The feed's era.
            appended_rows: The rows.
        """
        with self._lock:
            if era != self._era or first_seq != self._first_seq + len(self._rows):
                self._first_seq, self._era, self._rows, self._row_bytes = first_seq, era, [], 0
            self._rows += appended_rows
            self._row_bytes += sum(len(row.body) for row, _ in appended_rows)
            if self._row_bytes > self._most_bytes:
                self._drop_oldest()

    def read(self, after: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries above `after`, ascending; none if the next is not kept."""
        with self._lock:
            era, index = self._era, after + 1 - self._first_seq
            late_rows = self._rows[index : index + limit] if index >= 0 else []
        return [
            Entry(seq, event_id, event_type, created, late, body, era, True, strands)
            for seq, ((event_id, created, event_type, body, _, strands), late) in enumerate(
                late_rows, after + 1
            )
        ]

    def forget(self) -> None:
        """Forget all rows: the database has changed some of them."""
        with self._lock:
            self._first_seq, self._rows, self._row_bytes = 0, [], 0

    def _drop_oldest(self) -> None:
        """Drop the oldest rows until a quarter of the limit is free, so that it is done rarely."""
        excess_bytes = self._row_bytes - self._most_bytes * 3 // 4
        dropped_bytes = accumulate(len(row.body) for row, _ in self._rows)
        dropped_rows = next(
            index for index, so_far in enumerate(dropped_bytes, 1) if so_far >= excess_bytes
        )
        self._row_bytes -= sum(len(row.body) for row, _ in self._rows[:dropped_rows])
        self._first_seq += dropped_rows
        del self._rows[:dropped_rows]
