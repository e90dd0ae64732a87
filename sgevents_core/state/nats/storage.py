"""The copy as files on this host's disk."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sgevents_core.state.inspection import LogDamage
from sgevents_core.state.nats.copy import COPY_FOLDER
from sgevents_core.state.sqlite.inspecting import SqliteInspection
from sgevents_core.state.sqlite.moved_files import export_copy
from sgevents_core.state.sqlite.storage import SqliteStorage


class CopyStorage:
    """The files of a copy.

    Args:
        state_folder: The state's folder.
    """

    files: Final = tuple(f"{COPY_FOLDER}/{file_name}" for file_name in SqliteStorage.files)
    repair: Final = (
        f"stop the daemon on this host and delete the folder {COPY_FOLDER} in that of the state:"
        " the next start makes the copy anew from the servers, where the state is"
    )

    def __init__(self, state_folder: Path) -> None:
        self.folder: Final = state_folder
        self._copy_folder = state_folder / COPY_FOLDER

    def is_outdated(self) -> bool:
        """Return False: every process that opens the copy upgrades it."""
        return False

    def inspection(self) -> SqliteInspection:
        """Open an inspection of the copy."""
        return SqliteInspection(self._copy_folder)

    def log_damage(self) -> LogDamage | None:
        """Return None: what a damaged end of the log held is read from the servers again."""
        return None

    def back_up(self, target_path: Path) -> int:
        """Write the copy to a file, as one host alone has its state; return its size in bytes."""
        return export_copy(self._copy_folder, target_path)
