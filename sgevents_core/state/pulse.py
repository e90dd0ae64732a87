"""The pulse of a running daemon: its current activity, in a small file replaced every second.

It is only for people and monitoring, so a failed write is ignored; a file that stays old shows that
the daemon no longer makes progress.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.state.own_files import PRIVATE, read_own

FILE: Final = "now.json"
EVERY: Final = 1.0
"""Seconds between two writes."""
STALE: Final = 30.0
"""Seconds after which an old pulse shows that the daemon makes no progress.

Its main thread may have to wait that long for the database.
"""


class RunningCall(msgspec.Struct, frozen=True):
    """A call that has not returned.

    Args:
        lane: The lane that waits for it.
        plugin: The called plugin.
        callback: Its callback.
        event_id: The event's id; 0 if it is not known.
        since: When it was first seen, in seconds since 1970.
    """

    lane: str
    plugin: str
    callback: str
    event_id: int
    since: float


class BlockedLane(msgspec.Struct, frozen=True):
    """A lane that takes in no more events, because too many lie behind one that is not finished.

    Args:
        lane: The lane.
        strand: The strand of that event.
        event_id: The event's id.
        plugin: The plugin whose callback has it; empty if none has at the moment.
        callback: The callback.
    """

    lane: str
    strand: int
    event_id: int
    plugin: str = ""
    callback: str = ""


class Pulse(msgspec.Struct, frozen=True):
    """The current activity of a daemon.

    Args:
        pid: Its process.
        version: The version of sgevents-core.
        started: When it began its work, in seconds since 1970.
        at: When this was written, in seconds since 1970.
        site: Why the site does not answer; None while it does.
        journal: Why nothing can be written to the journal; None while it can.
        calls: The calls that have run for a second or longer.
        hung: Plugins with a call that exceeded its `timeout` and has not returned.
        blocked: The lanes that take in no more events.
    """

    pid: int
    version: str
    started: float
    at: float
    site: LastingFailure | None = None
    journal: LastingFailure | None = None
    calls: tuple[RunningCall, ...] = ()
    hung: tuple[str, ...] = ()
    blocked: tuple[BlockedLane, ...] = ()


def note(folder: Path, pulse: Pulse) -> None:
    """Replace the file; only for the process that holds the state's lock."""
    new = folder / f"{FILE}.new"
    with suppress(OSError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(new, flags, PRIVATE), "wb") as file:
            file.write(msgspec.json.encode(pulse))
        new.replace(folder / FILE)


def forget(folder: Path) -> None:
    """Remove the file, at the end of a run."""
    with suppress(OSError):
        (folder / FILE).unlink(missing_ok=True)


def pulse_of(folder: Path, pid: int | None) -> Pulse | None:
    """Return the pulse of the daemon with this process id; None if it has not written one.

    Args:
        folder: The state's folder.
        pid: The process that holds the state's lock; None if none does.
    """
    with suppress(OSError, msgspec.MsgspecError):
        pulse = msgspec.json.decode(read_own(folder / FILE), type=Pulse)
        if pulse.pid == pid:
            return pulse
    return None
