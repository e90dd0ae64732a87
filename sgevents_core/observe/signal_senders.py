"""Find the sender of a signal: another process, or this one and those that it started."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import Final

_REMEMBERED_COUNT: Final = 256
_MAX_ANCESTORS: Final = 64
_started_pids: Final[deque[int]] = deque(maxlen=_REMEMBERED_COUNT)
"""Processes started here most recently; one that sends a signal may have ended by now."""


def remember_process(pid: int) -> None:
    """Remember a process that code in this one has started."""
    _started_pids.append(pid)


_sending_plugins: Final[deque[str]] = deque(maxlen=_REMEMBERED_COUNT)


def note_sending_plugin(plugin: str) -> None:
    """Note that a plugin is about to send a signal to this process, among others."""
    _sending_plugins.append(plugin)


def take_sending_plugin() -> str:
    """Return the plugin that sent a signal from this process; empty if that is not known."""
    return _sending_plugins.popleft() if _sending_plugins else ""


def is_own_process(sender_pid: int) -> bool:
    """Return whether a signal's sender is this process, or one that it started.

    Args:
        sender_pid: The sender's pid according to the signal; 0 for the system, and for another
            container.
    """
    if sender_pid == os.getpid():
        return True
    if sender_pid <= 0:
        return False
    parent_pid = _parent_of(sender_pid)
    if parent_pid is None:  # `kill` itself has ended by now, so this proves nothing
        return sender_pid in _started_pids
    for _ in range(_MAX_ANCESTORS):
        if parent_pid is None or parent_pid <= 0:
            return False
        if parent_pid == os.getpid():
            return True
        parent_pid = _parent_of(parent_pid)
    return False


def _parent_of(pid: int) -> int | None:
    """Return a process's parent, None if the process does not exist (any more)."""
    try:
        stat_line = Path(f"/proc/{pid}/stat").read_bytes()
        return int(stat_line[stat_line.rindex(b")") + 1 :].split()[1])
    except (OSError, ValueError):
        return None
