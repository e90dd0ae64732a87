"""Distributions that contain the same file: the one installed last has overwritten the other's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from sgevents_core.plugins.installed import Remark, folder_of, recorded

if TYPE_CHECKING:
    from sgevents_core.plugins.discovery import FoundPlugin


def clashes_of(found: Iterable[FoundPlugin]) -> dict[str, str]:
    """Return plugin -> why it cannot run: another distribution contains its module too.

    Args:
        found: All entry points of plugins.
    """
    by_module: dict[str, dict[str, FoundPlugin]] = {}
    every = list(found)
    for one in every:
        provider = canonicalize_name(one.distribution)
        if _files_of(one):
            by_module.setdefault(one.module, {}).setdefault(provider, one)
    return {
        one.name: _told(one.module, list(by_module[one.module].values()))
        for one in every
        if len(by_module.get(one.module, ())) > 1
    }


def overlaps_of(found: Iterable[FoundPlugin]) -> list[Remark]:
    """Return the modules of plugins' distributions that another distribution has overwritten."""
    records: dict[str, tuple[FoundPlugin, Mapping[str, str]]] = {}
    for one in found:
        folder = folder_of(one.entry_point.dist)
        if folder is not None:
            records.setdefault(canonicalize_name(one.distribution), (one, recorded(folder)))
    told: list[Remark] = []
    for (one, mine), (other, theirs) in combinations(records.values(), 2):
        differing = [
            path
            for path, hashed in mine.items()
            if path.endswith(".py") and hashed and theirs.get(path, hashed) not in ("", hashed)
        ]
        told += [
            Remark(
                f"{one.provider} and {other.provider} both ship {path}, and not the same, so one "
                "of them runs the other's",
                "uninstall one of them, then install the other once more",
            )
            for path in differing
        ]
    return told


def _told(module: str, providers: list[FoundPlugin]) -> str:
    listed = " and ".join(found.provider for found in providers)
    files = sorted({str(file) for found in providers for file in _files_of(found)})
    return f"{listed} both ship its module {module} ({', '.join(files)}), so only one of them runs"


def _files_of(found: FoundPlugin) -> list[Path]:
    """Return the files of the plugin's module that its distribution installed."""
    folder = folder_of(found.entry_point.dist)
    if folder is None:
        return []
    stem = found.module.replace(".", "/")
    names = (f"{stem}.py", f"{stem}/__init__.py")
    listed = recorded(folder)
    is_ours = listed.__contains__ if listed else lambda name: (folder.parent / name).is_file()
    return [folder.parent / name for name in names if is_ours(name)]
