"""Ending forked processes in which a plugin's code would otherwise continue as the daemon."""

from __future__ import annotations

import mmap
import os
import sys
from contextlib import suppress
from typing import Final, NoReturn

_exit_at_once: Final = os._exit
_WIPE_ON_FORK: Final = 18
"""Linux's MADV_WIPEONFORK, for which `mmap` has no name."""
_HIGHEST_GENERATION: Final = 255


def _wiped_page() -> mmap.mmap:
    """Return a page of memory that the system clears in every forked process, whoever forks.

    Python reports only its own forks; a library written in C may fork as well.
    """
    memory_page = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if sys.platform == "linux":
        with suppress(OSError):  # before Linux 4.14
            memory_page.madvise(_WIPE_ON_FORK)
    memory_page[0] = 1
    return memory_page


fork_generation: Final = _wiped_page()
"""A page whose byte 0 distinguishes a process from its forks; compared before and after a call."""
_fork_count: Final = [1]


def _count_fork() -> None:
    # Count from 1 to `_HIGHEST_GENERATION`: 0 marks a fork whose page the system has wiped.
    _fork_count[0] = _fork_count[0] % _HIGHEST_GENERATION + 1
    fork_generation[0] = _fork_count[0]


os.register_at_fork(after_in_child=_count_fork)


def end_child(error: BaseException | None = None) -> NoReturn:
    """End a process that a plugin forked, once it leaves the call that forked it.

    Flush, close and call nothing of the daemon's: all of it belongs to the parent process.

    Args:
        error: The exception that the plugin's code raised in the child, None if it returned.
    """
    _exit_at_once(_exit_code_of(error))


def _exit_code_of(error: BaseException | None) -> int:
    """Return the exit code that Python would use."""
    if error is None:
        return 0
    if not issubclass(type(error), SystemExit):
        return 1
    try:
        exit_code = error.code  # type: ignore[attr-defined]  # of SystemExit
        return 0 if exit_code is None else int(exit_code) & 0xFF
    except BaseException:  # a string, or an object of the plugin's
        return 1
