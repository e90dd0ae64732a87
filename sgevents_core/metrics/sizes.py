"""The size of a state's files, and the space that is left on its disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric


class StateSizes:
    """The sizes of a state.

    Args:
        state_folder: The state's folder.
    """

    def __init__(self, state_folder: Path) -> None:
        self._state_folder = state_folder

    def families(self) -> Iterator[Metric]:
        """Yield the sizes that can be read."""
        try:
            with os.scandir(self._state_folder) as folder_entries:
                file_sizes = [_file_size(entry) for entry in folder_entries]
            disk_status = os.statvfs(self._state_folder)
        except OSError:
            return
        help_text = "The size of the state's files."
        yield GaugeMetricFamily("sgevents_state_bytes", help_text, value=float(sum(file_sizes)))
        help_text = "The space on the state's disk that the daemon may still use."
        free_bytes = float(disk_status.f_bavail * disk_status.f_frsize)
        yield GaugeMetricFamily("sgevents_state_disk_free_bytes", help_text, value=free_bytes)


def _file_size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size if entry.is_file() else 0
    except OSError:  # it was replaced meanwhile
        return 0
