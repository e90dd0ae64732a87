"""What the daemon that holds a state has loaded, and what became of requests to reload.

A small file beside the database, replaced as a whole; it speaks of a process, not of the state, so
a backup needs none of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from sgevents_core.errors import StateError
from sgevents_core.journal import lock
from sgevents_core.journal.database import PRIVATE

FILE: Final = "running.json"


class Refusal(msgspec.Struct, frozen=True):
    """The last request to reload that came to nothing.

    Args:
        number: Counts the refusals of a run, from 1.
        reason: Why, for people.
    """

    number: int
    reason: str


class Running(msgspec.Struct, frozen=True):
    """One run of the daemon.

    Args:
        pid: Its process.
        run: Names the run; a reload makes a new one in the same process.
        version: The version of sgevents-core.
        plugins: The plugins it has loaded -> the version of their distribution.
        reloads: Whether it reloads when it is sent SIGHUP.
        refusal: The last request to reload that came to nothing.
    """

    pid: int
    run: str
    version: str
    plugins: dict[str, str | None]
    reloads: bool = False
    refusal: Refusal | None = None


def note(folder: Path, running: Running) -> None:
    """Write down what runs on a state; called by the process that holds its lock.

    Raises:
        StateError: It cannot be written.
    """
    new = folder / f"{FILE}.new"
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "wb") as file:
            file.write(msgspec.json.encode(running))
        new.replace(folder / FILE)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StateError(path=str(folder / FILE), reason=reason) from None


def running(folder: Path) -> Running | None:
    """Return what runs on a state; None if nothing does, or it has not come that far."""
    holder: Mapping[str, object] = lock.holder(folder) or {}
    with suppress(OSError, msgspec.MsgspecError):
        found = msgspec.json.decode((folder / FILE).read_bytes(), type=Running)
        if found.pid == holder.get("pid"):
            return found
    return None
