"""Ending a worker process with its daemon, and what its plugins fork with the worker process.

The first is done before anything that takes time is imported.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
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


def end_forks_with_this_process() -> None:
    """Let the system end the processes that calls fork here, if they still run when this one ends.

    The system means the thread that forks, so that only forks of the main thread end; a process
    that such a fork forks in turn runs on.
    """
    set_death_signal = ctypes.CDLL(None).prctl
    worker_pid, main_thread = os.getpid(), threading.get_ident()

    def end_with_worker() -> None:
        nonlocal worker_pid
        if threading.get_ident() != main_thread or not worker_pid:
            return
        if set_death_signal(_SET_DEATH_SIGNAL, signal.SIGKILL) == 0 and os.getppid() != worker_pid:
            _exit(1)
        worker_pid = 0

    os.register_at_fork(after_in_child=end_with_worker)
