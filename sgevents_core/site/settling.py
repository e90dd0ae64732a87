"""Settling: rows above a young gap are held back briefly, so that late rows keep id order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from sgevents_core.state.entries import Row


class Hold(NamedTuple):
    """How many rows of a page pass now, and when the next one may (monotonic seconds)."""

    passing_rows: int
    until: float


class Settling:
    """Decisions on which rows have to wait.

    Args:
        settle_seconds: How long rows wait for a gap to fill, in seconds; 0 to hold nothing back.
    """

    def __init__(self, settle_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        # The highest id of a page and when it was first seen; both ascend.
        self._highest_seen: list[tuple[int, float]] = []

    def hold(
        self,
        frontier_id: int,
        event_rows: Sequence[Row],
        current_time: float,
        site_clock: int | None,
    ) -> Hold | None:
        """Return which rows have to wait, None when all may pass.

        The time of a gap runs from when a row above it was first seen, so all gaps of a page cost
        one wait, and a row that turns up in a gap does not restart it.

        Args:
            frontier_id: The highest id taken.
            event_rows: The rows above it, ascending.
            current_time: The host's monotonic clock, in seconds.
            site_clock: The site's clock in seconds since 1970; None while catching up with a site
                that sends none: then nothing is held back.
        """
        if self._settle_seconds <= 0 or not event_rows:
            return None
        self._note_highest(frontier_id, event_rows[-1].id, current_time)
        if site_clock is None:
            return None
        id_below = frontier_id
        for row_index, event_row in enumerate(event_rows):
            if event_row.id > id_below + 1 and site_clock - event_row.at <= self._settle_seconds:
                hold_until = self._first_seen(event_row.id) + self._settle_seconds
                if current_time < hold_until:
                    return Hold(row_index, hold_until)
            id_below = event_row.id
        return None

    def _note_highest(self, frontier_id: int, highest_id: int, current_time: float) -> None:
        self._highest_seen = [seen for seen in self._highest_seen if seen[0] > frontier_id]
        if not self._highest_seen or highest_id > self._highest_seen[-1][0]:
            self._highest_seen.append((highest_id, current_time))

    def _first_seen(self, id_: int) -> float:
        """Return when an id, or one above it, was first seen."""
        return self._highest_seen[bisect_left(self._highest_seen, id_, key=lambda seen: seen[0])][1]
