"""The deadline of a call to a site, and the minimum pace of file transfers."""

from __future__ import annotations

import time
from typing import Final

SLOWEST_TRANSFER: Final = 1024
"""The lowest rate of a file's transfer, in bytes per second."""


class Deadline:
    """The end of the time that one call may take.

    Args:
        seconds: The time allowed from now on; None for no limit.
    """

    __slots__ = ("_allowed_seconds", "_ends_at")

    def __init__(self, seconds: float | None) -> None:
        self._allowed_seconds = seconds
        self._ends_at = None if seconds is None else time.monotonic() + seconds

    def moved(self, byte_count: int) -> None:
        """Note that bytes were transferred; the deadline stays the same."""

    def seconds_left(self) -> float | None:
        """Return the seconds left; None for no limit.

        Raises:
            TimeoutError: The deadline has passed.
        """
        if self._ends_at is None:
            return None
        seconds_left = self._ends_at - time.monotonic()
        if seconds_left <= 0:
            raise TimeoutError(
                f"timed out: there was no whole answer within {self._allowed_seconds:g} s"
            )
        return seconds_left


class Pace(Deadline):
    """A deadline that moves: it expires if too few bytes are transferred within the time given."""

    __slots__ = ("_moved_bytes",)

    def __init__(self, seconds: float | None) -> None:
        super().__init__(seconds)
        self._moved_bytes = 0

    def moved(self, byte_count: int) -> None:
        """Note that bytes were transferred; enough of them restart the deadline."""
        self._moved_bytes += byte_count
        if (
            self._allowed_seconds is not None
            and self._moved_bytes >= SLOWEST_TRANSFER * self._allowed_seconds
        ):
            self._moved_bytes = 0
            self._ends_at = time.monotonic() + self._allowed_seconds
