"""Sync progress to disk twice a second, whatever lanes do: a power cut loses memory.

It also checks that the state still exists: no call is made if its record could not be kept. Its own
thread reads the registers, so that a lane inside a slow call, or a plugin catching up, is as safe
as a lane between two events, at no cost per call.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import partial
from typing import Final

from sgevents_core.crashes import recovery
from sgevents_core.dispatch.lane import Lane
from sgevents_core.errors import StaleWriter, StateDamaged, StateError, StateGone
from sgevents_core.state.protocols import LaneWriter, Presence
from sgevents_core.state.register import NotedLane

logger = logging.getLogger("sgevents.dispatch")

SYNC_INTERVAL: Final = 0.5
"""Seconds between two syncs: with the time that the disk takes, less than a second is lost."""


class ProgressSyncer:
    """The thread that copies registers into the ledger, and flushes the ledger to disk.

    Args:
        state: A connection of its own to journal and ledger.
        presence: Checks that the state still exists.
        lanes: The lanes that run.

    `error` says why it ended, if it was not stopped; the daemon must then end as well.
    """

    def __init__(self, state: LaneWriter, presence: Presence, lanes: Sequence[Lane] = ()) -> None:
        self.error: StateError | None = None
        self._state = state
        self._presence = presence
        self._synced_registers: dict[Lane, NotedLane | None] = dict.fromkeys(lanes)
        self._stop_event = threading.Event()
        self._is_failing = False

    def replace_lane(self, old_lane: Lane | None, new_lane: Lane | None) -> None:
        """Sync a lane instead of one that has ended; for the main thread."""
        kept_lanes = [lane for lane in self._synced_registers if lane is not old_lane]
        lanes = kept_lanes if new_lane is None else [*kept_lanes, new_lane]
        self._synced_registers = {lane: self._synced_registers.get(lane) for lane in lanes}

    def stop(self) -> None:
        """Stop it."""
        self._stop_event.set()

    def run(self) -> None:
        """Sync until stopped; a failed write is tried again."""
        try:
            while self.error is None and not self._stop_event.wait(SYNC_INTERVAL):
                self._sync_or_report()
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection; `run` does so by itself."""
        self._state.close()

    def sync_once(self) -> None:
        """Sync once.

        Raises:
            StateGone: The state was deleted or replaced.
            StateDamaged: It can no longer be read.
            SgEventsError: It cannot be written at the moment.
        """
        self._presence.look()
        synced_registers = self._synced_registers  # the main thread may replace it
        for lane, synced_register in synced_registers.items():
            noted_lane = lane.noted()
            if noted_lane != synced_register and self._sync_lane(lane, noted_lane):
                synced_registers[lane] = noted_lane
        self._state.sync()

    def _sync_lane(self, lane: Lane, noted_lane: NotedLane) -> bool:
        """Copy the register of a lane; return False if another process has taken the lane."""
        advance_lane = partial(recovery.advance_ledger, noted_lane)
        try:
            self._state.advance(lane.name, lane.ledger.fence, advance_lane)
        except StaleWriter as error:  # the lane itself reports it
            logger.debug("Not synced: %s", error)
            return False
        return True

    def _sync_or_report(self) -> None:
        try:
            self.sync_once()
        except (StateGone, StateDamaged) as error:
            logger.error("%s", error, extra={"action": "state.lost"})
            self.error = error
        except StateError as error:
            if not self._is_failing:
                log_text = "%s Until it can be written, a power cut would repeat calls."
                logger.error(log_text, error, extra={"action": "state.not_synced"})
            self._is_failing = True
        except Exception:  # a bug of ours must not end the thread silently
            if not self._is_failing:
                log_text = "Progress cannot be synced"
                logger.exception(log_text, extra={"action": "state.not_synced"})
            self._is_failing = True
        else:
            if self._is_failing:
                logger.info("Progress is synced again", extra={"action": "state.synced"})
            self._is_failing = False
