"""Which of the metadata folders that lie about belong to what is installed.

An upgrade or a removal that broke off leaves folders behind: `~tudio_status-1.0.dist-info`, or the
folder of an older version beside that of the newer. All of them claim the same plugins.
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
"""How the name of a folder begins that pip has put aside to remove it."""
_KINDS: Final = (".dist-info", ".egg-info")
_MOST_COMPARED: Final = 50
_OLDEST: Final = Version("0.dev0")


class Remark(NamedTuple):
    """Something that lies about among the packages and should not.

    Args:
        text: What it is, for people.
        fix: What helps.
    """

    text: str
    fix: str


class InstallPlace:
    """The distributions in the folders of the path, as far as their metadata lie there."""

    def __init__(self) -> None:
        self._rivals: dict[Path, dict[str, list[Path]]] = {}

    def name_of(self, distribution: Any) -> str:
        """Return the name that a distribution shares with its other versions."""
        folder = folder_of(distribution)
        return plain_name(folder) if folder else canonicalize_name(str(distribution.name))

    def instead_of(self, folder: Path) -> Path | None:
        """Return which folder tells of what is installed, of those that tell of the same as this.

        None if none of them does.
        """
        rivals = self._beside(folder).get(plain_name(folder), [folder])
        candidates = [one for one in rivals if not one.name.startswith(_PIPS)]
        if len(candidates) > 1:
            return max(candidates, key=_likeness)
        return candidates[0] if candidates else None

    def _beside(self, folder: Path) -> dict[str, list[Path]]:
        """Return the folders of metadata in the same place, by the plain name of what they tell."""
        if folder.parent not in self._rivals:
            found: dict[str, list[Path]] = {}
            for other in sorted(folder.parent.iterdir()):
                if other.suffix in _KINDS and other.is_dir():
                    found.setdefault(plain_name(other), []).append(other)
            self._rivals[folder.parent] = found
        return self._rivals[folder.parent]


def folder_of(distribution: object) -> Path | None:
    """Return the folder of a distribution's metadata; None if it has none of its own."""
    path = getattr(distribution, "_path", None)
    is_own = isinstance(path, Path) and path.suffix in _KINDS and path.is_dir()
    return path if is_own else None


def left_over(folder: Path, installed: Path | None) -> Remark:
    """Return that a folder belongs to nothing that is installed."""
    what = f"installed is {_version_of(installed)}" if installed else "which is not installed"
    return Remark(f"{folder} is left over from {_name_of(folder)}, {what}", "remove that folder")


def plain_name(folder: Path) -> str:
    """Return the name of a distribution as all ways to write it come to, from its folder's name.

    pip cuts a folder's name from the left when it puts it aside; then the metadata are asked.
    """
    if folder.name.startswith(_PIPS):
        return canonicalize_name(_name_of(folder))
    return canonicalize_name(folder.stem.partition("-")[0])


def recorded(folder: Path) -> dict[str, str]:
    """Return path -> hash of the files that were installed with a distribution, as far as told."""
    with suppress(OSError, csv.Error):
        text = (folder / "RECORD").read_text("utf-8", "replace")
        rows = [row for row in csv.reader(text.splitlines()) if row]
        return {row[0]: row[1] if len(row) > 1 else "" for row in rows}
    return {}


def _name_of(folder: Path) -> str:
    """Return the name that a folder's metadata has, else that of the folder."""
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
    """Return how well a folder fits what is installed, to be compared with others."""
    complete = bool(_header(folder, "name"))
    try:
        version = Version(_version_of(folder))
    except InvalidVersion:
        version = _OLDEST
    return complete, _share_that_fits(folder), version, folder.stat().st_mtime


def _share_that_fits(folder: Path) -> float:
    """Return which share of the modules in its RECORD are there as it has them."""
    modules = [one for one in recorded(folder).items() if one[0].endswith(".py")]
    fits = [_fits(folder.parent / path, hashed) for path, hashed in modules[:_MOST_COMPARED]]
    return sum(fits) / len(fits) if fits else 0.0


def _fits(file: Path, hashed: str) -> bool:
    """Whether a file is as RECORD says: `sha256=...`."""
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
