"""What alerts look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sgevents_core.metrics.watched import WatchedParts


@dataclass(frozen=True)
class WatchedDaemon:
    """One run of the daemon.

    Args:
        parts: The parts of the run.
        broken: Why plugins could not be loaded, by name.
    """

    parts: WatchedParts
    broken: Mapping[str, str]
