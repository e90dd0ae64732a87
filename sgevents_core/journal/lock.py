"""The state's lock: one daemon per state. It falls with the process that holds it."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from typing import IO, Final

import msgspec

from sgevents_core.errors import StateError, StateInUse

LOCK: Final = "lock"


class StateLock:
    """Holds the lock of a state until closed, or until the process ends however it ends.

    Args:
        folder: The state's folder; made if absent.

    Raises:
        StateInUse: Another process holds it; says which.
        StateError: The folder cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._file: IO[bytes] = (folder / LOCK).open("a+b")
        except OSError as error:
            raise StateError(path=str(folder), reason=f"{error.strerror or error}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = _holder(self._file)
            self._file.close()
            raise StateInUse(
                path=str(folder), pid=holder.get("pid", "?"), host=holder.get("host", "?")
            ) from None
        self._file.truncate(0)
        holder = {"pid": os.getpid(), "host": socket.gethostname()}
        self._file.write(msgspec.json.encode(holder))
        self._file.flush()

    def close(self) -> None:
        """Give the lock back."""
        self._file.close()


def holder(folder: Path) -> dict[str, int | str] | None:
    """Return `pid` and `host` of the process that holds a state's lock, None if none does."""
    try:
        with (folder / LOCK).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return _holder(file)
    except OSError:
        return None
    return None


def _holder(file: IO[bytes]) -> dict[str, int | str]:
    try:
        file.seek(0)
        found = msgspec.json.decode(file.read(), type=dict[str, int | str])
    except (OSError, msgspec.DecodeError):
        return {}
    return found
