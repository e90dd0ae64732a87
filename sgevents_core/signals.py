"""What signals mean to the daemon: stop in order, or reload."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, Protocol

_OURS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signalled(Protocol):
    """What can be told to stop and to reload, also from a signal handler."""

    def stop(self) -> None:
        """Stop after the callbacks in hand."""

    def reload(self) -> None:
        """Try the new state, and start with it if it loads."""


@contextmanager
def stopped_by_signals(daemon: Signalled) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM stop the daemon in order, a second one end it, SIGHUP reload it.

    A SIGHUP that says that the terminal is gone stops it, unless it is to survive that (`nohup`).
    """

    def stop(number: int, frame: FrameType | None) -> None:
        # To the first process of a container, a signal by default does nothing.
        signal.signal(number, signal.SIG_DFL if os.getpid() != 1 else _end_at_once)
        daemon.stop()

    def hang_up(number: int, frame: FrameType | None) -> None:
        if not had_terminal or _has_terminal():
            daemon.reload()
        elif not survives:
            daemon.stop()

    had_terminal = _has_terminal()
    survives = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    handlers = {signal.SIGINT: stop, signal.SIGTERM: stop, signal.SIGHUP: hang_up}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    release_signals()
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


def hold_signals() -> None:
    """Let signals wait until there is a daemon that can be told: one that starts, or starts anew.

    Without, they would end the process in the middle, or be lost where it is the first of its
    container.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)


def release_signals() -> None:
    """Let signals come, those that waited first."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OURS)


def _has_terminal() -> bool:
    """Whether there is a terminal that can hang up."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
