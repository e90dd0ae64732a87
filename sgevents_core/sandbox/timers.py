"""Actions that a sandbox site takes after a while, dropped when it closes."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Timers:
    """A runner of delayed actions, each on a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._timers: set[threading.Timer] = set()
        self._closed = False

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Run `action` in `seconds`; not at all once closed."""

        def run() -> None:
            try:
                action()
            finally:
                with self._lock:
                    self._timers.discard(timer)

        timer = threading.Timer(seconds, run)
        timer.daemon = True
        with self._lock:
            if not self._closed:
                self._timers.add(timer)
                timer.start()

    def close(self) -> None:
        """Drop what has not begun and wait for what has."""
        with self._lock:
            self._closed = True
            timers = list(self._timers)
        for timer in timers:
            timer.cancel()
        for timer in timers:
            timer.join()
