"""Attempts to sign in: after several failures, a peer and a name have to wait."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

MOST_FAILURES: Final = 5
"""Failures within `WINDOW` after which no attempt is looked at."""
WINDOW: Final = 300.0
"""Seconds."""
_MOST_SOURCES: Final = 10_000
"""The most peers and names that are remembered; the oldest are forgotten."""


class Attempts:
    """The failed attempts of the last minutes, by peer and by name."""

    def __init__(self) -> None:
        self._failures: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def wait_of(self, sources: Iterable[str], now: float) -> float:
        """Return the seconds until one of these may try again; 0 for at once."""
        with self._lock:
            return max((self._wait_of(source, now) for source in sources), default=0.0)

    def _wait_of(self, source: str, now: float) -> float:
        recent = [
            failed_at for failed_at in self._failures.get(source, ()) if now - failed_at < WINDOW
        ]
        return recent[-MOST_FAILURES] + WINDOW - now if len(recent) >= MOST_FAILURES else 0.0

    def add_failure(self, sources: Iterable[str], now: float) -> None:
        """Remember a failed attempt."""
        with self._lock:
            for source in sources:
                failures = self._failures.pop(source, [])
                self._failures[source] = [*failures[-MOST_FAILURES:], now]
            while len(self._failures) > _MOST_SOURCES:
                del self._failures[next(iter(self._failures))]

    def forget(self, sources: Iterable[str]) -> None:
        """Forget the failures of these, after one has signed in."""
        with self._lock:
            for source in sources:
                self._failures.pop(source, None)
