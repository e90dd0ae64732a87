"""The sessions that people have ended: also after a restart, and for a second console."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from sgevents_core.state.plain_files import read_plain_file, replace_plain_file

ENDED_FILE: Final = "console.ended"
"""Names the ended sessions whose cookies have not expired yet."""


class EndedSessions:
    """The ids of ended sessions, in memory and in a file that all consoles of a state share.

    Args:
        path: The file, of lines with an id and a time; None to keep them in memory alone.
        lifetime: Seconds after which the last cookie of an ended session has expired.
    """

    def __init__(self, path: Path | None, lifetime: float) -> None:
        self._sessions_file = path
        self._cookie_lifetime = lifetime
        self._ended_at: dict[str, float] = {}
        self._file_mark: tuple[int, int, int] | None = None
        self._lock = threading.Lock()

    def has(self, session_id: str) -> bool:
        """Return whether a session has been ended."""
        with self._lock:
            self._read_changes()
            return session_id in self._ended_at

    def add(self, session_id: str, current_time: float) -> None:
        """End a session, in memory even if the file cannot be written.

        Args:
            session_id: The session.
            current_time: The time, in seconds since 1970.
        """
        with self._lock:
            self._read_changes()
            self._ended_at = {
                ended_id: ended_at
                for ended_id, ended_at in self._ended_at.items()
                if current_time - ended_at < self._cookie_lifetime
            }
            self._ended_at[session_id] = current_time
            if self._sessions_file is not None:
                with suppress(OSError):
                    replace_plain_file(self._sessions_file, _encode_sessions(self._ended_at))

    def _read_changes(self) -> None:
        """Read the file if it has changed since it was read last."""
        if self._sessions_file is None:
            return
        with suppress(OSError):
            file_status = os.stat(self._sessions_file, follow_symlinks=False)  # noqa: PTH116 - no link
            file_mark = (file_status.st_mtime_ns, file_status.st_size, file_status.st_ino)
            if file_mark != self._file_mark:
                self._ended_at.update(_decode_sessions(read_plain_file(self._sessions_file)))
                self._file_mark = file_mark


def _encode_sessions(ended_at: Mapping[str, float]) -> bytes:
    return "".join(
        f"{session_id} {ended_time:.0f}\n" for session_id, ended_time in ended_at.items()
    ).encode()


def _decode_sessions(file_content: bytes) -> dict[str, float]:
    """Return the sessions in a file; a line that is none is left out."""
    ended_at: dict[str, float] = {}
    for session_line in file_content.decode("utf-8", "replace").splitlines():
        session_id, _, ended_time = session_line.partition(" ")
        with suppress(ValueError):
            ended_at[session_id] = float(ended_time)
    return ended_at
