"""Checking the state folder: whether it can be written, is on a local disk and has space."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from sgevents_core.cli.findings import Finding, state_problem
from sgevents_core.state.disk import NETWORK, file_system, not_writable
from sgevents_core.state.lock import LOCK
from sgevents_core.state.opening import open_storage
from sgevents_core.state.openness import state_exposures

_ODD: Final = ("fuse", "9p", "vboxsf", "virtiofs", "davfs")
_IN_MEMORY: Final = ("tmpfs", "ramfs")
_MEGABYTE: Final = 1_000_000
_LEAST: Final = 100 * _MEGABYTE
_COMFORTABLE: Final = 1000 * _MEGABYTE


def state_findings(path: Path) -> list[Finding]:
    """Check the state folder `path`, which need not exist yet. Leave nothing behind."""
    if _is_there(path) and not path.is_dir():
        return [state_problem(f"{path} is a file", "state.path names a folder")]
    there = nearest_folder(path)
    trouble = trouble_in(there)
    if trouble:
        return [state_problem(f"{there} cannot be written: {trouble}", _who(there))]
    message = f"{path} can be written" if path == there else f"{path} will be made"
    findings = [Finding("state", "ok", message)]
    findings += [state_problem(why, _who(path)) for why in _not_writable(path)]
    findings += [Finding("state", "warning", one.message, one.fix) for one in state_exposures(path)]
    findings += _of_file_system(there)
    findings += space_findings(there, shutil.disk_usage(there).free)
    return findings


def _not_writable(folder: Path) -> list[str]:
    """Return which of the files that a start opens cannot be written, and why."""
    files = (LOCK, *open_storage(folder).files)
    return [why for name in files if (why := not_writable(folder / name))]


def space_findings(path: Path, free: int) -> list[Finding]:
    """Judge the `free` bytes on the disk of `path`."""
    text = f"{free / _MEGABYTE:,.0f} MB are free"
    if free < _LEAST:
        fix = "make space, or move state.path"
        return [state_problem(f"only {text} on the disk of {path}", fix)]
    if free < _COMFORTABLE:
        fix = "a busy site writes some hundred MB a month; a shorter state.retention needs less"
        return [Finding("state", "warning", text, fix)]
    return [Finding("state", "ok", text)]


def _of_file_system(path: Path) -> list[Finding]:
    kind = file_system(path)
    local = "name a folder on a local disk as state.path"
    if kind in NETWORK:
        return [state_problem(f"{path} is on a network file system ({kind})", local)]
    if kind.startswith(_ODD):
        return [Finding("state", "warning", f"{path} may not be a local disk ({kind})", local)]
    if kind in _IN_MEMORY:
        message = f"{path} is in memory ({kind}) and lost when the machine restarts"
        return [Finding("state", "warning", message, local)]
    return [Finding("state", "ok", f"on a local disk ({kind})")] if kind else []


def trouble_in(folder: Path) -> str:
    """Return why no file can be created in a folder; empty if one can."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def nearest_folder(path: Path) -> Path:
    """Return the folder or, if it does not exist yet, the one it will be created in."""
    return next(one for one in (path, *path.parents) if _is_there(one))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # it is inside a folder without access
        return False


def _who(folder: Path) -> str:
    user = os.environ.get("USER") or (f"user {os.getuid()}" if hasattr(os, "getuid") else "you")
    return f"let {user} write to {folder}, or name another state.path"
