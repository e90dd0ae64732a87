"""A signal to a running daemon that the site may have new events: a byte in a named pipe.

The pipe is in the state's folder. Nothing is decided by what comes through it: a signal that is
lost, repeated or sent by anybody only changes when the daemon asks the site next.
"""

from __future__ import annotations

import os
import select
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

WAKE_FILE: Final = "wake"
_PRIVATE_MODE: Final = 0o600
_READ_SIZE: Final = 65536


def send_wake_signal(state_folder: Path) -> bool:
    """Let the daemon of a state ask the site at once; return False if none waits for signals."""
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW
    try:
        descriptor = os.open(state_folder / WAKE_FILE, flags)
    except OSError:  # no daemon has it open, or there is none
        return False
    try:
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return False
        with suppress(BlockingIOError):  # it is full: the daemon has not even read the first ones
            os.write(descriptor, b"\n")
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


class WakeReceiver:
    """The daemon's end of the pipe; only for the process that holds the state's lock.

    Args:
        state_folder: The state's folder.

    Raises:
        OSError: There can be no pipe in that folder.
    """

    def __init__(self, state_folder: Path) -> None:
        path = state_folder / WAKE_FILE
        with suppress(FileNotFoundError):
            path.unlink()
        os.mkfifo(path, _PRIVATE_MODE)
        # Open for writing too, so that the pipe never ends.
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)

    def wait(self, seconds: float) -> bool:
        """Wait for signals, and take all that there are; return whether there was one."""
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return False
        with suppress(BlockingIOError):
            os.read(self._descriptor, _READ_SIZE)
        return True

    def close(self) -> None:
        """Take no more; the pipe stays, and whoever signals finds nobody at its end."""
        os.close(self._descriptor)
