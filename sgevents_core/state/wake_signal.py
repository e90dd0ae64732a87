"""A signal to a running daemon that the site may have new events: a byte written to a small file.

The file is in the state's folder, and the kernel says when it changes. Nothing is decided by what
is in it: a signal that is lost, repeated or sent by anybody only changes when the daemon asks the
site next.
"""

from __future__ import annotations

import ctypes
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from sgevents_core.readiness import wait_until_readable

WAKE_FILE: Final = "wake"
_PRIVATE_MODE: Final = 0o600
_READ_SIZE: Final = 65536
_IN_MODIFY: Final = 0x2
"""Linux's number for the change of a file, for which Python has no name."""


def send_wake_signal(state_folder: Path) -> bool:
    """Let the daemon of a state ask the site at once; return False if that cannot be said.

    It cannot while no daemon runs that takes signals, unless one has been killed.
    """
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW
    try:
        descriptor = os.open(state_folder / WAKE_FILE, flags)
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        os.pwrite(descriptor, b"\n", 0)
        return True
    except OSError:  # the disk is full; the daemon asks by itself
        return False
    finally:
        os.close(descriptor)


class WakeReceiver:
    """The daemon's side of the file; only for the process that holds the state's lock.

    Args:
        state_folder: The state's folder.

    Raises:
        OSError: The file cannot be made, or the system cannot watch it.
    """

    def __init__(self, state_folder: Path) -> None:
        self._path = state_folder / WAKE_FILE
        with suppress(FileNotFoundError):
            self._path.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        os.close(os.open(self._path, flags, _PRIVATE_MODE))
        self._watch = _watch_changes(self._path)

    def wait(self, seconds: float) -> bool:
        """Wait for signals, and take all that there are; return whether there was one."""
        if not wait_until_readable([self._watch], seconds):
            return False
        with suppress(BlockingIOError):
            os.read(self._watch, _READ_SIZE)
        return True

    def close(self) -> None:
        """Take no more, and remove the file."""
        os.close(self._watch)
        with suppress(OSError):
            self._path.unlink()


def _watch_changes(path: Path) -> int:
    """Return a descriptor that is readable once a file has changed.

    Raises:
        OSError: The system cannot watch it.
    """
    try:
        library = ctypes.CDLL(None, use_errno=True)
        watch: int = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    except AttributeError:
        raise OSError("this system cannot watch files") from None
    if watch < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if library.inotify_add_watch(watch, os.fsencode(path), _IN_MODIFY) < 0:
        error_number = ctypes.get_errno()
        os.close(watch)
        raise OSError(error_number, os.strerror(error_number), str(path))
    return watch
