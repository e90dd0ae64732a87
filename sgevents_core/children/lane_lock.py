"""The lock that a lane's worker processes hold for as long as they live, however they end.

Each child inherits an open file with a shared lock. The system releases it when the child is gone,
so whoever can lock the file alone knows that none is left, even after the daemon was killed.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from urllib.parse import quote

from sgevents_core.errors import StateError
from sgevents_core.state.plain_files import open_plain_file


class LaneLock:
    """The lock of one lane's worker processes.

    Args:
        folder: The state's folder.
        lane: The lane's name.
    """

    def __init__(self, folder: Path, lane: str) -> None:
        self._path = folder / f"lane-{quote(lane, safe='')}.children"

    def is_free(self) -> bool:
        """Return whether no worker process of the lane is left.

        Raises:
            StateError: The file cannot be opened.
        """
        file = self._opened()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(file)
        return True

    def share(self) -> int:
        """Return a new descriptor that holds a share of the lock, for a child to inherit.

        Raises:
            StateError: The file cannot be opened or locked.
        """
        file = self._opened()
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            os.close(file)
            raise StateError(path=str(self._path), reason=error.strerror or str(error)) from None
        return file

    def _opened(self) -> int:
        try:
            return open_plain_file(self._path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise StateError(path=str(self._path), reason=error.strerror or str(error)) from None
