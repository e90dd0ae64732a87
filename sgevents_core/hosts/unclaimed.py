"""Work that nobody has although a host that is there should take it: it may hang, or be cut off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OVERDUE_AFTER: Final = 2.0
"""Seconds that others wait for the host that should take some work."""
AVOIDED_FOR: Final = 30.0
"""Seconds for which a host that took too long gets nothing that another one works at."""


class UnclaimedWork:
    """What this host has seen of it; for the thread of the leases."""

    def __init__(self) -> None:
        self._awaited_since: dict[str, float] = {}
        self._avoided_until: dict[str, float] = {}

    def note(self, awaited: Mapping[str, str], current_time: float) -> None:
        """Take notice of what nobody has now.

        Args:
            awaited: Work -> the other host that should take it.
            current_time: The time, in seconds of any clock.
        """
        self._awaited_since = {
            work_name: self._awaited_since.get(work_name, current_time) for work_name in awaited
        }
        for work_name in self.overdue(current_time):
            self._avoided_until[awaited[work_name]] = current_time + AVOIDED_FOR

    def overdue(self, current_time: float) -> frozenset[str]:
        """Return the work that any host may take now."""
        return frozenset(
            work_name
            for work_name, since in self._awaited_since.items()
            if current_time - since >= OVERDUE_AFTER
        )

    def avoided(self, current_time: float) -> frozenset[str]:
        """Return the hosts for which this host gives up nothing."""
        return frozenset(
            host_name for host_name, until in self._avoided_until.items() if current_time < until
        )
