"""Who sent a signal: something outside, or something in this process or below it."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import Final

_MOST_REMEMBERED: Final = 256
_DEEPEST: Final = 64
_started: Final[deque[int]] = deque(maxlen=_MOST_REMEMBERED)
"""Processes started here most recently; one that sends a signal may have ended by now."""


def started(pid: int) -> None:
    """Remember a process that code in this one has started."""
    _started.append(pid)


_own: Final[deque[str]] = deque(maxlen=_MOST_REMEMBERED)


def sends(plugin: str) -> None:
    """Note that a plugin is about to send a signal to this process, among others."""
    _own.append(plugin)


def sent() -> str:
    """Return the plugin that sent a signal which came from this process; empty if not known."""
    return _own.popleft() if _own else ""


def is_inside(sender: int) -> bool:
    """Return whether a signal's sender is this process, or one that it started.

    Args:
        sender: Its pid according to the signal; 0 for the system, and for another container.
    """
    if sender == os.getpid():
        return True
    if sender <= 0:
        return False
    parent = _parent_of(sender)
    if parent is None:  # `kill` itself has ended by now, so this proves nothing
        return sender in _started
    for _ in range(_DEEPEST):
        if parent is None or parent <= 0:
            return False
        if parent == os.getpid():
            return True
        parent = _parent_of(parent)
    return False


def _parent_of(pid: int) -> int | None:
    """Return a process's parent, None if the process does not exist (any more)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        return int(stat[stat.rindex(b")") + 1 :].split()[1])
    except (OSError, ValueError):
        return None
