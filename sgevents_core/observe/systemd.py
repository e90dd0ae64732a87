"""Notifications to systemd: ready, stopping, a line of status, and the watchdog."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from typing import Final

logger = logging.getLogger("sgevents.daemon")

FEEDINGS_PER_INTERVAL: Final = 4
"""How often the watchdog is fed within its interval."""
_SEND_TIMEOUT: Final = 1.0
_MAX_STATUS_LENGTH: Final = 500


class Systemd:
    """The service manager that started this process; without one, nothing is sent.

    Args:
        environment: Holds `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._socket_address = _socket_address(environment.get("NOTIFY_SOCKET", ""))
        self._sent_status = ""
        self._watchdog_fed_at = float("-inf")
        self.watchdog_interval = _watchdog_interval(environment)
        """The watchdog's interval in seconds; None without a watchdog."""

    def ready(self) -> None:
        """Report that the start is over and work has begun."""
        self._send_message("READY=1")

    def extend_timeout(self, seconds: float) -> None:
        """Extend the time allowed for the start or the stop from now on, and feed the watchdog."""
        self._send_message(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}\nWATCHDOG=1")

    def stopping(self) -> None:
        """Report that the process is about to end in order."""
        self._send_message("STOPPING=1")

    def status(self, status_text: str) -> None:
        """Show one line of text in `systemctl status`; an unchanged line is not sent again."""
        status_line = " ".join(status_text.split())[:_MAX_STATUS_LENGTH]
        if status_line != self._sent_status:
            self._sent_status = status_line
            self._send_message(f"STATUS={status_line}")

    def feed_watchdog(self, now: float) -> None:
        """Feed the watchdog, if there is one, unless it was fed a moment ago.

        Call it more often than the watchdog's interval.

        Args:
            now: The monotonic clock, in seconds.
        """
        interval = self.watchdog_interval
        if interval is not None and now - self._watchdog_fed_at >= interval / FEEDINGS_PER_INTERVAL:
            self._send_message("WATCHDOG=1")
            self._watchdog_fed_at = now

    def _send_message(self, message: str) -> None:
        if self._socket_address is None:
            return
        try:
            with socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
            ) as manager_socket:
                manager_socket.settimeout(_SEND_TIMEOUT)
                manager_socket.sendto(message.encode(), self._socket_address)
        except OSError as error:  # a service manager that does not listen must not stop the daemon
            logger.debug("systemd was not notified of %s: %s", message, error)


def _socket_address(socket_name: str) -> str | None:
    """Return the address of a Unix socket as Python expects it; None if it is not one."""
    if socket_name.startswith("@"):
        return f"\0{socket_name[1:]}"
    return socket_name if socket_name.startswith("/") else None


def _watchdog_interval(environment: Mapping[str, str]) -> float | None:
    """Return the seconds between two feedings; None without a watchdog for this process."""
    watchdog_pid = environment.get("WATCHDOG_PID", str(os.getpid()))
    try:
        watchdog_interval = int(environment.get("WATCHDOG_USEC", "0")) / 1_000_000
    except ValueError:
        return None
    return watchdog_interval if watchdog_interval > 0 and watchdog_pid == str(os.getpid()) else None
