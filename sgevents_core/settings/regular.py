"""Reads files that people name: plain ones of a sensible size, never what blocks or has no end."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

_KINDS: Final = (
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISFIFO, "is a pipe"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
)


class NotPlainError(OSError):
    """What a path names is not a plain file, or too large; `problem` ends a sentence on it."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


def read_plain(path: Path, largest: int) -> bytes:
    """Return what is in a plain file.

    Args:
        path: The file; a link to one is followed.
        largest: Most bytes it may have.

    Raises:
        NotPlainError: It is something else, or larger.
        OSError: It is not there, or cannot be read.
    """
    # A pipe without a writer would block here, and a terminal become ours, but for the two flags.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    try:
        handle = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except ValueError:
        raise NotPlainError("is not the name of a file") from None
    except OSError as error:
        raise _about(path, error) from None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise NotPlainError(_kind(status.st_mode))
    with os.fdopen(handle, "rb") as file:
        data = b"" if status.st_size > largest else file.read(largest + 1)
        if status.st_size > largest or len(data) > largest:
            raise NotPlainError(f"is longer than {largest // 1024} KiB")
        return data


def _about(path: Path, error: OSError) -> OSError:
    """Return the error, or a better one: some things cannot even be opened."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return error
    return error if stat.S_ISREG(mode) else NotPlainError(_kind(mode))


def _kind(mode: int) -> str:
    return next((name for is_one, name in _KINDS if is_one(mode)), "is not a file")
