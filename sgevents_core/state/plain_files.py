"""Opening the small files of a state's folder: only plain files, never the target of a link.

Anyone who can write into the folder could replace a file by a link or a pipe, and the daemon would
then use its rights on another file.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

PRIVATE_FILE_MODE: Final = 0o640
"""The mode of the state's files: events reveal productions to users who must not see them."""
STATE_FOLDER_MODE: Final = 0o750


def open_plain_file(path: Path | str, flags: int) -> int:
    """Open a file, and return its descriptor; `O_CREAT` creates it as `PRIVATE_FILE_MODE`.

    Raises:
        OSError: The file cannot be opened, is a symbolic link, or is not a plain file.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, PRIVATE_FILE_MODE)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link: remove it", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a plain file: remove it", str(path))
    return descriptor


def read_plain_file(path: Path) -> bytes:
    """Return the content of a file; see `open_plain_file`."""
    with os.fdopen(open_plain_file(path, os.O_RDONLY), "rb") as file:
        return file.read()


def replace_plain_file(path: Path, content: bytes) -> None:
    """Give a file a new content, all at once; a file beside it, ending in `.new`, is used for that.

    Raises:
        OSError: The file cannot be written.
    """
    new_file = path.with_name(f"{path.name}.new")
    with suppress(FileNotFoundError):
        new_file.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(new_file, flags, PRIVATE_FILE_MODE), "wb") as file:
        file.write(content)
    os.replace(new_file, path)  # noqa: PTH105 - it returns nothing


def make_state_folder(state_folder: Path) -> None:
    """Create a state's folder if it does not exist; other users have no access to it.

    Raises:
        OSError: The folder cannot be created.
    """
    state_folder.mkdir(parents=True, exist_ok=True, mode=STATE_FOLDER_MODE)
