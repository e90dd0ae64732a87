"""Attempts to sign in: after several failures, a peer has to wait before it may try again."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

MOST_FAILURES: Final = 5
"""Failures of one peer for one name within `WINDOW` after which no attempt is looked at."""
MOST_FAILURES_OF_PEER: Final = 50
"""The same for all names together; many people may share a peer, such as a proxy."""
WINDOW: Final = 300.0
"""Seconds."""
_MOST_SOURCES: Final = 10_000
"""The most sources that are remembered; the oldest are forgotten."""


class Attempts:
    """The failed attempts of the last minutes, by peer, and by peer and name."""

    def __init__(self) -> None:
        self._failures: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def wait_of(self, peer: str, name: str, now: float) -> float:
        """Return the seconds until a peer may try a name again; 0 for at once."""
        with self._lock:
            waits = [
                self._wait_of(source, limit, now) for source, limit in _sources(peer, name).items()
            ]
        return max(waits)

    def _wait_of(self, source: str, limit: int, now: float) -> float:
        failures = self._failures.get(source, ())
        recent = [failed_at for failed_at in failures if now - failed_at < WINDOW]
        return recent[-limit] + WINDOW - now if len(recent) >= limit else 0.0

    def add_failure(self, peer: str, name: str, now: float) -> None:
        """Remember a failed attempt."""
        with self._lock:
            for source, limit in _sources(peer, name).items():
                failures = self._failures.pop(source, [])
                self._failures[source] = [*failures[-limit:], now]
            while len(self._failures) > _MOST_SOURCES:
                del self._failures[next(iter(self._failures))]

    def forget(self, peer: str, name: str) -> None:
        """Forget the failures of a peer for a name that has now signed in, and the last of all."""
        with self._lock:
            self._failures.pop(f"{peer} {name}", None)
            self._failures[peer] = self._failures.get(peer, [])[:-1]


def _sources(peer: str, name: str) -> Mapping[str, int]:
    """Return under which texts a failure is remembered, each with its limit."""
    return {f"{peer} {name}": MOST_FAILURES, peer: MOST_FAILURES_OF_PEER}
