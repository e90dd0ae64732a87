"""The time by which lanes make calls that were put off, moved on by a test."""

from __future__ import annotations

import time

from lane_house import House


class PassingTime:
    """Moves the time of a house's lanes on.

    Args:
        house: The house; its lanes run.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._passed_seconds = 0.0
        self.pass_on(0.0)

    def now(self) -> float:
        """Return the time, in seconds since 1970."""
        return time.time() + self._passed_seconds

    def pass_on(self, seconds: float) -> None:
        """Let some seconds pass."""
        self._passed_seconds += seconds
        for lane in self._house.lanes:
            lane.deferred_calls.clock = self.now
            lane.wake()
