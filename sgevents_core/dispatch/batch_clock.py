"""The clock by which batches become due; a test may let time pass."""

from __future__ import annotations

import time
from typing import Final


class BatchClock:
    """A clock that can be put forward.

    `offset` is by how many seconds it is ahead.
    """

    def __init__(self) -> None:
        self.offset = 0.0

    def monotonic(self) -> float:
        """Return the monotonic time, in seconds."""
        return time.monotonic() + self.offset

    def time(self) -> float:
        """Return the time, in seconds since 1970."""
        return time.time() + self.offset


HOST_CLOCK: Final = BatchClock()
PROCESS_STARTED_AT: Final = time.time()
"""When this process began, in seconds since 1970: what was collected before came from another."""
