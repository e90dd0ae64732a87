"""The mark of a plugin: a short text that changes whenever its code or settings change."""

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

_MOST_FILES: Final = 500


def mark_of(found: FoundPlugin, table: PluginSettings) -> str:
    """Return the mark of a plugin: its distribution, its files and its table in the configuration.

    Nothing is imported.
    """
    digest = hashlib.sha256()
    for part in (found.distribution, found.version, found.value, table, sys.version):
        digest.update(f"{part!r}\0".encode("utf-8", "surrogatepass"))
    top = found.value.partition(":")[0].partition(".")[0]
    for file in _files_of(top):
        digest.update(f"{file}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


def _files_of(top: str) -> Iterator[str]:
    """Yield the name, size and time of each file of a top-level module, in order."""
    for place in _places_of(top):
        for number, path in enumerate(sorted(_python_files(place))):
            if number >= _MOST_FILES:
                return
            try:
                known = path.stat()
            except OSError:
                continue
            yield f"{path} {known.st_size} {known.st_mtime_ns}"


def _places_of(top: str) -> list[Path]:
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(place) for place in spec.submodule_search_locations]
    return [Path(spec.origin)] if spec.origin else []


def _python_files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    found: list[Path] = []
    for folder, folders, files in os.walk(place):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        found += [Path(folder, name) for name in files if name.endswith((".py", ".so", ".pyd"))]
        if len(found) > _MOST_FILES:
            break
    return found
