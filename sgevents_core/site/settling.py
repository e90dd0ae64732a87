"""Settling: rows above a young gap are held back briefly, so that late rows keep id order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from sgevents_core.state.entries import Row


class Hold(NamedTuple):
    """How many rows of a page may pass now, and when the next one may (monotonic seconds)."""

    passing_rows: int
    until: float


class Settling:
    """Decisions on which rows have to wait.

    Args:
        settle: How long a gap is given, in seconds; 0 to hold nothing back.
    """

    def __init__(self, settle: float) -> None:
        self._settle_seconds = settle
        # The highest id of a page and when it was first seen; both ascend.
        self._highest_seen: list[tuple[int, float]] = []

    def hold(
        self, frontier: int, rows: Sequence[Row], now: float, clock: int | None
    ) -> Hold | None:
        """Return which rows have to wait, None when all may pass.

        The time of a gap runs from when a row above it was first seen, so all gaps of a page cost
        one wait, and a row that turns up in a gap does not restart it.

        Args:
            frontier: The highest id taken.
            rows: The rows above it, ascending.
            now: The host's monotonic clock, in seconds.
            clock: The site's clock in seconds since 1970; None while catching up with a site that
                sends none: then nothing is held back.
        """
        if self._settle_seconds <= 0 or not rows:
            return None
        self._note_highest(frontier, rows[-1].id, now)
        if clock is None:
            return None
        below = frontier
        for index, row in enumerate(rows):
            if row.id > below + 1 and clock - row.at <= self._settle_seconds:
                until = self._first_seen(row.id) + self._settle_seconds
                if now < until:
                    return Hold(index, until)
            below = row.id
        return None

    def _note_highest(self, frontier: int, highest: int, now: float) -> None:
        self._highest_seen = [seen for seen in self._highest_seen if seen[0] > frontier]
        if not self._highest_seen or highest > self._highest_seen[-1][0]:
            self._highest_seen.append((highest, now))

    def _first_seen(self, id_: int) -> float:
        """Return when an id, or one above it, was first seen."""
        return self._highest_seen[bisect_left(self._highest_seen, id_, key=lambda seen: seen[0])][1]
