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
        self._failures_by_source: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def wait_of(self, peer: str, person_name: str, current_time: float) -> float:
        """Return the seconds until a peer may try a name again; 0 for at once."""
        with self._lock:
            wait_seconds = [
                self._wait_of(source, failure_limit, current_time)
                for source, failure_limit in _limits_by_source(peer, person_name).items()
            ]
        return max(wait_seconds)

    def _wait_of(self, source: str, failure_limit: int, current_time: float) -> float:
        failures = self._failures_by_source.get(source, ())
        recent_failures = [failed_at for failed_at in failures if current_time - failed_at < WINDOW]
        return (
            recent_failures[-failure_limit] + WINDOW - current_time
            if len(recent_failures) >= failure_limit
            else 0.0
        )

    def add_failure(self, peer: str, person_name: str, current_time: float) -> None:
        """Remember a failed attempt."""
        with self._lock:
            for source, failure_limit in _limits_by_source(peer, person_name).items():
                failures = self._failures_by_source.pop(source, [])
                self._failures_by_source[source] = [*failures[-failure_limit:], current_time]
            while len(self._failures_by_source) > _MOST_SOURCES:
                del self._failures_by_source[next(iter(self._failures_by_source))]

    def forget(self, peer: str, person_name: str) -> None:
        """Forget the failures of a peer for a name that has now signed in, and the last of all."""
        with self._lock:
            self._failures_by_source.pop(f"{peer} {person_name}", None)
            self._failures_by_source[peer] = self._failures_by_source.get(peer, [])[:-1]


def _limits_by_source(peer: str, person_name: str) -> Mapping[str, int]:
    """Return under which texts a failure is remembered, each with its limit."""
    return {f"{peer} {person_name}": MOST_FAILURES, peer: MOST_FAILURES_OF_PEER}
