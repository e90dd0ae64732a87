"""Notifications to systemd: ready, stopping, a line of status, and the watchdog."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from typing import Final

logger = logging.getLogger("sgevents.daemon")

FED_PER_INTERVAL: Final = 4
"""How often the watchdog is fed within its interval."""
_PATIENCE: Final = 1.0
_LONGEST_STATUS: Final = 500


class Systemd:
    """The service manager that started this process; without one, nothing is sent.

    Args:
        environment: Holds `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._status = ""
        self._fed_at = float("-inf")
        self.watchdog_every = _watchdog_every(environment)
        """The watchdog's interval in seconds; None without a watchdog."""

    def ready(self) -> None:
        """Report that the start is over and work has begun."""
        self._send("READY=1")

    def takes(self, seconds: float) -> None:
        """Extend the time allowed for the start or the stop from now on, and feed the watchdog."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}\nWATCHDOG=1")

    def stopping(self) -> None:
        """Report that the process is about to end in order."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Show one line of text in `systemctl status`; an unchanged line is not sent again."""
        line = " ".join(text.split())[:_LONGEST_STATUS]
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def feed_watchdog(self, now: float) -> None:
        """Feed the watchdog, if there is one and it was not fed just now.

        Call it more often than the watchdog's interval.

        Args:
            now: The monotonic clock, in seconds.
        """
        every = self.watchdog_every
        if every is not None and now - self._fed_at >= every / FED_PER_INTERVAL:
            self._send("WATCHDOG=1")
            self._fed_at = now

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.settimeout(_PATIENCE)
                line.sendto(message.encode(), self._address)
        except OSError as error:  # a manager that does not listen must not stop the daemon
            logger.debug("systemd was not notified of %s: %s", message, error)


def _address(text: str) -> str | None:
    """Return the address of a Unix socket as Python expects it; None if `text` is not one."""
    if text.startswith("@"):
        return f"\0{text[1:]}"
    return text if text.startswith("/") else None


def _watchdog_every(environment: Mapping[str, str]) -> float | None:
    """Return the seconds between two feedings; None without a watchdog for this process."""
    owner = environment.get("WATCHDOG_PID", str(os.getpid()))
    try:
        every = int(environment.get("WATCHDOG_USEC", "0")) / 1_000_000
    except ValueError:
        return None
    return every if every > 0 and owner == str(os.getpid()) else None
