"""The fingerprint of a plugin: a short string that changes whenever its code or settings do."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sgevents_core.plugins.discovery import FoundPlugin
    from sgevents_core.settings import PluginSettings

_MAX_FILES: Final = 500


def fingerprint_of(plugin: FoundPlugin, plugin_table: PluginSettings) -> str:
    """Return a plugin's fingerprint, from its distribution, files and configuration table.

    Nothing is imported.
    """
    digest = hashlib.sha256()
    for hashed_part in (
        plugin.distribution,
        plugin.version,
        plugin.value,
        plugin_table,
        sys.version,
    ):
        digest.update(f"{hashed_part!r}\0".encode("utf-8", "surrogatepass"))
    for file_path in plugin.source.files(plugin):
        try:
            file_status = file_path.stat()
        except OSError:
            continue
        file_entry = f"{file_path} {file_status.st_size} {file_status.st_mtime_ns}"
        digest.update(f"{file_entry}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


def module_files(top_module: str) -> Iterator[Path]:
    """Yield the files of a top-level module in order, up to a limit that keeps this fast."""
    for module_place in _places_of(top_module):
        yield from sorted(_python_files(module_place))[:_MAX_FILES]


def _places_of(top_module: str) -> list[Path]:
    try:
        module_spec = importlib.util.find_spec(top_module)
    except (ImportError, ValueError, AttributeError):
        return []
    if module_spec is None:
        return []
    if module_spec.submodule_search_locations is not None:
        return [Path(module_place) for module_place in module_spec.submodule_search_locations]
    return [Path(module_spec.origin)] if module_spec.origin else []


def _python_files(module_place: Path) -> list[Path]:
    if not module_place.is_dir():
        return [module_place]
    python_files: list[Path] = []
    for folder, subfolders, file_names in os.walk(module_place):
        subfolders[:] = sorted(name for name in subfolders if name != "__pycache__")
        python_files += [
            Path(folder, name) for name in file_names if name.endswith((".py", ".so", ".pyd"))
        ]
        if len(python_files) > _MAX_FILES:
            break
    return python_files
