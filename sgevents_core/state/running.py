"""The record of what a running daemon has loaded, and of a refused reload.

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
from sgevents_core.state.own_files import PRIVATE, read_own

FILE: Final = "running.json"


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


def note(folder: Path, running: Running, before: int | None = None) -> int:
    """Record what runs on a state; only for the process that holds its lock.

    Args:
        folder: The state's folder.
        running: What runs.
        before: The result of the last call, unless this is the first.

    Returns:
        A descriptor of the file, to overwrite it if the disk is full or no descriptors are left.

    Raises:
        StateError: It cannot be written.
    """
    content = msgspec.json.encode(running)
    try:
        written = _replace(folder, content)
    except OSError as error:
        if before is not None and _written_over(before, content):
            return before
        reason = error.strerror or str(error)
        raise StateError(path=str(folder / FILE), reason=reason) from None
    if before is not None:
        os.close(before)
    return written


def _replace(folder: Path, content: bytes) -> int:
    new = folder / f"{FILE}.new"
    with suppress(FileNotFoundError):
        new.unlink()
    written = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE)
    try:
        while content:  # if the disk is full, the second write raises
            content = content[os.write(written, content) :]
        new.replace(folder / FILE)
    except OSError:
        os.close(written)
        raise
    return written


def _written_over(file: int, content: bytes) -> bool:
    """Overwrite a file in place; a reader at that moment finds nothing."""
    try:
        os.pwrite(file, content, 0)
        os.ftruncate(file, len(content))
    except OSError:
        return False
    return True


def is_readable(folder: Path) -> bool:
    """Return whether the file, if it exists, can be read."""
    try:
        msgspec.json.decode(read_own(folder / FILE), type=Running)
    except FileNotFoundError:
        return True
    except (OSError, msgspec.MsgspecError):
        return False
    return True


def running(folder: Path) -> Running | None:
    """Return what runs on a state; None if nothing does yet."""
    holder: Mapping[str, object] = lock.holder(folder) or {}
    with suppress(OSError, msgspec.MsgspecError):
        running_daemon = msgspec.json.decode(read_own(folder / FILE), type=Running)
        if running_daemon.pid == holder.get("pid"):
            return running_daemon
    return None
