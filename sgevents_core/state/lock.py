"""The state's lock: one daemon per state. It is released when its process ends."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

import msgspec

from sgevents_core.errors import StateError, StateInUse
from sgevents_core.state.plain_files import make_state_folder, open_plain_file

LOCK_FILE: Final = "lock"
SYSTEM_LOCKS: Final = Path("/proc/locks")
"""The file in which the system lists which process holds which lock."""
_WAIT_FOR_OTHERS: Final = 0.25
"""Seconds within which a lock becomes free if another process only inspects it or its holder ends.
"""
_WAIT_FOR_COMMANDS: Final = 60.0
"""Seconds for which a daemon waits for a command that holds its lock."""
_WAIT_FOR_THE_DEAD: Final = 10.0
"""Seconds for which a daemon waits for what a dead one has left: processes of its own that hold its
lock until they notice its death."""
_RETRY_INTERVAL: Final = 0.01


class StateLock:
    """The held lock of a state, until it is closed or the process ends in any way.

    Args:
        state_folder: The state's folder; created if absent.
        command_name: The command that needs it briefly; empty for a daemon, which waits for
            commands.

    Raises:
        StateInUse: Another process holds it; the error names it.
        StateError: The folder cannot be created or written.
    """

    def __init__(self, state_folder: Path, command_name: str = "") -> None:
        try:
            make_state_folder(state_folder)
            descriptor = open_plain_file(state_folder / LOCK_FILE, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            prefix = f"{LOCK_FILE}: " if error.errno in {errno.ELOOP, errno.EINVAL} else ""
            raise StateError(
                path=str(state_folder), reason=f"{prefix}{error.strerror or error}"
            ) from None
        self._lock_file: IO[bytes] = os.fdopen(descriptor, "r+b", buffering=0)
        if not _take_lock(self._lock_file, for_daemon=not command_name):
            holder = _read_holder(self._lock_file)
            self._lock_file.close()
            raise StateInUse(
                path=str(state_folder), pid=holder.get("pid", "?"), host=holder.get("host", "?")
            )
        self._write_holder(state_folder, command_name)
        _close_in_children(self._lock_file)

    def _write_holder(self, state_folder: Path, command_name: str) -> None:
        """Write the holder's process and host, which a refused process names in its error."""
        holder: dict[str, int | str] = {"pid": os.getpid(), "host": socket.gethostname()}
        if command_name:
            holder["command"] = command_name
        try:
            self._lock_file.truncate(0)
            self._lock_file.write(msgspec.json.encode(holder))
        except OSError as error:
            self._lock_file.close()
            raise StateError(path=str(state_folder), reason=f"{error.strerror or error}") from None

    def share(self) -> int:
        """Return a new descriptor of the lock: whoever inherits it holds the lock until its end."""
        return os.dup(self._lock_file.fileno())

    def close(self) -> None:
        """Release the lock."""
        self._lock_file.close()


def find_holder(state_folder: Path) -> dict[str, int | str] | None:
    """Return `pid` and `host` of the process that holds a state's lock, None if none does.

    Also `command`, unless it is a daemon.
    """
    try:
        with os.fdopen(open_plain_file(state_folder / LOCK_FILE, os.O_RDONLY), "rb") as lock_file:
            try:
                fcntl.flock(lock_file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return _read_holder(lock_file)
    except OSError:
        return None
    return None


def is_held_by(state_folder: Path, pid: int) -> bool:
    """Return whether the operating system says that a process holds a state's lock.

    Ask this before sending a signal rather than trust the lock's file: anyone who can write to the
    folder could name any process in it.
    """
    try:
        lock_inode = (state_folder / LOCK_FILE).lstat().st_ino
        lock_lines = SYSTEM_LOCKS.read_text("ascii", "replace").splitlines()
    except OSError:
        return False
    # A line: `1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF`.
    write_locks = [
        words for words in map(str.split, lock_lines) if words[1:4:2] == ["FLOCK", "WRITE"]
    ]
    return any(
        words[4] == str(pid) and words[5].rpartition(":")[2] == str(lock_inode)
        for words in write_locks
    )


def _take_lock(lock_file: IO[bytes], *, for_daemon: bool) -> bool:
    """Take the lock; return False if another process holds it."""
    began_waiting = time.monotonic()
    while True:
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            wait_limit = _wait_limit(_read_holder(lock_file)) if for_daemon else _WAIT_FOR_OTHERS
            if time.monotonic() > began_waiting + wait_limit:
                return False
        time.sleep(_RETRY_INTERVAL)


def _wait_limit(holder: Mapping[str, int | str]) -> float:
    """Return for how many seconds a daemon waits for whoever holds the lock."""
    if "command" in holder:
        return _WAIT_FOR_COMMANDS
    return _WAIT_FOR_THE_DEAD if _is_dead(holder) else _WAIT_FOR_OTHERS


def _is_dead(holder: Mapping[str, int | str]) -> bool:
    """Return whether a holder was a process of this host that no longer exists."""
    pid = holder.get("pid")
    if not isinstance(pid, int) or pid <= 0 or holder.get("host") != socket.gethostname():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # it is somebody else's, or no process at all
        return False
    return False


def _close_in_children(lock_file: IO[bytes]) -> None:
    """Make sure that a process forked by a plugin does not keep the lock after the daemon ends."""
    file_reference = weakref.ref(lock_file)

    def close() -> None:
        inherited_file = file_reference()
        if inherited_file is not None:
            inherited_file.close()

    os.register_at_fork(after_in_child=close)


def _read_holder(lock_file: IO[bytes]) -> dict[str, int | str]:
    try:
        lock_file.seek(0)
        holder = msgspec.json.decode(lock_file.read(), type=dict[str, int | str])
    except (OSError, msgspec.DecodeError):
        return {}
    return holder
