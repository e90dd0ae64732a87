"""Loops that do what a test orders, watched as those of the daemon are."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from sgevents_core.observe.liveness import Liveness


class WatchedLoop:
    """A loop in a thread of its own, that does as it is ordered, one thing after another."""

    def __init__(self, liveness: Liveness, loop: str) -> None:
        self._orders: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._done: SimpleQueue[None] = SimpleQueue()
        self._thread = threading.Thread(target=liveness.run, args=(loop, self._serve))
        self._thread.start()

    def does(self, what: Callable[[], object]) -> None:
        """Let it do something, and wait until it has."""
        self._orders.put(what)
        self._done.get()

    def ends(self) -> None:
        """Let it end."""
        self._orders.put(None)
        self._thread.join()

    def _serve(self) -> None:
        for order in iter(self._orders.get, None):
            order()
            self._done.put(None)
