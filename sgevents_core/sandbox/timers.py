"""Delayed actions of a sandbox site, cancelled when it closes."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Timers:
    """Runs delayed actions, each on a thread of its own."""

    def __init__(self) -> None:
        self._timers_lock = threading.Lock()
        self._running_timers: set[threading.Timer] = set()
        self._is_closed = False

    def run_after(self, seconds: float, action: Callable[[], object]) -> None:
        """Run `action` in `seconds`; not at all once closed."""

        def run_action() -> None:
            try:
                action()
            finally:
                with self._timers_lock:
                    self._running_timers.discard(timer)

        timer = threading.Timer(seconds, run_action)
        timer.daemon = True
        with self._timers_lock:
            if not self._is_closed:
                self._running_timers.add(timer)
                timer.start()

    def close(self) -> None:
        """Cancel actions that have not begun, and wait for those that have."""
        with self._timers_lock:
            self._is_closed = True
            remaining_timers = list(self._running_timers)
        for timer in remaining_timers:
            timer.cancel()
        for timer in remaining_timers:
            timer.join()
