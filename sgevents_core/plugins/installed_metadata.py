"""The metadata folders on the path, sorted into installed distributions and leftovers.

An interrupted upgrade or removal leaves folders behind: `~tudio_status-1.0.dist-info`, or the
folder of an older version beside the newer one. All of them claim the same plugins.
"""

from __future__ import annotations

import csv
import hashlib
from base64 import urlsafe_b64decode
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

_PIP_ASIDE_PREFIX: Final = "~"
"""The first character of a folder's name that pip has moved aside to remove it."""
_METADATA_SUFFIXES: Final = (".dist-info", ".egg-info")
_MAX_COMPARED: Final = 50
_OLDEST_VERSION: Final = Version("0.dev0")


class InstallRemark(NamedTuple):
    """A leftover folder in site-packages that should not be there.

    Args:
        text: A description of the folder, for people.
        fix: How to fix it.
    """

    text: str
    fix: str


class InstalledMetadata:
    """The distributions on the path, as far as their metadata are in its folders."""

    def __init__(self) -> None:
        self._rival_folders: dict[Path, dict[str, list[Path]]] = {}

    def name_of(self, distribution: Any) -> str:
        """Return the normalised name that all versions of a distribution share."""
        folder = folder_of(distribution)
        return plain_name(folder) if folder else canonicalize_name(str(distribution.name))

    def installed_folder(self, folder: Path) -> Path | None:
        """Return the folder that describes the installed version, among those of one distribution.

        Return None if none matches.
        """
        folders = self._sibling_folders(folder).get(plain_name(folder), [folder])
        candidates = [
            candidate for candidate in folders if not candidate.name.startswith(_PIP_ASIDE_PREFIX)
        ]
        if len(candidates) > 1:
            return max(candidates, key=_match_quality)
        return candidates[0] if candidates else None

    def _sibling_folders(self, folder: Path) -> dict[str, list[Path]]:
        """Return the metadata folders beside this one, by normalised distribution name."""
        if folder.parent not in self._rival_folders:
            folders_by_name: dict[str, list[Path]] = {}
            for sibling in sorted(folder.parent.iterdir()):
                if sibling.suffix in _METADATA_SUFFIXES and sibling.is_dir():
                    folders_by_name.setdefault(plain_name(sibling), []).append(sibling)
            self._rival_folders[folder.parent] = folders_by_name
        return self._rival_folders[folder.parent]


def folder_of(distribution: object) -> Path | None:
    """Return the folder of a distribution's metadata; None if it has no folder of its own."""
    path = getattr(distribution, "_path", None)
    is_metadata_folder = (
        isinstance(path, Path) and path.suffix in _METADATA_SUFFIXES and path.is_dir()
    )
    return path if is_metadata_folder else None


def leftover_remark(folder: Path, installed: Path | None) -> InstallRemark:
    """Return the remark that a folder does not belong to any installed distribution."""
    version = f"installed is {_version_of(installed)}" if installed else "which is not installed"
    return InstallRemark(
        f"{folder} is left over from {_name_of(folder)}, {version}", "remove that folder"
    )


def plain_name(folder: Path) -> str:
    """Return the normalised name of a distribution, from its folder's name.

    pip cuts off the beginning of a folder's name when it moves it aside; then the metadata are
    read.
    """
    if folder.name.startswith(_PIP_ASIDE_PREFIX):
        return canonicalize_name(_name_of(folder))
    return canonicalize_name(folder.stem.partition("-")[0])


def recorded_files(folder: Path) -> dict[str, str]:
    """Return path -> hash of the files installed with a distribution, as far as recorded."""
    with suppress(OSError, csv.Error):
        record_text = (folder / "RECORD").read_text("utf-8", "replace")
        rows = [row for row in csv.reader(record_text.splitlines()) if row]
        return {record_row[0]: record_row[1] if len(record_row) > 1 else "" for record_row in rows}
    return {}


def _name_of(folder: Path) -> str:
    """Return the name in a folder's metadata, or the folder's own name."""
    return _header(folder, "name") or folder.stem.partition("-")[0]


def _version_of(folder: Path) -> str:
    return _header(folder, "version") or folder.stem.partition("-")[2]


def _header(folder: Path, wanted_header: str) -> str:
    for file_name in ("METADATA", "PKG-INFO"):
        with suppress(OSError):
            for header_line in (folder / file_name).read_text("utf-8", "replace").splitlines():
                header_name, separator, value = header_line.partition(":")
                if not header_line.strip():
                    break
                if separator and header_name.strip().lower() == wanted_header:
                    return value.strip()
    return ""


def _match_quality(folder: Path) -> tuple[bool, float, Version, float]:
    """Return a sort key for how well a folder fits the installed files."""
    has_name = bool(_header(folder, "name"))
    try:
        version = Version(_version_of(folder))
    except InvalidVersion:
        version = _OLDEST_VERSION
    return has_name, _matching_share(folder), version, folder.stat().st_mtime


def _matching_share(folder: Path) -> float:
    """Return the share of the modules in its RECORD that exist unchanged."""
    recorded_modules = [file for file in recorded_files(folder).items() if file[0].endswith(".py")]
    fit_results = [
        _matches_hash(folder.parent / module_path, recorded_hash)
        for module_path, recorded_hash in recorded_modules[:_MAX_COMPARED]
    ]
    return sum(fit_results) / len(fit_results) if fit_results else 0.0


def _matches_hash(module_file: Path, recorded_hash: str) -> bool:
    """Return whether a file has the hash in RECORD: `sha256=...`."""
    try:
        file_content = module_file.read_bytes()
    except (OSError, ValueError):
        return False
    hash_kind, _, expected_digest = recorded_hash.partition("=")
    if hash_kind != "sha256":
        return True
    with suppress(ValueError):
        return hashlib.sha256(file_content).digest() == urlsafe_b64decode(f"{expected_digest}==")
    return False
