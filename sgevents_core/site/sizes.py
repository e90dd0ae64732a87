"""How much is requested from the site at once, and how often, learnt from its answers. Pure."""

from __future__ import annotations

from typing import Final

FIRST_PATIENCE: Final = 4
"""Queries of a size that must succeed before a larger one is tried."""
LONGEST_PATIENCE: Final = 1024
FAILURES_IN_A_ROW: Final = 3
"""Failures after which a size that once succeeded is no longer trusted."""
MOST_AT_ONCE: Final = 20
"""Looks and audits that may follow one another without a pause."""
LONGEST_PAUSE: Final = 60.0
CALLS_PER_MINUTE: Final = 40.0
"""Looks and audits per minute after the first few; together at most 60 in any minute."""


class Size:
    """The size of a question: halved when it fails, doubled when it has worked for a while.

    A question that fails although larger ones have just worked fails because of its content, not
    its size.

    Args:
        largest_size: The largest size.
        smallest_size: The smallest.
    """

    def __init__(self, largest_size: int, smallest_size: int = 1) -> None:
        self.current = largest_size
        self._largest = largest_size
        self._smallest = smallest_size
        self._proved_size = 0
        self._successes = 0
        self._failures = 0
        self._patience = FIRST_PATIENCE

    def failed(self, failed_size: int) -> None:
        """Note that a query of this size failed, while the site answers others."""
        self._failures += 1
        self._successes = 0
        if self._failures >= FAILURES_IN_A_ROW:
            self._proved_size = 0
        # A size that has worked fails because of the content: only larger ones are halved.
        if failed_size > self._proved_size:
            self.current = max(min(self.current, failed_size) // 2, self._smallest, 1)
            self._patience = min(self._patience * 2, LONGEST_PATIENCE)

    def succeeded(self, succeeded_size: int) -> None:
        """Note that a question of this size was answered."""
        self._failures = 0
        self._proved_size = max(self._proved_size, succeeded_size)
        if succeeded_size < self.current or self.current >= self._largest:
            return
        self._successes += 1
        if self._successes >= self._patience:
            self._successes = 0
            self.current = min(self.current * 2, self._largest)


class Budget:
    """How often looks and audits may be sent: a few at once, and a limited number per minute.

    A token bucket: it holds `MOST_AT_ONCE` and refills at `CALLS_PER_MINUTE` per minute.
    """

    def __init__(self) -> None:
        self._calls_left = float(MOST_AT_ONCE)
        self._refilled_at: float | None = None

    def seconds_to_wait(self, current_time: float) -> float:
        """Return the seconds until the next call may be sent, 0 if it may be sent now."""
        seconds_passed = (
            0.0 if self._refilled_at is None else max(current_time - self._refilled_at, 0.0)
        )
        self._refilled_at = current_time
        self._calls_left = min(
            self._calls_left + seconds_passed * CALLS_PER_MINUTE / 60, MOST_AT_ONCE
        )
        return max(1.0 - self._calls_left, 0.0) * 60 / CALLS_PER_MINUTE

    def spend_call(self) -> None:
        """Count a call that was sent."""
        self._calls_left = max(self._calls_left - 1.0, 0.0)

    def give_back_call(self) -> None:
        """Give back a call that returned a full page: it read rows instead of seeking them."""
        self._calls_left = min(self._calls_left + 1.0, MOST_AT_ONCE)


class Pause:
    """How long a kind of question is put off: longer with each failure in a row."""

    def __init__(self) -> None:
        self._ends_at = float("-inf")
        self._failures = 0

    def extend(self, current_time: float) -> None:
        """Lengthen the pause, after a failure."""
        self._ends_at = current_time + min(2.0**self._failures, LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 10)

    def end(self) -> None:
        """End the pause, after an answer."""
        self._failures = 0

    def seconds_left(self, current_time: float) -> float:
        """Return the seconds until the pause ends, 0 if it is over."""
        return max(self._ends_at - current_time, 0.0)
