"""The time by which a call to a site has to end, and the pace expected of files."""

from __future__ import annotations

import time
from typing import Final

SLOWEST: Final = 1024
"""The lowest rate of a file's transfer, in bytes per second."""


class Deadline:
    """The end of the time that one call may take.

    Args:
        seconds: How long it may take from now on; None for any time.
    """

    __slots__ = ("_at", "_seconds")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._at = None if seconds is None else time.monotonic() + seconds

    def moved(self, count: int) -> None:
        """Note that bytes were transferred; this does not extend the time."""

    def left(self) -> float | None:
        """Return the seconds left; None for any time.

        Raises:
            TimeoutError: The time is over.
        """
        if self._at is None:
            return None
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"timed out: there was no whole answer within {self._seconds:g} s")
        return left


class Pace(Deadline):
    """No end while it moves: bytes have to be transferred within the time given."""

    __slots__ = ("_moved",)

    def __init__(self, seconds: float | None) -> None:
        super().__init__(seconds)
        self._moved = 0

    def moved(self, count: int) -> None:
        """Note that bytes were transferred; enough of them restart the time."""
        self._moved += count
        if self._seconds is not None and self._moved >= SLOWEST * self._seconds:
            self._moved = 0
            self._at = time.monotonic() + self._seconds
