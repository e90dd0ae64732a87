"""The state's lock: one daemon per state. It is released when its process ends."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
import weakref
from pathlib import Path
from typing import IO, Final

import msgspec

from sgevents_core.errors import StateError, StateInUse
from sgevents_core.state.own_files import make_folder, open_own

LOCK: Final = "lock"
LOCKS: Final = Path("/proc/locks")
"""The file in which the system lists which process holds which lock."""
_TAKEN_WITHIN: Final = 0.25
"""Seconds within which a lock becomes free if it is only being inspected or its holder is
ending.
"""
_COMMANDS_TAKE: Final = 60.0
"""Seconds for which a daemon waits for a command that holds its lock."""
_EVERY: Final = 0.01


class StateLock:
    """The held lock of a state, until it is closed or the process ends in any way.

    Args:
        folder: The state's folder; created if absent.
        command: The command that wants it briefly; empty for a daemon, which waits for commands.

    Raises:
        StateInUse: Another process holds it; the error names it.
        StateError: The folder cannot be created or written.
    """

    def __init__(self, folder: Path, command: str = "") -> None:
        try:
            make_folder(folder)
            descriptor = open_own(folder / LOCK, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            about = f"{LOCK}: " if error.errno in {errno.ELOOP, errno.EINVAL} else ""
            raise StateError(path=str(folder), reason=f"{about}{error.strerror or error}") from None
        self._file: IO[bytes] = os.fdopen(descriptor, "r+b", buffering=0)
        if not _taken(self._file, for_daemon=not command):
            holder = _holder(self._file)
            self._file.close()
            raise StateInUse(
                path=str(folder), pid=holder.get("pid", "?"), host=holder.get("host", "?")
            )
        self._sign(folder, command)
        _end_in_children(self._file)

    def _sign(self, folder: Path, command: str) -> None:
        """Write who holds it, so that a refused process can say so."""
        me: dict[str, int | str] = {"pid": os.getpid(), "host": socket.gethostname()}
        if command:
            me["command"] = command
        try:
            self._file.truncate(0)
            self._file.write(msgspec.json.encode(me))
        except OSError as error:
            self._file.close()
            raise StateError(path=str(folder), reason=f"{error.strerror or error}") from None

    def close(self) -> None:
        """Release the lock."""
        self._file.close()


def holder(folder: Path) -> dict[str, int | str] | None:
    """Return `pid` and `host` of the process that holds a state's lock, None if none does.

    Also `command`, unless it is a daemon.
    """
    try:
        with os.fdopen(open_own(folder / LOCK, os.O_RDONLY), "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return _holder(file)
    except OSError:
        return None
    return None


def is_held_by(folder: Path, pid: int) -> bool:
    """Return whether the operating system says that a process holds a state's lock.

    The lock's file is not trusted when it matters, such as before a signal is sent: anyone who can
    write to the folder could name any process in it.
    """
    try:
        inode = (folder / LOCK).lstat().st_ino
        lines = LOCKS.read_text("ascii", "replace").splitlines()
    except OSError:
        return False
    # A line: `1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF`.
    held = [words for words in map(str.split, lines) if words[1:4:2] == ["FLOCK", "WRITE"]]
    return any(words[4] == str(pid) and words[5].rpartition(":")[2] == str(inode) for words in held)


def _taken(file: IO[bytes], *, for_daemon: bool) -> bool:
    """Take the lock; return False if another process holds it."""
    began = time.monotonic()
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            patience = _TAKEN_WITHIN
            if for_daemon and "command" in _holder(file):
                patience = _COMMANDS_TAKE
            if time.monotonic() > began + patience:
                return False
        time.sleep(_EVERY)


def _end_in_children(file: IO[bytes]) -> None:
    """Make sure that a process forked by a plugin does not keep the lock after the daemon ends."""
    reference = weakref.ref(file)

    def close() -> None:
        inherited = reference()
        if inherited is not None:
            inherited.close()

    os.register_at_fork(after_in_child=close)


def _holder(file: IO[bytes]) -> dict[str, int | str]:
    try:
        file.seek(0)
        holder = msgspec.json.decode(file.read(), type=dict[str, int | str])
    except (OSError, msgspec.DecodeError):
        return {}
    return holder
