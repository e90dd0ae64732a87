"""Ending a worker process with its daemon: done before anything that takes time is imported."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from typing import Final

_SET_DEATH_SIGNAL: Final = 1
_exit: Final = os._exit


def end_with_daemon(daemon_pid: int) -> None:
    """Let the system end this process with the daemon, and end now if that is gone already."""
    with suppress(Exception):
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != daemon_pid:
        _exit(1)
