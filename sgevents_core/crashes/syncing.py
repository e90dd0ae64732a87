"""Bringing progress to disk twice a second, whatever lanes do: a power cut loses what is in memory.

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

EVERY: Final = 0.5
"""Seconds between two syncs: with the time that the disk takes, less than a second is lost."""


class Syncing:
    """The thread that copies registers into the ledger, and flushes the ledger to disk.

    Args:
        lanes: The lanes that run.
        state: A connection of its own to journal and ledger.
        presence: Checks that the state still exists.

    `error` says why it ended, if it was not stopped; the daemon must then end as well.
    """

    def __init__(self, lanes: Sequence[Lane], state: LaneWriter, presence: Presence) -> None:
        self.error: StateError | None = None
        self._state = state
        self._presence = presence
        self._seen: dict[Lane, NotedLane | None] = dict.fromkeys(lanes)
        self._stop = threading.Event()
        self._failed = False

    def stop(self) -> None:
        """Stop it."""
        self._stop.set()

    def run(self) -> None:
        """Sync until stopped; a failed write is tried again."""
        try:
            while self.error is None and not self._stop.wait(EVERY):
                self._try()
        finally:
            self._state.close()

    def turn(self) -> None:
        """Sync once.

        Raises:
            StateGone: The state was deleted or replaced.
            StateDamaged: It can no longer be read.
            SgEventsError: It cannot be written at the moment.
        """
        self._presence.look()
        for lane, seen in self._seen.items():
            noted = lane.noted()
            if noted != seen:
                advanced = partial(recovery.advanced, noted)
                self._state.advance(lane.name, lane.ledger.fence, advanced)
                self._seen[lane] = noted
        self._state.sync()

    def _try(self) -> None:
        try:
            self.turn()
        except (StateGone, StateDamaged) as error:
            logger.error("%s", error, extra={"action": "state.lost"})
            self.error = error
        except StateError as error:
            if not self._failed:
                text = "%s Until it can be written, a power cut would repeat calls."
                logger.error(text, error, extra={"action": "state.not_synced"})
            self._failed = True
        except StaleWriter as error:  # another writer took over a lane, which reports it
            logger.debug("Not synced: %s", error)
        except Exception:  # a bug of ours must not end the thread silently
            if not self._failed:
                text = "Progress cannot be synced"
                logger.exception(text, extra={"action": "state.not_synced"})
            self._failed = True
        else:
            if self._failed:
                logger.info("Progress is synced again", extra={"action": "state.synced"})
            self._failed = False
