"""The threads of a lane: its own and those of its workers, each watched and attributed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from sgevents_core.calling.own_thread import worker_label
from sgevents_core.crashes.evidence import EvidenceRecorder
from sgevents_core.dispatch.divided_lane import DividedLane
from sgevents_core.dispatch.lane import Lane
from sgevents_core.observe.liveness import Liveness


class LaneThreads:
    """Makes the threads of lanes.

    Args:
        recorder: Keeps evidence of whose call ends the process.
    """

    def __init__(self, recorder: EvidenceRecorder) -> None:
        self._recorder = recorder

    def make_thread(self, lane: Lane, liveness: Liveness) -> threading.Thread:
        """Return the thread of a lane, not started.

        Args:
            lane: The lane.
            liveness: Knows when the loops of its threads last turned.
        """
        liveness.expect(_loop_names(lane))
        if isinstance(lane, DividedLane):
            lane.run_worker_body = partial(self._run_worker, lane, liveness)
        thread_body = partial(self._recorder.run_lane, lane.name, lane.run)
        lane_loop = partial(liveness.run, _lane_loop_name(lane), thread_body)
        return threading.Thread(target=lane_loop, name=f"lane-{lane.name}")

    def _run_worker(
        self, lane: Lane, liveness: Liveness, worker_number: int, thread_body: Callable[[], None]
    ) -> None:
        """Run the body of a worker's thread, and attribute the thread's actions to the worker."""
        thread_body = partial(
            self._recorder.run_lane, worker_label(lane.name, worker_number), thread_body
        )
        liveness.run(_worker_loop_name(lane, worker_number), thread_body)


def _lane_loop_name(lane: Lane) -> str:
    """Return the name of the loop of a lane's thread."""
    return f"lane {lane.name}"


def _worker_loop_name(lane: Lane, worker_number: int) -> str:
    """Return the name of the loop of a worker's thread."""
    return f"worker {worker_number} of lane {lane.name}"


def _loop_names(lane: Lane) -> list[str]:
    """Return the names of the loops of a lane's threads."""
    worker_count = lane.workers if isinstance(lane, DividedLane) else 0
    return [
        _lane_loop_name(lane),
        *(_worker_loop_name(lane, worker_index + 1) for worker_index in range(worker_count)),
    ]
