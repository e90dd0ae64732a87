"""Speaks to systemd: ready, stopping, a line of status, and a watchdog fed by loops that work."""

from __future__ import annotations

import logging
import os
import socket
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from threading import get_ident
from typing import Final

logger = logging.getLogger("sgevents.daemon")

MARGIN: Final = 120.0
"""Seconds a loop may need for a turn of its own; the database alone may be waited for 30 s."""
MOST_CALLS: Final = 4
"""What the feed asks the site at once may take several calls, each of them a whole timeout."""
FED_PER_INTERVAL: Final = 4
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

    def feed_watchdog(self) -> None:
        """Tell the watchdog that all is well."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.settimeout(_PATIENCE)
                line.sendto(message.encode(), self._address)
        except OSError as error:  # a manager that does not listen must not stop the daemon
            logger.debug("systemd was not told %s: %s", message, error)


class _Loop:
    """A loop that does the work: its last sign of life, and the thread it runs in."""

    __slots__ = ("pulse", "thread")

    def __init__(self) -> None:
        self.pulse: tuple[int, float | None] = (0, MARGIN)
        """Number of the sign, and the seconds allowed until the next; None for any."""
        self.thread = 0


_mine: Final[ContextVar[_Loop | None]] = ContextVar("sgevents_loop", default=None)


def alive(wait: float = 0.0) -> None:
    """Give a sign of life of the loop that this thread runs; nothing in any other thread.

    Args:
        wait: How long it may be about to wait, in seconds.
    """
    loop = _mine.get()
    if loop is not None:
        loop.pulse = (loop.pulse[0] + 1, wait + MARGIN)


def busy() -> None:
    """Note that the loop of this thread calls a plugin's code, which may take as long as it takes.

    Without a timeout a callback has no limit: the loop counts as alive until it says `alive` again.
    """
    loop = _mine.get()
    if loop is not None:
        loop.pulse = (loop.pulse[0] + 1, None)


class Watchdog:
    """Feeds systemd's watchdog as long as every loop that does the work gets on with it.

    A loop says `alive` at every turn, and how long it is about to wait; `busy` before it calls a
    plugin. One that says neither for longer than it announced and `MARGIN` is hung; then the
    watchdog is not fed, and systemd starts the daemon anew.

    Args:
        loops: Names of the loops, such as `feed` and `lane default`.
        systemd: Who is told.
    """

    def __init__(self, loops: Iterable[str], systemd: Systemd) -> None:
        self._systemd = systemd
        self._loops = {name: _Loop() for name in loops}
        self._seen: dict[str, tuple[int, float]] = {}
        self._hung: frozenset[str] = frozenset()
        self._fed_at = float("-inf")

    def run(self, loop: str, body: Callable[[], None]) -> None:
        """Run the body of a loop's thread: what it says of itself is heard while that lasts.

        Once the body has ended, nothing is expected of the loop any more: who started it sees that.
        """
        self._loops[loop].thread = get_ident()
        before = _mine.set(self._loops[loop])
        try:
            body()
        finally:
            busy()
            _mine.reset(before)

    def beat(self, now: float) -> frozenset[str]:
        """Feed the watchdog unless a loop hangs, and return the names of those that do.

        Called by the main thread, more often than the watchdog wants to be fed.

        Args:
            now: The monotonic clock, in seconds.
        """
        hung = frozenset(loop for loop in self._loops if self._hangs(loop, now))
        self._tell(hung, now)
        every = self._systemd.watchdog_every
        if every is not None and not hung and now - self._fed_at >= every / FED_PER_INTERVAL:
            self._systemd.feed_watchdog()
            self._fed_at = now
        return hung

    def _hangs(self, loop: str, now: float) -> bool:
        turn, allowed = self._loops[loop].pulse
        seen, since = self._seen.get(loop, (None, now))
        if turn != seen or allowed is None:
            self._seen[loop] = (turn, now)
            return False
        return now - since > allowed

    def _tell(self, hung: frozenset[str], now: float) -> None:
        for loop in sorted(hung - self._hung):
            for_long = now - self._seen[loop][1]
            text = "The %s has not moved for %.0f s: it hangs, and the watchdog is not fed"
            where = _where(self._loops[loop].thread)
            extra = {"action": "daemon.hung", "loop": loop, "traceback": where}
            logger.error(text, loop, for_long, extra=extra)
        for loop in sorted(self._hung - hung):
            text = "The %s moves again"
            logger.warning(text, loop, extra={"action": "daemon.moves", "loop": loop})
        self._hung = hung


def longest_call(timeout: float) -> float:
    """Return how long what the feed asks the site may take, in seconds.

    Args:
        timeout: What one call may take, in seconds: `timeout` of `[site]`.
    """
    return MOST_CALLS * timeout


def _where(thread: int) -> str:
    """Return where a thread is, empty if it has ended."""
    frame = sys._current_frames().get(thread)  # there is no other way to see another thread
    return "".join(traceback.format_stack(frame)) if frame is not None else ""


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
