"""The end of a lane that another process may take over: no call begins once the right is over."""

from __future__ import annotations

import threading
from collections.abc import Callable


class LaneEnd(threading.Event):
    """Set when a lane must end after the running call, or as soon as it may begin nothing more.

    What has returned is still recorded then: only the state's fence decides who may write.

    Args:
        may_begin: Says whether a call may begin right now; asked right before each.

    `stopped` is set when the lane was stopped, and does not wait for the state any longer.
    """

    def __init__(self, may_begin: Callable[[], bool]) -> None:
        super().__init__()
        self.stopped = threading.Event()
        self._may_begin = may_begin

    def set(self) -> None:
        """Stop the lane."""
        super().set()
        self.stopped.set()

    def is_set(self) -> bool:
        """Return whether the lane must begin nothing more."""
        return super().is_set() or not self._may_begin()
