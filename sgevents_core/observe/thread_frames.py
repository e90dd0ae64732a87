"""What the threads of this process are doing, read so that the process cannot lock itself."""

from __future__ import annotations

import gc
import os
import sys
import threading
from types import FrameType

_guard = threading.RLock()


def current_frames() -> dict[int, FrameType]:
    """Return the innermost frame of each thread, by the thread's ident.

    Python holds a lock of its own meanwhile. If it collects garbage then, and what that calls lets
    another thread run that needs the lock, both wait for each other for ever, and the whole process
    with them. So no garbage is collected here.
    """
    with _guard:
        is_collecting = gc.isenabled()
        gc.disable()
        try:
            return sys._current_frames()  # there is no other way to see other threads
        finally:
            if is_collecting:
                gc.enable()


def collects_garbage() -> bool:
    """Return whether Python collects garbage by itself, `current_frames` aside."""
    with _guard:
        return gc.isenabled()


def _renew_guard() -> None:
    """Forget a thread that had the guard when the process was forked."""
    global _guard  # noqa: PLW0603 - a fork cannot release it
    _guard = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_guard)
