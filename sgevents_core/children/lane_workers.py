"""The executor that spreads a lane's calls over the lane's worker processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, LifoQueue
from typing import Final

from sgevents_core.calling.making import CallRequest, Hung, do_nothing
from sgevents_core.calling.outcome import CallOutcome, RaisedError
from sgevents_core.children.lane_children import LaneChildren
from sgevents_core.children.messages import Prepared
from sgevents_core.children.replies import report_limit
from sgevents_core.children.worker import Worker
from sgevents_core.observe.liveness import report_alive

_REPORT_INTERVAL: Final = 10.0
"""Seconds between two signs of life of a thread that waits for a worker."""


class LaneWorkers:
    """The executor of all plugins of a lane with worker processes.

    Each call is made in a worker that is idle and whose process lives; as many threads as there are
    workers may call. A process that has died is replaced meanwhile, and holds up no other call.

    Args:
        lane_children: The data shared by the lane's worker processes.
    """

    hung: Hung | None = None
    """Never set: a call that exceeds its limit is ended with its process."""

    def __init__(self, lane_children: LaneChildren) -> None:
        self.returned: Callable[[], None] = do_nothing
        self.lane = lane_children
        self.workers: Sequence[Worker] = [
            Worker(lane_children, worker_number)
            for worker_number in range(1, lane_children.table.workers + 1)
        ]
        # The worker that was used last is used first: it has the event, and is sure to be up.
        self._idle_workers: LifoQueue[Worker] = LifoQueue()
        for worker in reversed(self.workers):
            self._idle_workers.put(worker)

    @property
    def restart_count(self) -> int:
        """How many processes were replaced."""
        return sum(max(worker.start_count - 1, 0) for worker in self.workers)

    @property
    def death_count(self) -> int:
        """How many processes died, instead of being ended."""
        return sum(worker.death_count for worker in self.workers)

    def start(self) -> Prepared | RaisedError:
        """Start the first worker's process; return the loaded plugins, or why there are none."""
        return self.workers[0].start()

    def warm_up(self) -> None:
        """Start the other workers' processes, all at once, and do not wait for them."""
        for worker in self.workers[1:]:
            threading.Thread(target=worker.prepare, name="starts a worker", daemon=True).start()

    def call(self, request: CallRequest, time_limit: float | None) -> CallOutcome:
        """Make a call in an idle worker, and return its outcome.

        Args:
            request: The call.
            time_limit: The time limit in seconds; None for none.
        """
        worker = self._take_idle(time_limit)
        try:
            return worker.call(request, time_limit)
        finally:
            self._put_back(worker)

    def _take_idle(self, time_limit: float | None) -> Worker:
        """Return the next worker that is idle, once there is one."""
        has_waited = False
        while True:
            try:
                worker = self._idle_workers.get(timeout=_REPORT_INTERVAL)
            except Empty:  # the processes of all others are being started
                report_alive(_REPORT_INTERVAL)
                has_waited = True
                continue
            if has_waited:
                report_limit(time_limit)
            return worker

    def _put_back(self, worker: Worker) -> None:
        """Let a worker make the next call; replace its process first if that has died."""
        if not worker.has_lost_process:
            self._idle_workers.put(worker)
            return
        threading.Thread(
            target=self._replace_process, args=(worker,), name="replaces a worker", daemon=True
        ).start()

    def _replace_process(self, worker: Worker) -> None:
        try:
            worker.prepare()
        finally:
            self._idle_workers.put(worker)

    def call_hook(self, plugin_name: str, hook_name: str, *arguments: object) -> None:
        """Call a hook that is not an event hook, in the first worker; see `Worker`."""
        self.workers[0].call_hook(plugin_name, hook_name, *arguments)

    def say_stopping(self) -> None:
        """Let running calls see that a stop or a reload waits."""
        for worker in self.workers:
            worker.say_stopping()

    def close(self) -> None:
        """Do nothing: processes outlive the lane, until their plugins have been shut down."""

    def rest(self) -> None:
        """End all processes but the first, whose plugins are shut down by `call_hook`.

        No call may run. `warm_up`, or the next calls, start other ones.
        """
        threads = [
            threading.Thread(target=worker.rest, name="ends a worker", daemon=True)
            for worker in self.workers[1:]
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def begin_end(self, *, shuts_down: bool = False) -> None:
        """Let all processes end.

        Args:
            shuts_down: Whether the first one calls `shutdown` too: `call_hook` may have done that.
        """
        first_worker, *other_workers = self.workers
        first_worker.begin_end(shuts_down=shuts_down)
        for worker in other_workers:
            worker.begin_end(shuts_down=True)

    def end(self) -> None:
        """Wait until all processes have ended."""
        for worker in self.workers:
            worker.close()
