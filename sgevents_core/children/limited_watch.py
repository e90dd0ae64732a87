"""Watching plugins while they are loaded in a process that may use only so much memory."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from sgevents_core.crashes.evidence import EvidenceRecorder
from sgevents_core.crashes.loading_watch import TimeoutWatch
from sgevents_core.plugins.load_watching import KnownBroken

_T = TypeVar("_T")

_MEMORY_FILE: Final = Path("/proc/self/statm")
_DATA_FIELD: Final = 5
_STEP_MEMORY: Final = 64 << 20
"""Bytes that a step may use in any case: what it raised is described while its objects exist."""


class LimitedWatch(TimeoutWatch):
    """A watch in whose steps allocations beyond a limit fail with MemoryError.

    Args:
        recorder: The recorder of evidence of how this process ends.
        known_broken: Plugin -> why it is not loaded.
        memory_limit: The most memory that the process may use in a step, in bytes.
    """

    def __init__(
        self,
        recorder: EvidenceRecorder,
        known_broken: Mapping[str, KnownBroken] | None = None,
        *,
        memory_limit: int,
    ) -> None:
        super().__init__(recorder, known_broken)
        self._memory_limit = memory_limit

    def within(self, time_limit: float, activity: str, call: Callable[[], _T]) -> _T:
        """Return the result of `call`, or end the process after some seconds."""
        with _limited_memory(max(self._memory_limit, _used_memory() + _STEP_MEMORY)):
            return super().within(time_limit, activity, call)


@contextmanager
def _limited_memory(limit_bytes: int) -> Iterator[None]:
    """Limit the memory of this process; addresses without memory behind them are free."""
    limit_before = resource.getrlimit(resource.RLIMIT_DATA)
    hard_limit = limit_before[1]
    if hard_limit not in (resource.RLIM_INFINITY, -1):
        limit_bytes = min(limit_bytes, hard_limit)
    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, hard_limit))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limit_before)


def _used_memory() -> int:
    """Return the memory that counts for the limit, in bytes."""
    return int(_MEMORY_FILE.read_text("ascii").split()[_DATA_FIELD]) * resource.getpagesize()
