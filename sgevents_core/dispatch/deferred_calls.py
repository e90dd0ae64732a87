"""The calls of a lane's plugins that are put off: kept by time, and posted when they are due.

`deferred_errands` makes them.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.state.deferred import DeferredCall, DeferredKey

MOST_POSTED: Final = 16
"""The most calls of a plugin that wait for their turn; the others keep their place by time."""
LATER_SECONDS: Final = 1.0
"""After how many seconds a call is tried again whose plugin could not be called."""


class DeferredCalls:
    """The calls that are put off; any thread of the lane may use it.

    Args:
        deferred_calls: Those in the ledger.
        clock: Returns the time, in seconds since 1970; by default, the host's.
    """

    def __init__(
        self, deferred_calls: Iterable[DeferredCall], clock: Callable[[], float] | None = None
    ) -> None:
        self.clock = clock or _host_time
        self._lock = threading.Lock()
        self._calls: dict[DeferredKey, DeferredCall] = {}
        self._queues: dict[str, list[tuple[float, int, DeferredKey]]] = {}
        self._posted: dict[str, set[DeferredKey]] = {}
        for deferred_call in deferred_calls:
            self.add(deferred_call)

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, deferred_key: DeferredKey) -> DeferredCall | None:
        """Return a call that is put off; None if it is not."""
        return self._calls.get(deferred_key)

    def add(self, deferred_call: DeferredCall) -> None:
        """Keep a call that was put off, or put off again."""
        with self._lock:
            self._calls[deferred_call.key] = deferred_call
            self._queue(deferred_call, deferred_call.due_at)

    def over(self, deferred_key: DeferredKey) -> None:
        """Forget a call that is no longer put off."""
        with self._lock:
            self._calls.pop(deferred_key, None)
            self._posted.get(deferred_key.plugin, set()).discard(deferred_key)

    def try_later(self, deferred_key: DeferredKey) -> None:
        """Try a call again in a moment, because its plugin cannot be called now."""
        with self._lock:
            deferred_call = self._calls.get(deferred_key)
            if deferred_call is not None:
                self._queue(deferred_call, self.clock() + LATER_SECONDS)

    def _queue(self, deferred_call: DeferredCall, due_at: float) -> None:
        deferred_key = deferred_call.key
        self._posted.get(deferred_key.plugin, set()).discard(deferred_key)
        plugin_queue = self._queues.setdefault(deferred_key.plugin, [])
        heapq.heappush(plugin_queue, (due_at, deferred_call.seq, deferred_key))

    def take_due(self, lane_plugins: Sequence[LanePlugin]) -> list[DeferredKey]:
        """Return calls that are due and whose plugins can be called; they count as posted."""
        if not self._calls:  # nearly always
            return []
        current_time = self.clock()
        with self._lock:
            return [
                deferred_key
                for lane_plugin in lane_plugins
                if can_be_called(lane_plugin)
                for deferred_key in self._take_due_of(lane_plugin.plugin.name, current_time)
            ]

    def _take_due_of(self, plugin_name: str, current_time: float) -> list[DeferredKey]:
        plugin_queue = self._queues.get(plugin_name, [])
        posted_keys = self._posted.setdefault(plugin_name, set())
        due_keys = []
        while plugin_queue and plugin_queue[0][0] <= current_time:
            if len(posted_keys) >= MOST_POSTED:
                break
            due_at, _, deferred_key = heapq.heappop(plugin_queue)
            if self._is_current(deferred_key, due_at) and deferred_key not in posted_keys:
                posted_keys.add(deferred_key)
                due_keys.append(deferred_key)
        return due_keys

    def _is_current(self, deferred_key: DeferredKey, due_at: float) -> bool:
        """Return whether a place in a queue is not left from before a call was put off again."""
        deferred_call = self._calls.get(deferred_key)
        return deferred_call is not None and due_at >= deferred_call.due_at

    def is_idle(self, lane_plugins: Sequence[LanePlugin]) -> bool:
        """Return whether no call is due, or being made, whose plugin can be called."""
        if not self._calls:
            return True
        with self._lock:
            is_posted = any(self._posted.values())
        return not is_posted and all(seconds > 0 for seconds in self.seconds_to_next(lane_plugins))

    def seconds_to_next(self, lane_plugins: Sequence[LanePlugin]) -> list[float]:
        """Return after how many seconds the next call of each plugin is due that can be called."""
        if not self._calls:
            return []
        current_time = self.clock()
        with self._lock:
            return [
                self._queues[lane_plugin.plugin.name][0][0] - current_time
                for lane_plugin in lane_plugins
                if self._queues.get(lane_plugin.plugin.name) and can_be_called(lane_plugin)
            ]


def _host_time() -> float:
    return time.time()


def can_be_called(lane_plugin: LanePlugin) -> bool:
    """Return whether a plugin is neither paused nor held, hangs in no call and need not wait."""
    return (
        lane_plugin.record.state == "active"
        and not lane_plugin.late
        and lane_plugin.hung is None
        and not lane_plugin.extra_wait(time.monotonic())[0]
    )
