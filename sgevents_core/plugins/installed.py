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

_PIPS: Final = "~"
"""The first character of a folder's name that pip has moved aside to remove it."""
_KINDS: Final = (".dist-info", ".egg-info")
_MOST_COMPARED: Final = 50
_OLDEST: Final = Version("0.dev0")


class Remark(NamedTuple):
    """Something among the packages that should not be there.

    Args:
        text: What it is, for people.
        fix: How to fix it.
    """

    text: str
    fix: str


class InstallPlace:
    """The distributions on the path, as far as their metadata are in its folders."""

    def __init__(self) -> None:
        self._rivals: dict[Path, dict[str, list[Path]]] = {}

    def name_of(self, distribution: Any) -> str:
        """Return the normalised name that all versions of a distribution share."""
        folder = folder_of(distribution)
        return plain_name(folder) if folder else canonicalize_name(str(distribution.name))

    def instead_of(self, folder: Path) -> Path | None:
        """Return the folder that describes what is installed, among those of the same distribution.

        Return None if none of them does.
        """
        rivals = self._beside(folder).get(plain_name(folder), [folder])
        candidates = [one for one in rivals if not one.name.startswith(_PIPS)]
        if len(candidates) > 1:
            return max(candidates, key=_likeness)
        return candidates[0] if candidates else None

    def _beside(self, folder: Path) -> dict[str, list[Path]]:
        """Return the metadata folders beside this one, by normalised distribution name."""
        if folder.parent not in self._rivals:
            found: dict[str, list[Path]] = {}
            for other in sorted(folder.parent.iterdir()):
                if other.suffix in _KINDS and other.is_dir():
                    found.setdefault(plain_name(other), []).append(other)
            self._rivals[folder.parent] = found
        return self._rivals[folder.parent]


def folder_of(distribution: object) -> Path | None:
    """Return the folder of a distribution's metadata; None if it has no folder of its own."""
    path = getattr(distribution, "_path", None)
    is_own = isinstance(path, Path) and path.suffix in _KINDS and path.is_dir()
    return path if is_own else None


def left_over(folder: Path, installed: Path | None) -> Remark:
    """Return the remark that a folder belongs to nothing that is installed."""
    what = f"installed is {_version_of(installed)}" if installed else "which is not installed"
    return Remark(f"{folder} is left over from {_name_of(folder)}, {what}", "remove that folder")


def plain_name(folder: Path) -> str:
    """Return the normalised name of a distribution, from its folder's name.

    pip cuts off the beginning of a folder's name when it moves it aside; then the metadata are
    read.
    """
    if folder.name.startswith(_PIPS):
        return canonicalize_name(_name_of(folder))
    return canonicalize_name(folder.stem.partition("-")[0])


def recorded(folder: Path) -> dict[str, str]:
    """Return path -> hash of the files installed with a distribution, as far as recorded."""
    with suppress(OSError, csv.Error):
        text = (folder / "RECORD").read_text("utf-8", "replace")
        rows = [row for row in csv.reader(text.splitlines()) if row]
        return {row[0]: row[1] if len(row) > 1 else "" for row in rows}
    return {}


def _name_of(folder: Path) -> str:
    """Return the name in a folder's metadata, or the folder's own name."""
    return _header(folder, "name") or folder.stem.partition("-")[0]


def _version_of(folder: Path) -> str:
    return _header(folder, "version") or folder.stem.partition("-")[2]


def _header(folder: Path, header: str) -> str:
    for name in ("METADATA", "PKG-INFO"):
        with suppress(OSError):
            for line in (folder / name).read_text("utf-8", "replace").splitlines():
                key, colon, value = line.partition(":")
                if not line.strip():
                    break
                if colon and key.strip().lower() == header:
                    return value.strip()
    return ""


def _likeness(folder: Path) -> tuple[bool, float, Version, float]:
    """Return a sort key for how well a folder fits what is installed."""
    complete = bool(_header(folder, "name"))
    try:
        version = Version(_version_of(folder))
    except InvalidVersion:
        version = _OLDEST
    return complete, _share_that_fits(folder), version, folder.stat().st_mtime


def _share_that_fits(folder: Path) -> float:
    """Return the share of the modules in its RECORD that exist unchanged."""
    modules = [one for one in recorded(folder).items() if one[0].endswith(".py")]
    fits = [_fits(folder.parent / path, hashed) for path, hashed in modules[:_MOST_COMPARED]]
    return sum(fits) / len(fits) if fits else 0.0


def _fits(file: Path, hashed: str) -> bool:
    """Return whether a file has the hash in RECORD: `sha256=...`."""
    try:
        content = file.read_bytes()
    except (OSError, ValueError):
        return False
    kind, _, wanted = hashed.partition("=")
    if kind != "sha256":
        return True
    with suppress(ValueError):
        return hashlib.sha256(content).digest() == urlsafe_b64decode(f"{wanted}==")
    return False
