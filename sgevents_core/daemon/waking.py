"""The thread that lets the feed ask the site at once when somebody signals that it has news."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sgevents_core.state.wake_signal import WakeReceiver, send_wake_signal

logger = logging.getLogger("sgevents.daemon")

LEAST_INTERVAL: Final = 0.2
"""Seconds between two signals that are passed on, however many come."""
_TURN_SECONDS: Final = 0.5


class WakeListener:
    """Passes signals on to the feed.

    Args:
        state_folder: The state's folder.
        wake_feed: Lets the feed ask the site at once.
    """

    def __init__(self, state_folder: Path, wake_feed: Callable[[], None]) -> None:
        self._state_folder = state_folder
        self._wake_feed = wake_feed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="waking", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Pass nothing on any more."""
        self._stopping.set()
        if self._thread.ident is not None:
            send_wake_signal(self._state_folder)  # it waits for one
            self._thread.join(_TURN_SECONDS)

    def _run(self) -> None:
        try:
            receiver = WakeReceiver(self._state_folder)
        except OSError as error:  # the feed asks by itself, only not at once
            extra = {"action": "daemon.not_waked"}
            logger.warning("Webhooks cannot wake the daemon: %s", error, extra=extra)
            return
        try:
            while not self._stopping.is_set():
                if receiver.wait(_TURN_SECONDS) and not self._stopping.is_set():
                    self._wake_feed()
                    self._stopping.wait(LEAST_INTERVAL)
        finally:
            receiver.close()
