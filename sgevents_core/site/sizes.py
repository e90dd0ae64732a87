"""How much is asked of the site at once, and how often, learnt from its answers. Pure."""

from __future__ import annotations

from typing import Final

FIRST_PATIENCE: Final = 4
"""Questions of a size that have to succeed before a larger one is tried."""
LONGEST_PATIENCE: Final = 1024
FAILURES_IN_A_ROW: Final = 3
"""Failures after which a size that once succeeded is no longer trusted."""
MOST_AT_ONCE: Final = 20
"""Looks and audits that may follow one another without a pause."""
LONGEST_PAUSE: Final = 60.0
A_MINUTE: Final = 40.0
"""Looks and audits per minute beyond these: together at most 60 in any minute."""


class Size:
    """The size of a question: halved when it fails, doubled when it has worked for a while.

    A question that fails although larger ones have just worked fails because of its content, not
    its size.

    Args:
        most: The largest size.
        least: The smallest.
    """

    def __init__(self, most: int, least: int = 1) -> None:
        self.now = most
        self._most = most
        self._least = least
        self._proved = 0
        self._worked = 0
        self._failed = 0
        self._patience = FIRST_PATIENCE

    def failed(self, size: int) -> None:
        """Note that a question of this size failed, while the site answers others."""
        self._failed += 1
        self._worked = 0
        if self._failed >= FAILURES_IN_A_ROW:
            self._proved = 0
        # A size that has worked fails because of the content: only larger ones are halved.
        if size > self._proved:
            self.now = max(min(self.now, size) // 2, self._least, 1)
            self._patience = min(self._patience * 2, LONGEST_PATIENCE)

    def worked(self, size: int) -> None:
        """Note that a question of this size was answered."""
        self._failed = 0
        self._proved = max(self._proved, size)
        if size < self.now or self.now >= self._most:
            return
        self._worked += 1
        if self._worked >= self._patience:
            self._worked = 0
            self.now = min(self.now * 2, self._most)


class Budget:
    """How often looks and audits may be asked: a few at once, and a limited number per minute.

    A token bucket: it holds `MOST_AT_ONCE` and refills at `A_MINUTE` per minute.
    """

    def __init__(self) -> None:
        self._left = float(MOST_AT_ONCE)
        self._at: float | None = None

    def wait(self, now: float) -> float:
        """Return the seconds until the next may be asked, 0 if it may now."""
        passed = 0.0 if self._at is None else max(now - self._at, 0.0)
        self._at = now
        self._left = min(self._left + passed * A_MINUTE / 60, MOST_AT_ONCE)
        return max(1.0 - self._left, 0.0) * 60 / A_MINUTE

    def spend(self) -> None:
        """Note that one was asked."""
        self._left = max(self._left - 1.0, 0.0)

    def give_back(self) -> None:
        """Note that one returned a full page: reading rows is not looking for missing ones."""
        self._left = min(self._left + 1.0, MOST_AT_ONCE)


class Pause:
    """How long a kind of question is put off: longer with each failure in a row."""

    def __init__(self) -> None:
        self._until = float("-inf")
        self._failures = 0

    def longer(self, now: float) -> None:
        """Put it off longer, after a failure."""
        self._until = now + min(2.0**self._failures, LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 10)

    def over(self) -> None:
        """End the pause, after an answer."""
        self._failures = 0

    def wait(self, now: float) -> float:
        """Return the seconds until it may be asked again, 0 if it may now."""
        return max(self._until - now, 0.0)
