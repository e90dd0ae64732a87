"""A lane's access to the journal and the ledger, which waits and retries while the disk is full."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from sgevents_core.errors import StateDamaged, StateError
from sgevents_core.observe.liveness import report_alive
from sgevents_core.state.entries import Entry
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.protocols import LaneWriter
from sgevents_core.state.steps import Step

logger = logging.getLogger("sgevents.dispatch")

FIRST_WAIT: Final = 0.1
LONGEST_WAIT: Final = 5.0
_T = TypeVar("_T")


class LaneLedger:
    """A lane's reads and writes; no step is given up while the lane runs.

    Args:
        lane: The lane's name.
        state: The lane's connection to the journal and the ledger.
        stopping: Set when the lane must end: a failing write then raises StateError. Damage raises
            StateDamaged at once, since waiting does not repair it.

    Raises:
        StateError: The lane cannot be taken over.
    """

    def __init__(self, lane: str, state: LaneWriter, stopping: threading.Event) -> None:
        self._lane = lane
        self._state = state
        self._stopping = stopping
        self.fence = state.take_lane(lane)
        self._failed = 0
        self._failed_at = 0.0

    def read(self, after: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries of the journal above `after`."""
        return self._lasting(lambda: self._state.read(after, limit))

    def record(self, step: Step) -> int:
        """Write a step atomically, and return the number of its failure, 0 if it has none."""
        return self._lasting(lambda: self._state.record(self._lane, self.fence, step))

    def record_once(self, step: Step) -> None:
        """Write a step without retrying."""
        self._state.record(self._lane, self.fence, step)

    def pass_over(self, entry: Entry, plugins: Sequence[str], reason: str) -> None:
        """Set aside an entry that cannot be read; record the plugins that need its event."""
        if self._lasting(lambda: self._state.pass_over(entry, plugins, reason)):
            logger.warning(
                "Event %d cannot be read from the journal (%s). It is set aside and asked of the "
                "site again; all others continue.",
                entry.event_id,
                reason,
                extra={"action": "feed.set_aside", "event": entry.event_id, "reason": reason},
            )

    def plugins(self) -> dict[str, PluginRecord]:
        """Return the records of all plugins, by name."""
        return self._lasting(self._state.plugins)

    def close(self) -> None:
        """Close the connection."""
        self._state.close()

    def _lasting(self, call: Callable[[], _T]) -> _T:
        while True:
            try:
                result = call()
            except StateError as error:
                if self._stopping.is_set() or isinstance(error, StateDamaged):
                    raise
                wait = self._pause(error)
                report_alive(wait)
                self._stopping.wait(wait)
            else:
                if self._failed:
                    self._over()
                return result

    def _pause(self, error: StateError) -> float:
        """Report the first failure; return how long to wait, in seconds."""
        if not self._failed:
            self._failed_at = time.monotonic()
            logger.error(
                "%s Lane %s waits and tries again; nothing is lost.",
                error,
                self._lane,
                extra={"action": "lane.not_written", "lane": self._lane},
            )
        self._failed += 1
        return min(FIRST_WAIT * 2.0 ** min(self._failed - 1, 10), LONGEST_WAIT)

    def _over(self) -> None:
        logger.info(
            "Lane %s continues after %.1f s: the state can be used again",
            self._lane,
            time.monotonic() - self._failed_at,
            extra={"action": "lane.written", "lane": self._lane},
        )
        self._failed = 0
