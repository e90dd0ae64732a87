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

from sgevents_core.printable import one_line
from sgevents_core.settings import ClassicFolder
from sgevents_core.settings.classic_listing import is_python_file, is_utf8

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

    def __init__(self, file_marks: Mapping[str, FileMark]) -> None:
        self.marks = dict(file_marks)
        self._unsettled_marks: dict[str, FileMark | None] = {}

    @property
    def is_settled(self) -> bool:
        """Whether no file has changed since then."""
        return not self._unsettled_marks

    def see(self, file_marks: Mapping[str, FileMark]) -> list[str]:
        """Compare a check with the last; return the sorted names of files that stopped changing."""
        settled_names = []
        for file_name in sorted({*self.marks, *file_marks, *self._unsettled_marks}):
            file_mark = file_marks.get(file_name)
            if file_mark == self.marks.get(file_name):
                self._unsettled_marks.pop(file_name, None)
            elif (
                file_name in self._unsettled_marks and self._unsettled_marks[file_name] == file_mark
            ):
                del self._unsettled_marks[file_name]
                self._take(file_name, file_mark)
                settled_names.append(file_name)
            else:
                self._unsettled_marks[file_name] = file_mark
        return settled_names

    def forget(self, file_name: str) -> None:
        """Treat a file as new since the last check; may be called from any thread."""
        self.marks.pop(file_name, None)

    def _take(self, file_name: str, file_mark: FileMark | None) -> None:
        if file_mark is None:
            self.marks.pop(file_name, None)
        else:
            self.marks[file_name] = file_mark


def rest_after(look_seconds: float, shortest_rest: float) -> float:
    """Return how long to pause after a check of the folders, in seconds.

    Args:
        look_seconds: How long the check took.
        shortest_rest: The rest on a quick disk.
    """
    return max(shortest_rest, REST_FACTOR * look_seconds)


class FolderWatch:
    """The watch over classic folders; its first look is made at once.

    Args:
        classic_folders: The folders.
    """

    def __init__(self, classic_folders: Sequence[ClassicFolder]) -> None:
        self._seen_by_folder = {
            watched_folder.path: SeenFiles({}) for watched_folder in classic_folders
        }
        self._unreadable_folders: set[Path] = set()
        self._reported_names: set[Path] = set()
        self._changed_files: dict[Path, bool] = {}
        self._changes_lock = threading.Lock()
        self._stop_event = threading.Event()
        for folder_path in self._seen_by_folder:
            self._seen_by_folder[folder_path] = SeenFiles(self._marks_in(folder_path) or {})
        self._watch_thread = threading.Thread(target=self._run, name="classic folders", daemon=True)

    def start(self) -> None:
        """Start looking."""
        if self._seen_by_folder:
            self._watch_thread.start()

    def close(self) -> None:
        """Stop looking; a look blocked by a slow disk ends with the process."""
        self._stop_event.set()

    def take_changes(self) -> list[tuple[Path, bool]]:
        """Return the files that have changed since the last call, sorted, and those that exist."""
        with self._changes_lock:
            changed_files, self._changed_files = self._changed_files, {}
        return sorted(changed_files.items())

    def files(self) -> list[Path]:
        """Return the files that exist, sorted; only before `start`."""
        return sorted(
            folder_path / file_name
            for folder_path, seen_files in self._seen_by_folder.items()
            for file_name in seen_files.marks
        )

    def report_again(self, file_path: Path) -> None:
        """Let the next look report a file again, because it could not be read."""
        self._seen_by_folder[file_path.parent].forget(file_path.name)

    def look(self, *, only_unsettled: bool = False) -> None:
        """Look at the folders once.

        Args:
            only_unsettled: Whether to leave out folders in which nothing is changing.
        """
        for folder_path, seen_files in self._seen_by_folder.items():
            if only_unsettled and seen_files.is_settled:
                continue
            file_marks = self._marks_in(folder_path)
            if file_marks is not None:
                changed_files = {
                    folder_path / file_name: file_name in file_marks
                    for file_name in seen_files.see(file_marks)
                }
                with self._changes_lock:
                    self._changed_files |= changed_files

    def _run(self) -> None:
        full_look_at = time.monotonic() + LOOK_EVERY
        pause_seconds = LOOK_EVERY
        while not self._stop_event.wait(pause_seconds):
            began_at = time.monotonic()
            is_full = began_at >= full_look_at
            self.look(only_unsettled=not is_full)
            ended_at = time.monotonic()
            if is_full:
                full_look_at = ended_at + rest_after(ended_at - began_at, LOOK_EVERY)
            pause_seconds = max(full_look_at - ended_at, 0.01)
            if not self.is_settled:
                pause_seconds = min(pause_seconds, rest_after(ended_at - began_at, SETTLE_WITHIN))

    @property
    def is_settled(self) -> bool:
        """Whether no file has been seen to change since its last change was taken."""
        return all(seen_files.is_settled for seen_files in self._seen_by_folder.values())

    def _marks_in(self, watched_folder: Path) -> dict[str, FileMark] | None:
        """Return the marks of a folder's files; None if the folder cannot be read."""
        known_marks = self._seen_by_folder[watched_folder].marks
        file_marks: dict[str, FileMark] = {}
        try:
            with os.scandir(watched_folder) as folder_entries:
                for folder_entry in folder_entries:
                    if not is_python_file(folder_entry.name):
                        continue
                    if is_utf8(folder_entry.name):
                        _add_mark(file_marks, folder_entry, known_marks.get(folder_entry.name))
                    else:
                        self._report_name(Path(folder_entry.path))
        except OSError as read_error:
            self._report(watched_folder, read_error)
            return None
        self._report(watched_folder, None)
        return file_marks

    def _report_name(self, file_path: Path) -> None:
        """Report once that a file cannot be a plugin because of its name."""
        if file_path not in self._reported_names:
            self._reported_names.add(file_path)
            logger.error(
                "%s is not called: its name is not UTF-8; rename the file",
                one_line(file_path),
                extra={"action": "classic.name_unusable"},
            )

    def _report(self, watched_folder: Path, read_error: OSError | None) -> None:
        """Report once that a folder cannot be read, and once that it can again."""
        if (read_error is None) is (watched_folder not in self._unreadable_folders):
            return
        record_fields = {
            "action": "classic.folder_unreadable" if read_error else "classic.folder_readable"
        }
        if read_error is not None:
            self._unreadable_folders.add(watched_folder)
            message_text = (
                "The classic plugins in %s stay as they are: the folder cannot be read: %s"
            )
            logger.error(
                message_text, watched_folder, read_error.strerror or read_error, extra=record_fields
            )
        else:
            self._unreadable_folders.discard(watched_folder)
            logger.info("The folder %s can be read again", watched_folder, extra=record_fields)


def _add_mark(
    file_marks: dict[str, FileMark], folder_entry: os.DirEntry[str], known_mark: FileMark | None
) -> None:
    """Record a file's attributes; a file that cannot be examined counts as unchanged."""
    try:
        file_status = folder_entry.stat()
    except FileNotFoundError:
        return
    except OSError:
        if known_mark is not None:
            file_marks[folder_entry.name] = known_mark
        return
    file_marks[folder_entry.name] = FileMark(
        file_status.st_ino, file_status.st_size, file_status.st_mtime_ns
    )
