"""Read files that users name: only regular files of limited size, so that no read hangs."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

_FILE_KINDS: Final = (
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISFIFO, "is a pipe"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
)


class NotPlainError(OSError):
    """A path names no plain file, or one too large; `problem_text` ends a sentence on it."""

    def __init__(self, problem_text: str) -> None:
        super().__init__(problem_text)
        self.problem_text = problem_text


def read_plain_file(path: Path, max_bytes: int) -> bytes:
    """Return the content of a regular file.

    Args:
        path: The file; a link to one is followed.
        max_bytes: Most bytes it may have.

    Raises:
        NotPlainError: It is not a regular file, or is larger.
        OSError: It is not there, or cannot be read.
    """
    # A pipe without a writer would block here, and a terminal become ours, but for the two flags.
    open_flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    try:
        descriptor = os.open(path, open_flags | getattr(os, "O_BINARY", 0))
    except ValueError:
        raise NotPlainError("is not the name of a file") from None
    except OSError as error:
        raise _better_error(path, error) from None
    file_status = os.fstat(descriptor)
    if not stat.S_ISREG(file_status.st_mode):
        os.close(descriptor)
        raise NotPlainError(_kind_of_file(file_status.st_mode))
    with os.fdopen(descriptor, "rb") as opened_file:
        file_content = b"" if file_status.st_size > max_bytes else opened_file.read(max_bytes + 1)
        if file_status.st_size > max_bytes or len(file_content) > max_bytes:
            raise NotPlainError(f"is longer than {max_bytes // 1024} KiB")
        return file_content


def _better_error(path: Path, error: OSError) -> OSError:
    """Return the error, or a better one: some things cannot even be opened."""
    try:
        file_mode = path.stat().st_mode
    except OSError:
        return error
    return error if stat.S_ISREG(file_mode) else NotPlainError(_kind_of_file(file_mode))


def _kind_of_file(file_mode: int) -> str:
    return next((name for is_kind, name in _FILE_KINDS if is_kind(file_mode)), "is not a file")
