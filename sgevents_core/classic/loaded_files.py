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
        self._path = settings.state.path / LOADED_FILES
        self._loaded: Versions = _read_versions(self._path)

    def present_versions(self, plugin_names: Iterable[str] | None = None) -> Versions:
        """Return the versions of files as they are now; call it before any of them is read.

        Args:
            plugin_names: Their plugins; None for all.
        """
        files = self._settings.classic_files
        names = files if plugin_names is None else plugin_names
        versions = {name: _version_of(files[name]) for name in names}
        return {name: version for name, version in versions.items() if version}

    def changed_plugins(self, versions: Versions) -> set[str]:
        """Return the plugins whose files are not known to be as they were when loaded last."""
        return {name for name, version in versions.items() if self._loaded.get(name) != version}

    def note_loaded(self, plugin_names: Collection[str], versions: Versions) -> None:
        """Record that plugins have been loaded, and that those to be resumed are.

        Args:
            plugin_names: The plugins.
            versions: The versions of the files before they were read.
        """
        new_versions = {name: versions[name] for name in plugin_names if name in versions}
        loaded = {**self._loaded, **new_versions}
        if loaded == self._loaded:
            return
        self._loaded = loaded
        try:
            replace_plain_file(self._path, msgspec.json.encode(loaded))
        except OSError as error:  # at the next start, their files count as changed
            extra = {"action": "classic.not_recorded"}
            text = "Which classic files are loaded cannot be recorded: %s"
            logger.warning(text, error.strerror or error, extra=extra)


def _version_of(path: Path) -> str:
    """Return the version of a file; empty if it cannot be examined."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def _read_versions(path: Path) -> dict[str, str]:
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(read_plain_file(path), type=dict[str, str])
    return {}
