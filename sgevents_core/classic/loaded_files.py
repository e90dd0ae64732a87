"""Remember which version of each classic file was loaded last, so that a later start sees a change.

A plugin that an error has paused resumes when its file changes, also while no daemon runs.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from sgevents_core.settings import Settings
from sgevents_core.state.plain_files import read_plain_file, replace_plain_file

logger = logging.getLogger("sgevents.daemon")

LOADED_FILES: Final = "classic-files.json"
"""The file in the state's folder with the version of each file that was loaded last."""

Versions: TypeAlias = Mapping[str, str]
"""Plugin -> a short text that changes with its file."""


class LoadedFiles:
    """The versions of classic files that the daemon has loaded; for the main thread.

    Args:
        settings: The configuration; its classic plugins may change meanwhile.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._record_path = settings.state.path / LOADED_FILES
        self._loaded_versions: Versions = _read_versions(self._record_path)

    def present_versions(self, plugin_names: Iterable[str] | None = None) -> Versions:
        """Return the versions of files as they are now; call it before any of them is read.

        Args:
            plugin_names: Their plugins; None for all.
        """
        plugin_files = self._settings.classic_files
        wanted_names = plugin_files if plugin_names is None else plugin_names
        file_versions = {
            plugin_name: _version_of(plugin_files[plugin_name]) for plugin_name in wanted_names
        }
        return {
            plugin_name: file_version
            for plugin_name, file_version in file_versions.items()
            if file_version
        }

    def changed_plugins(self, file_versions: Versions) -> set[str]:
        """Return the plugins whose files are not known to be as they were when loaded last."""
        return {
            plugin_name
            for plugin_name, file_version in file_versions.items()
            if self._loaded_versions.get(plugin_name) != file_version
        }

    def note_loaded(self, plugin_names: Collection[str], file_versions: Versions) -> None:
        """Record that plugins have been loaded, and that those to be resumed are.

        Args:
            plugin_names: The plugins.
            file_versions: The versions of the files before they were read.
        """
        new_versions = {
            plugin_name: file_versions[plugin_name]
            for plugin_name in plugin_names
            if plugin_name in file_versions
        }
        loaded_versions = {**self._loaded_versions, **new_versions}
        if loaded_versions == self._loaded_versions:
            return
        self._loaded_versions = loaded_versions
        try:
            replace_plain_file(self._record_path, msgspec.json.encode(loaded_versions))
        except OSError as write_error:  # at the next start, their files count as changed
            record_fields = {"action": "classic.not_recorded"}
            message_text = "Which classic files are loaded cannot be recorded: %s"
            logger.warning(message_text, write_error.strerror or write_error, extra=record_fields)


def _version_of(file_path: Path) -> str:
    """Return the version of a file; empty if it cannot be examined."""
    try:
        file_status = file_path.stat()
    except OSError:
        return ""
    return f"{file_status.st_size} {file_status.st_mtime_ns}"


def _read_versions(file_path: Path) -> dict[str, str]:
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(read_plain_file(file_path), type=dict[str, str])
    return {}
