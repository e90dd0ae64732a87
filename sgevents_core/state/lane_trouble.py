"""Why a lane's records cannot be written right now: reported at first, and once it is over."""

from __future__ import annotations

import logging
import threading
import time

from sgevents_core.errors import StateError
from sgevents_core.observe.lasting_failure import LastingFailure

logger = logging.getLogger("sgevents.dispatch")


class LaneTrouble:
    """The failures in a row of one lane's writes; for any thread.

    Args:
        lane_name: The lane.
    """

    def __init__(self, lane_name: str) -> None:
        self._lane_name = lane_name
        self._lock = threading.Lock()
        self._began_at = 0.0
        self.lasting_failure: LastingFailure | None = None
        """The last failure, and when the first in a row was; None while writes succeed."""

    def record_failure(self, error: StateError) -> None:
        """Take notice of a write, or a read, that failed."""
        with self._lock:
            is_first = self.lasting_failure is None
            since = time.time() if self.lasting_failure is None else self.lasting_failure.since
            self.lasting_failure = LastingFailure(str(error), since, fix=error.fix)
        if is_first:
            self._began_at = time.monotonic()
            logger.error(
                "%s Lane %s waits and tries again; nothing is lost.",
                error,
                self._lane_name,
                extra={"action": "lane.not_written", "lane": self._lane_name},
            )

    def record_success(self) -> None:
        """Take notice of one that succeeded."""
        if self.lasting_failure is None:  # the lock is for the rare case
            return
        with self._lock:
            was_failing, self.lasting_failure = self.lasting_failure is not None, None
        if was_failing:
            logger.info(
                "Lane %s continues after %.1f s: the state can be used again",
                self._lane_name,
                time.monotonic() - self._began_at,
                extra={"action": "lane.written", "lane": self._lane_name},
            )
