"""Check the state folder: whether it can be written, is on a local disk and has space."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from sgevents_core.cli.findings import Finding, state_problem
from sgevents_core.errors import StateError
from sgevents_core.reading.daemon_standing import daemon_process
from sgevents_core.state.disk import NETWORK_FILE_SYSTEMS, detect_file_system, not_writable
from sgevents_core.state.exposures import state_exposures
from sgevents_core.state.lock import LOCK_FILE, find_holder
from sgevents_core.state.opening import open_storage
from sgevents_core.state.pulse import read_pulse

_UNCERTAIN_FILE_SYSTEMS: Final = ("fuse", "9p", "vboxsf", "virtiofs", "davfs")
_MEMORY_FILE_SYSTEMS: Final = ("tmpfs", "ramfs")
_MEGABYTE: Final = 1_000_000
_MINIMUM_SPACE: Final = 100 * _MEGABYTE
_COMFORTABLE_SPACE: Final = 1000 * _MEGABYTE


def state_findings(state_folder: Path) -> list[Finding]:
    """Check the state folder `state_folder`, which need not exist yet. Leave nothing behind."""
    if _exists(state_folder) and not state_folder.is_dir():
        return [state_problem(f"{state_folder} is a file", "state.path names a folder")]
    folder = nearest_folder(state_folder)
    trouble = trouble_in(folder)
    if trouble:
        return [state_problem(f"{folder} cannot be written: {trouble}", _permission_fix(folder))]
    message = (
        f"{state_folder} can be written"
        if state_folder == folder
        else f"{state_folder} will be made"
    )
    findings = [Finding("state", "ok", message)]
    findings += [
        state_problem(why, _permission_fix(state_folder))
        for why in _unwritable_reasons(state_folder)
    ]
    findings += [
        Finding("state", "warning", exposure.message, exposure.fix)
        for exposure in state_exposures(state_folder)
    ]
    findings += _file_system_findings(folder)
    findings += space_findings(folder, shutil.disk_usage(folder).free)
    return findings


def running_findings(state_folder: Path) -> list[Finding]:
    """Return why the daemon that runs on a state cannot write to it, if it cannot."""
    process_id = daemon_process(find_holder(state_folder) or {})
    daemon_pulse = read_pulse(state_folder, process_id)
    trouble = daemon_pulse.journal if daemon_pulse else None
    if trouble is None:
        return []
    message = f"the running daemon cannot write to it: {trouble.error}"
    return [state_problem(message, trouble.fix or StateError.fix)]


def _unwritable_reasons(folder: Path) -> list[str]:
    """Return the files that a start would fail to open for writing, and why."""
    state_files = (LOCK_FILE, *open_storage(folder).files)
    return [why for name in state_files if (why := not_writable(folder / name))]


def space_findings(folder: Path, free_bytes: int) -> list[Finding]:
    """Judge the `free_bytes` bytes on the disk of `folder`."""
    space_text = f"{free_bytes / _MEGABYTE:,.0f} MB are free"
    if free_bytes < _MINIMUM_SPACE:
        fix = "make space, or move state.path"
        return [state_problem(f"only {space_text} on the disk of {folder}", fix)]
    if free_bytes < _COMFORTABLE_SPACE:
        fix = "a busy site writes some hundred MB a month; a shorter state.retention needs less"
        return [Finding("state", "warning", space_text, fix)]
    return [Finding("state", "ok", space_text)]


def _file_system_findings(folder: Path) -> list[Finding]:
    system_type = detect_file_system(folder)
    disk_fix = "name a folder on a local disk as state.path"
    if system_type in NETWORK_FILE_SYSTEMS:
        return [state_problem(f"{folder} is on a network file system ({system_type})", disk_fix)]
    if system_type.startswith(_UNCERTAIN_FILE_SYSTEMS):
        return [
            Finding(
                "state",
                "warning",
                f"{folder} may not be a local disk ({system_type})",
                disk_fix,
            )
        ]
    if system_type in _MEMORY_FILE_SYSTEMS:
        message = f"{folder} is in memory ({system_type}) and lost when the machine restarts"
        return [Finding("state", "warning", message, disk_fix)]
    return [Finding("state", "ok", f"on a local disk ({system_type})")] if system_type else []


def trouble_in(folder: Path) -> str:
    """Return why no file can be created in a folder; empty if one can."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def nearest_folder(folder: Path) -> Path:
    """Return the folder or, if it does not exist yet, the one it will be created in."""
    return next(candidate for candidate in (folder, *folder.parents) if _exists(candidate))


def _exists(folder: Path) -> bool:
    try:
        return folder.exists()
    except OSError:  # the folder is inside one that this user cannot access
        return False


def _permission_fix(folder: Path) -> str:
    user_name = os.environ.get("USER") or (
        f"user {os.getuid()}" if hasattr(os, "getuid") else "you"
    )
    return f"let {user_name} write to {folder}, or name another state.path"
