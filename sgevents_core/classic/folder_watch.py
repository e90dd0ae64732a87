"""Noticing that files of classic plugins change, are added or are removed.

A thread checks the folders; a slow disk slows down these checks, and nothing else.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sgevents_core.settings import ClassicFolder

logger = logging.getLogger("sgevents.daemon")

LOOK_EVERY: Final = 0.5
"""Seconds between two checks of all folders."""
SETTLE_WITHIN: Final = 0.2
"""Seconds between two checks while a file changes: it is not read while it is being written."""
REST_FACTOR: Final = 9.0
"""How many times longer than a check the pause after it is, which spares slow disks."""


class FileMark(NamedTuple):
    """The file attributes that show that a file has changed."""

    inode: int
    size: int
    modified: int


class SeenFiles:
    """The files of one folder, as they were when last unchanged.

    A change counts once two checks in a row find the file the same.
    """

    def __init__(self, marks: Mapping[str, FileMark]) -> None:
        self.marks = dict(marks)
        self._unsettled: dict[str, FileMark | None] = {}

    @property
    def is_settled(self) -> bool:
        """Whether no file has changed since then."""
        return not self._unsettled

    def see(self, marks: Mapping[str, FileMark]) -> list[str]:
        """Compare a check with the last; return the sorted names of files that stopped changing."""
        settled = []
        for name in sorted({*self.marks, *marks, *self._unsettled}):
            mark = marks.get(name)
            if mark == self.marks.get(name):
                self._unsettled.pop(name, None)
            elif name in self._unsettled and self._unsettled[name] == mark:
                del self._unsettled[name]
                self._take(name, mark)
                settled.append(name)
            else:
                self._unsettled[name] = mark
        return settled

    def forget(self, name: str) -> None:
        """Treat a file as new since the last check; may be called from any thread."""
        self.marks.pop(name, None)

    def _take(self, name: str, mark: FileMark | None) -> None:
        if mark is None:
            self.marks.pop(name, None)
        else:
            self.marks[name] = mark


def rest_after(look_seconds: float, shortest: float) -> float:
    """Return how long to pause after a check of the folders, in seconds.

    Args:
        look_seconds: How long the check took.
        shortest: The rest on a quick disk.
    """
    return max(shortest, REST_FACTOR * look_seconds)


class FolderWatch:
    """The watch over classic folders; its first look is made at once.

    Args:
        folders: The folders.
    """

    def __init__(self, folders: Sequence[ClassicFolder]) -> None:
        self._folders = {folder.path: SeenFiles({}) for folder in folders}
        self._unreadable: set[Path] = set()
        self._changed: dict[Path, bool] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        for path in self._folders:
            self._folders[path] = SeenFiles(self._marks_in(path) or {})
        self._thread = threading.Thread(target=self._run, name="classic folders", daemon=True)

    def start(self) -> None:
        """Start looking."""
        if self._folders:
            self._thread.start()

    def close(self) -> None:
        """Stop looking; a look blocked by a slow disk ends with the process."""
        self._stopping.set()

    def take_changes(self) -> list[tuple[Path, bool]]:
        """Return the files that have changed since the last call, sorted, and those that exist."""
        with self._lock:
            changed, self._changed = self._changed, {}
        return sorted(changed.items())

    def files(self) -> list[Path]:
        """Return the files that exist, sorted; only before `start`."""
        return sorted(path / name for path, seen in self._folders.items() for name in seen.marks)

    def report_again(self, path: Path) -> None:
        """Let the next look report a file again, because it could not be read."""
        self._folders[path.parent].forget(path.name)

    def look(self, *, only_unsettled: bool = False) -> None:
        """Look at the folders once.

        Args:
            only_unsettled: Whether to leave out folders in which nothing is changing.
        """
        for path, seen in self._folders.items():
            if only_unsettled and seen.is_settled:
                continue
            marks = self._marks_in(path)
            if marks is not None:
                changed = {path / name: name in marks for name in seen.see(marks)}
                with self._lock:
                    self._changed |= changed

    def _run(self) -> None:
        full_look_at = time.monotonic() + LOOK_EVERY
        pause = LOOK_EVERY
        while not self._stopping.wait(pause):
            began = time.monotonic()
            is_full = began >= full_look_at
            self.look(only_unsettled=not is_full)
            ended = time.monotonic()
            if is_full:
                full_look_at = ended + rest_after(ended - began, LOOK_EVERY)
            pause = max(full_look_at - ended, 0.01)
            if not self.is_settled:
                pause = min(pause, rest_after(ended - began, SETTLE_WITHIN))

    @property
    def is_settled(self) -> bool:
        """Whether no file has been seen to change since its last change was taken."""
        return all(seen.is_settled for seen in self._folders.values())

    def _marks_in(self, folder: Path) -> dict[str, FileMark] | None:
        """Return the marks of a folder's files; None if the folder cannot be read."""
        known = self._folders[folder].marks
        marks: dict[str, FileMark] = {}
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".py") and not entry.name.startswith("."):
                        _add_mark(marks, entry, known.get(entry.name))
        except OSError as error:
            self._report(folder, error)
            return None
        self._report(folder, None)
        return marks

    def _report(self, folder: Path, error: OSError | None) -> None:
        """Report once that a folder cannot be read, and once that it can again."""
        if (error is None) is (folder not in self._unreadable):
            return
        extra = {"action": "classic.folder_unreadable" if error else "classic.folder_readable"}
        if error is not None:
            self._unreadable.add(folder)
            text = "The classic plugins in %s stay as they are: the folder cannot be read: %s"
            logger.error(text, folder, error.strerror or error, extra=extra)
        else:
            self._unreadable.discard(folder)
            logger.info("The folder %s can be read again", folder, extra=extra)


def _add_mark(marks: dict[str, FileMark], entry: os.DirEntry[str], known: FileMark | None) -> None:
    """Record a file's attributes; a file that cannot be examined counts as unchanged."""
    try:
        status = entry.stat()
    except FileNotFoundError:
        return
    except OSError:
        if known is not None:
            marks[entry.name] = known
        return
    marks[entry.name] = FileMark(status.st_ino, status.st_size, status.st_mtime_ns)
