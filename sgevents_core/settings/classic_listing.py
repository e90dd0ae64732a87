"""The files in folders of classic plugins, and their default configuration.

A folder is read as it is now; nothing in it is executed.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sgevents_core.printable import one_line
from sgevents_core.settings.classic_settings import ClassicFolder
from sgevents_core.settings.diagnostics import Diagnostics
from sgevents_core.settings.file_access import find_exposures
from sgevents_core.settings.key_lines import KeyPath
from sgevents_core.settings.model import GroupSettings, PluginSettings, Settings
from sgevents_core.settings.spelling import nearest_name, toml_string

_KIND: Final = "classic"
_ENTRANCE: Final = re.compile(rb"\bregisterCallbacks\b|\bimport\s*\*")
"""The name that must occur in a file for it to be able to register classic callbacks."""
_NEVER: Final = sys.maxsize
_DEFAULTS: Final[Mapping[str, Any]] = {
    "enabled": True,
    "max_attempts": 1,
    "pause_after": _NEVER,
    "breaker_events": 0,
    "concurrency": 1,
}
"""The default settings of a classic plugin, which its table overrides.

It is called once for an event, by one thread at a time, as it expects; only `stopOnError` decides
whether it is paused.
"""


def plugin_name(folder: ClassicFolder, file_name: str) -> str:
    """Return the name of the plugin in a file of a classic folder."""
    return f"{_prefix(folder)}{file_name.removesuffix('.py')}"


def _prefix(folder: ClassicFolder) -> str:
    return f"{_KIND}:{folder.group_name}/"


def is_python_file(file_name: str) -> bool:
    """Return whether a file's name makes it a Python file that is not hidden."""
    return file_name.endswith(".py") and not file_name.startswith(".")


def is_utf8(file_name: str) -> bool:
    """Return whether a file's name is UTF-8; no other can be the name of a plugin."""
    try:
        file_name.encode()
    except UnicodeEncodeError:
        return False
    return True


def python_files(folder: Path) -> list[str]:
    """Return the names of the Python files in a folder that can be plugins, sorted.

    Raises:
        OSError: The folder cannot be read.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if is_python_file(entry.name)]
    return sorted(name for name in names if is_utf8(name))


def files_not_in_utf8(folder: Path) -> list[str]:
    """Return the names of the Python files in a folder that are not UTF-8, sorted.

    Raises:
        OSError: The folder cannot be read.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if is_python_file(entry.name)]
    return sorted(name for name in names if not is_utf8(name))


def is_helper(path: Path) -> bool:
    """Return whether a file's text suggests a module for plugins to import, not a plugin."""
    return path.name.startswith("_") or is_helper_text(path)


def is_helper_text(path: Path) -> bool:
    """Return whether a file cannot define the function that registers classic callbacks."""
    try:
        return _ENTRANCE.search(path.read_bytes()) is None
    except OSError:  # loading it reports that
        return False


def folders_that_register(folder: Path) -> list[str]:
    """Return the names of packages in a folder that register callbacks, sorted.

    Some versions of the classic daemon take them for plugins.

    Raises:
        OSError: The folder cannot be read.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.is_file(follow_symlinks=False)]
    inits = {name: folder / name / "__init__.py" for name in sorted(names)}
    return [name for name, init in inits.items() if init.is_file() and not is_helper_text(init)]


def plugin_files(folder: ClassicFolder) -> dict[str, Path]:
    """Return the files of a folder that are plugins, by the plugin's name.

    Raises:
        OSError: The folder cannot be read.
    """
    paths = [folder.path / name for name in python_files(folder.path)]
    return {plugin_name(folder, path.name): path for path in paths if not is_helper(path)}


def table_of_new_file(folder: ClassicFolder) -> PluginSettings:
    """Return the default table of a classic file that the configuration does not name."""
    return PluginSettings(enabled=True, group=folder.group_name, max_attempts=1, pause_after=_NEVER)


class ClassicListing:
    """The plugins in classic folders.

    Args:
        folders: The folders.
        files: The files that are plugins, by the plugin's name.

    `files` are the plugins' files by name; `with_on_error` are the plugins whose tables say what
    happens on errors, once `with_tables` has seen them.
    """

    def __init__(self, folders: Sequence[ClassicFolder], files: dict[str, Path]) -> None:
        self._folders = folders
        self.files = files
        self.with_on_error: frozenset[str] = frozenset()

    @classmethod
    def read(cls, folders: Sequence[ClassicFolder], diagnostics: Diagnostics) -> ClassicListing:
        """Read the folders, and record their problems."""
        files: dict[str, Path] = {}
        for index, folder in enumerate(folders):
            key_path: KeyPath = ("classic", "paths", index)
            _check_group(folders, index, diagnostics)
            try:
                files |= plugin_files(folder)
                _check_helpers(folders, index, diagnostics)
                for name in files_not_in_utf8(folder.path):
                    message = f"{one_line(name)} is not called: its name is not UTF-8"
                    diagnostics.add_warning((*key_path, "path"), message, "rename the file")
                for name in folders_that_register(folder.path):
                    message = f"{name}/__init__.py registers callbacks, and only files are plugins"
                    fix = f"move registerCallbacks to {name}_plugin.py next to that folder"
                    diagnostics.add_warning((*key_path, "path"), message, fix)
            except OSError as error:
                message = f"the folder {folder.path} cannot be read: {error.strerror}"
                fix = "correct the path; if the folder comes later, its plugins start then"
                diagnostics.add_warning((*key_path, "path"), message, fix)
            for exposure in find_exposures(folder.path, "this folder", holds_secret=False):
                diagnostics.add_warning((*key_path, "path"), exposure.message, exposure.fix)
        return cls(folders, files)

    def with_groups(self, groups: Collection[GroupSettings]) -> tuple[GroupSettings, ...]:
        """Return the configured groups, then the groups of folders that are not configured."""
        listed = {group.name for group in groups}
        own_names = dict.fromkeys(folder.group_name for folder in self._folders)
        return (*groups, *(GroupSettings(name=name) for name in own_names if name not in listed))

    def with_tables(self, raw_tables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the plugins' tables, with defaults filled in for classic plugins."""
        tables = dict(raw_tables)
        for folder in self._folders:
            prefix = _prefix(folder)
            names = [name for name in (*self.files, *raw_tables) if name.startswith(prefix)]
            for name in dict.fromkeys(names):
                raw_table = raw_tables.get(name, {})
                if isinstance(raw_table, Mapping):
                    tables[name] = {**_DEFAULTS, "group": folder.group_name, **raw_table}
                    if "on_error" in raw_table:
                        self.with_on_error |= {name}
        return tables

    def check_tables(self, raw_tables: Mapping[str, Any], diagnostics: Diagnostics) -> None:
        """Warn of tables for classic plugins that do not exist: what they say has no effect."""
        for name in raw_tables:
            kind, separator, file_name = name.partition(":")
            if (kind, separator) == (_KIND, ":") and name not in self.files:
                group_name, _, stem = file_name.rpartition("/")
                message = self._missing_file(group_name, stem)
                fix = "correct the name, or remove the table"
                prefix = name.removesuffix(stem)
                stems = [
                    file.removeprefix(prefix) for file in self.files if file.startswith(prefix)
                ]
                nearest_stem = nearest_name(stem, stems)
                if nearest_stem:
                    fix = f"did you mean {toml_string(prefix + nearest_stem)}?"
                if message:
                    diagnostics.add_warning(("plugins", name), message, fix)

    def _missing_file(self, group_name: str, stem: str) -> str:
        """Say that there is no file for a table; empty if its folder cannot be read."""
        for folder in self._folders:
            if folder.group_name == group_name:
                is_readable = folder.path.is_dir()
                return f"{folder.path} has no plugin {stem}.py" if is_readable else ""
        return f"no folder of classic plugins has the group {toml_string(group_name)}"


def _check_group(folders: Sequence[ClassicFolder], index: int, diagnostics: Diagnostics) -> None:
    """Refuse a group that an earlier folder uses: their plugins could not be distinguished."""
    group = folders[index].group_name
    others = [other.path for other in folders[:index] if other.group_name == group]
    if others:
        message = f"the folder {others[0]} has the group {toml_string(group)} already"
        fix = 'give this folder another one: group = "..."'
        diagnostics.add_problem(("classic", "paths", index, "group"), message, fix)


def _check_helpers(folders: Sequence[ClassicFolder], index: int, diagnostics: Diagnostics) -> None:
    """Warn of importable modules that an earlier folder also has: all plugins import that one."""
    folder, earlier = folders[index].path, folders[:index]
    for name in python_files(folder) if earlier else ():
        others = [one.path for one in earlier if (one.path / name).is_file()]
        if others and is_helper(folder / name):
            message = f"{name} is also in {others[0]}: plugins that import it get that one"
            fix = "rename one of the two"
            diagnostics.add_warning(("classic", "paths", index, "path"), message, fix)


def file_order(settings: Settings) -> dict[str, str]:
    """Return the names by which classic plugins are sorted: their file names."""
    return {name: path.name for name, path in settings.classic_files.items()}
