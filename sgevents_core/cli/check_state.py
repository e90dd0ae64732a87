"""Looks at the state folder: can it be written, is it on a local disk, is there space."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sgevents_core.cli.findings import Finding

_MOUNTS: Final = Path("/proc/mounts")
_NETWORK: Final = (
    *("afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "glusterfs", "gpfs"),
    *("lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs"),
)
_ODD: Final = ("fuse", "9p", "vboxsf", "virtiofs", "davfs")
_IN_MEMORY: Final = ("tmpfs", "ramfs")
_MEGABYTE: Final = 1_000_000
_LEAST: Final = 100 * _MEGABYTE
_COMFORTABLE: Final = 1000 * _MEGABYTE


def state_findings(path: Path) -> list[Finding]:
    """Look at the state folder `path`, which need not exist yet. Leaves nothing behind."""
    if _is_there(path) and not path.is_dir():
        return [_problem(f"{path} is a file", "state.path names a folder")]
    there = _nearest_folder(path)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return [_problem(f"{there} cannot be written: {error.strerror}", _who(there))]
    message = f"{path} can be written" if path == there else f"{path} will be made"
    findings = [Finding("state", "ok", message)]
    findings += _of_file_system(there, _mounts())
    findings += space_findings(there, shutil.disk_usage(there).free)
    return findings


def space_findings(path: Path, free: int) -> list[Finding]:
    """Judge the `free` bytes on the disk of `path`."""
    text = f"{free / _MEGABYTE:,.0f} MB are free"
    if free < _LEAST:
        return [_problem(f"only {text} on the disk of {path}", "make space, or move state.path")]
    if free < _COMFORTABLE:
        fix = "a busy site writes some hundred MB a month; a shorter state.retention needs less"
        return [Finding("state", "warning", text, fix)]
    return [Finding("state", "ok", text)]


def file_system_of(path: Path, mounts: Iterable[str]) -> str:
    """Return the type of the file system that holds `path`, by the lines of /proc/mounts."""
    best, kind = "", ""
    for line in mounts:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[1])
        if path.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def _of_file_system(path: Path, mounts: list[str]) -> list[Finding]:
    kind = file_system_of(path.resolve(), mounts)
    local = "name a folder on a local disk as state.path"
    if kind in _NETWORK:
        return [_problem(f"{path} is on a network file system ({kind})", local)]
    if kind.startswith(_ODD):
        return [Finding("state", "warning", f"{path} may not be a local disk ({kind})", local)]
    if kind in _IN_MEMORY:
        message = f"{path} is in memory ({kind}) and lost when the machine restarts"
        return [Finding("state", "warning", message, local)]
    return [Finding("state", "ok", f"on a local disk ({kind})")] if kind else []


def _mounts() -> list[str]:
    try:
        return _MOUNTS.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []


def _nearest_folder(path: Path) -> Path:
    """Return the folder itself or, where it is not there yet, the one it will be made in."""
    return next(one for one in (path, *path.parents) if _is_there(one))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # it is below a folder that may not be looked into
        return False


def _who(folder: Path) -> str:
    user = os.environ.get("USER") or (f"user {os.getuid()}" if hasattr(os, "getuid") else "you")
    return f"let {user} write to {folder}, or name another state.path"


def _problem(message: str, fix: str) -> Finding:
    return Finding("state", "problem", message, fix)
