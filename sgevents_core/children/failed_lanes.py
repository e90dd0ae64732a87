"""The lanes whose first worker process could not be started: they are started again by themselves.

A lane without a process has no plugins. Its start is tried again in a thread of its own, after
growing pauses, while the other lanes continue.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Final

from sgevents_core.calling.outcome import RaisedError
from sgevents_core.children.failed_calls import not_called_error
from sgevents_core.children.lane_workers import LaneWorkers
from sgevents_core.children.messages import Prepared
from sgevents_core.errors import SgEventsError
from sgevents_core.settings import format_duration

logger = logging.getLogger("sgevents.dispatch")

FIRST_PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 300.0
"""Seconds between two attempts to start a lane."""
PATIENT_ATTEMPTS: Final = 3
"""Attempts after which a plugin is left out whose loading was killed in each of them."""


@dataclass
class _FailedLane:
    lane_workers: LaneWorkers
    reason: str
    retry_at: float
    attempts: int = 1
    attempt_thread: threading.Thread | None = None
    preparation: Prepared | RaisedError | None = None


class FailedLanes:
    """The lanes that have no worker process; for the main thread."""

    def __init__(self) -> None:
        self._failed_lanes: dict[str, _FailedLane] = {}

    def __contains__(self, lane_name: str) -> bool:
        return lane_name in self._failed_lanes

    def note(self, lane_workers: LaneWorkers, error: RaisedError, current_time: float) -> None:
        """Note that a lane could not be started.

        Args:
            lane_workers: Its workers.
            error: Why.
            current_time: The current monotonic time, in seconds.
        """
        lane_name = lane_workers.lane.name
        previous = self._failed_lanes.get(lane_name)
        attempts = 1 if previous is None else previous.attempts + 1
        pause_seconds = min(FIRST_PAUSE * 2.0 ** min(attempts - 1, 20), LONGEST_PAUSE)
        retry_at = current_time + pause_seconds
        lane_workers.lane.blames_kills = attempts >= PATIENT_ATTEMPTS
        self._failed_lanes[lane_name] = _FailedLane(lane_workers, error.line, retry_at, attempts)
        logger.warning(
            "The plugins of lane %s could not be loaded in a worker process, and are tried again "
            "in %s: %s",
            lane_name,
            format_duration(pause_seconds),
            error.line,
            extra={"action": "lane.not_loaded", "lane": lane_name, "attempts": attempts},
        )

    def forget(self, lane_name: str) -> None:
        """Drop a lane whose processes are started anew by others."""
        self._failed_lanes.pop(lane_name, None)

    def retry(self, current_time: float) -> list[tuple[LaneWorkers, Prepared]]:
        """Begin attempts that are due; return the lanes whose attempts have succeeded.

        Args:
            current_time: The current monotonic time, in seconds.
        """
        started_lanes = []
        for lane_name, failed_lane in list(self._failed_lanes.items()):
            if failed_lane.attempt_thread is None:
                if current_time >= failed_lane.retry_at:
                    _begin_attempt(failed_lane)
            elif not failed_lane.attempt_thread.is_alive():
                preparation = failed_lane.preparation
                if isinstance(preparation, Prepared):
                    del self._failed_lanes[lane_name]
                    started_lanes.append((failed_lane.lane_workers, preparation))
                else:
                    error = preparation or not_called_error("the attempt has ended")
                    self.note(failed_lane.lane_workers, error, current_time)
        return started_lanes

    def describe(self, lane_name: str) -> tuple[str, float]:
        """Return why a lane is not loaded and when it is tried again, in seconds since 1970.

        The reason is empty for a lane that is loaded.
        """
        failed_lane = self._failed_lanes.get(lane_name)
        if failed_lane is None:
            return "", 0.0
        return failed_lane.reason, time.time() + failed_lane.retry_at - time.monotonic()


def _begin_attempt(failed_lane: _FailedLane) -> None:
    failed_lane.attempt_thread = threading.Thread(
        target=_start_lane, args=(failed_lane,), name="starts a lane", daemon=True
    )
    failed_lane.attempt_thread.start()


def _start_lane(failed_lane: _FailedLane) -> None:
    lane_workers = failed_lane.lane_workers
    try:
        lane_workers.lane.await_old()
        failed_lane.preparation = lane_workers.start()
    except SgEventsError as error:
        failed_lane.preparation = not_called_error(str(error))
