"""Speak to systemd: ready, stopping, a line of status, and that all is well for its watchdog."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from typing import Final

logger = logging.getLogger("sgevents.daemon")

FED_PER_INTERVAL: Final = 4
"""Times the watchdog is fed within the time that it allows."""
_PATIENCE: Final = 1.0
_LONGEST_STATUS: Final = 500


class Systemd:
    """The service manager that started this process; says nothing to anybody where there is none.

    Args:
        environment: Where `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` are looked for.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._status = ""
        self._fed_at = float("-inf")
        self.watchdog_every = _watchdog_every(environment)
        """Seconds within which the watchdog has to be fed; None where none watches."""

    def ready(self) -> None:
        """Say that the start is over and work has begun."""
        self._send("READY=1")

    def takes(self, seconds: float) -> None:
        """Say that the start or the stop takes so long from now on, and that all is well."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}\nWATCHDOG=1")

    def stopping(self) -> None:
        """Say that the process is about to end in order."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Show one line of text in `systemctl status`; the same as before is not sent again."""
        line = " ".join(text.split())[:_LONGEST_STATUS]
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def feed_watchdog(self, now: float) -> None:
        """Say that all is well, if a watchdog watches and has not heard it just now.

        To be called more often than the watchdog wants to be fed.

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
            logger.debug("systemd was not told %s: %s", message, error)


def _address(text: str) -> str | None:
    """Return the address of a Unix socket as Python takes it; None if `text` names none."""
    if text.startswith("@"):
        return f"\0{text[1:]}"
    return text if text.startswith("/") else None


def _watchdog_every(environment: Mapping[str, str]) -> float | None:
    """Return the seconds between two feedings; None if no watchdog, or that of another process."""
    owner = environment.get("WATCHDOG_PID", str(os.getpid()))
    try:
        every = int(environment.get("WATCHDOG_USEC", "0")) / 1_000_000
    except ValueError:
        return None
    return every if every > 0 and owner == str(os.getpid()) else None
