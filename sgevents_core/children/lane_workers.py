"""The worker processes of a lane together, as the one place where the lane's calls are made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import LifoQueue

from sgevents_core.calling.making import CallRequest, Hung, do_nothing
from sgevents_core.calling.outcome import CallOutcome, RaisedError
from sgevents_core.children.lane_children import LaneChildren
from sgevents_core.children.messages import Prepared
from sgevents_core.children.worker import Worker


class LaneWorkers:
    """The executor of all plugins of a lane with worker processes.

    Each call is made in a worker that is idle; as many threads as there are workers may call.

    Args:
        lane: What the worker processes of the lane share.
    """

    hung: Hung | None = None
    """Never set: a call that exceeds its limit is ended with its process."""

    def __init__(self, lane: LaneChildren) -> None:
        self.returned: Callable[[], None] = do_nothing
        self.lane = lane
        self.workers: Sequence[Worker] = [
            Worker(lane, number) for number in range(1, lane.table.workers + 1)
        ]
        # The worker that was used last is used first: it has the event, and is sure to be up.
        self._idle: LifoQueue[Worker] = LifoQueue()
        for worker in reversed(self.workers):
            self._idle.put(worker)

    def start(self) -> Prepared | RaisedError:
        """Start the first worker's process; return what it has loaded, or why there is none."""
        return self.workers[0].start()

    def warm_up(self) -> None:
        """Start the other workers' processes, all at once, and do not wait for them."""
        for worker in self.workers[1:]:
            threading.Thread(target=worker.prepare, name="starts a worker", daemon=True).start()

    def call(self, request: CallRequest, limit: float | None) -> CallOutcome:
        """Make a call in an idle worker, and return what it came to.

        Args:
            request: The call.
            limit: The time limit in seconds; None for none.
        """
        worker = self._idle.get()
        try:
            return worker.call(request, limit)
        finally:
            self._idle.put(worker)

    def call_hook(self, plugin: str, hook: str, *arguments: object) -> None:
        """Call a hook that is not an event hook, in the first worker; see `Worker`."""
        self.workers[0].call_hook(plugin, hook, *arguments)

    def say_stopping(self) -> None:
        """Let running calls see that a stop or a reload waits."""
        for worker in self.workers:
            worker.say_stopping()

    def close(self) -> None:
        """Do nothing: processes outlive the lane, until their plugins have been shut down."""

    def begin_end(self, *, shuts_down: bool = False) -> None:
        """Let all processes end.

        Args:
            shuts_down: Whether the first one calls `shutdown` too: `call_hook` may have done that.
        """
        first, *others = self.workers
        first.begin_end(shuts_down=shuts_down)
        for worker in others:
            worker.begin_end(shuts_down=True)

    def end(self) -> None:
        """Wait until all processes have ended."""
        for worker in self.workers:
            worker.close()
