"""The record of the plugins that a running daemon has loaded, and of a refused reload.

A small file beside the database, replaced as a whole; it describes a process, not the state, so a
backup does not need it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from sgevents_core.errors import StateError
from sgevents_core.state import lock
from sgevents_core.state.plain_files import PRIVATE_FILE_MODE, read_plain_file

RUNNING_FILE: Final = "running.json"


class Refusal(msgspec.Struct, frozen=True):
    """The last request to reload that was refused.

    Args:
        number: Counts the refusals of a run, from 1.
        reason: Why, for people.
    """

    number: int
    reason: str


class Running(msgspec.Struct, frozen=True):
    """One run of the daemon.

    Args:
        pid: Its process id.
        run: The id of the run; a reload begins a new one in the same process.
        version: The version of sgevents-core.
        plugins: Loaded plugin -> version of its distribution.
        reloads: Whether it reloads when it is sent SIGHUP.
        refusal: The last refused request to reload.
    """

    pid: int
    run: str
    version: str
    plugins: dict[str, str | None]
    reloads: bool = False
    refusal: Refusal | None = None


def write_running_daemon(
    state_folder: Path, running_daemon: Running, previous_descriptor: int | None = None
) -> int:
    """Record the daemon that runs on a state; only for the process that holds the state's lock.

    Args:
        state_folder: The state's folder.
        running_daemon: The running daemon.
        previous_descriptor: The result of the last call, unless this is the first.

    Returns:
        A descriptor of the file, to overwrite it if the disk is full or no descriptors are left.

    Raises:
        StateError: The record cannot be written.
    """
    content = msgspec.json.encode(running_daemon)
    try:
        written_descriptor = _replace_file(state_folder, content)
    except OSError as error:
        if previous_descriptor is not None and _overwrite_file(previous_descriptor, content):
            return previous_descriptor
        reason_text = error.strerror or str(error)
        raise StateError(path=str(state_folder / RUNNING_FILE), reason=reason_text) from None
    if previous_descriptor is not None:
        os.close(previous_descriptor)
    return written_descriptor


def _replace_file(state_folder: Path, content: bytes) -> int:
    new_path = state_folder / f"{RUNNING_FILE}.new"
    with suppress(FileNotFoundError):
        new_path.unlink()
    written_descriptor = os.open(new_path, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE_FILE_MODE)
    try:
        while content:  # if the disk is full, the second write raises
            content = content[os.write(written_descriptor, content) :]
        new_path.replace(state_folder / RUNNING_FILE)
    except OSError:
        os.close(written_descriptor)
        raise
    return written_descriptor


def _overwrite_file(file_descriptor: int, content: bytes) -> bool:
    """Overwrite a file in place; a reader at that moment finds nothing."""
    try:
        os.pwrite(file_descriptor, content, 0)
        os.ftruncate(file_descriptor, len(content))
    except OSError:
        return False
    return True


def is_readable(state_folder: Path) -> bool:
    """Return whether the file, if it exists, can be read."""
    try:
        msgspec.json.decode(read_plain_file(state_folder / RUNNING_FILE), type=Running)
    except FileNotFoundError:
        return True
    except (OSError, msgspec.MsgspecError):
        return False
    return True


def read_running_daemon(state_folder: Path) -> Running | None:
    """Return the daemon's record on a state; None if no daemon has written one."""
    holder_record: Mapping[str, object] = lock.find_holder(state_folder) or {}
    with suppress(OSError, msgspec.MsgspecError):
        daemon_record = msgspec.json.decode(
            read_plain_file(state_folder / RUNNING_FILE), type=Running
        )
        if daemon_record.pid == holder_record.get("pid"):
            return daemon_record
    return None
