"""The pulse of a running daemon: its current activity, in a small file replaced every second.

The pulse is only for people and monitoring, so a failed write is ignored; a file that is no longer
replaced shows that the daemon has stopped making progress.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.state.plain_files import PRIVATE_FILE_MODE, read_plain_file

PULSE_FILE: Final = "now.json"
PULSE_INTERVAL: Final = 1.0
"""Seconds between two writes."""
STALE_AFTER: Final = 30.0
"""Seconds after which an old pulse shows that the daemon makes no progress.

Its main thread may have to wait that long for the database.
"""


class RunningCall(msgspec.Struct, frozen=True):
    """A call that has not returned.

    Args:
        lane: The lane that waits for it.
        plugin: The called plugin.
        callback: The called callback.
        event_id: The event's id; 0 if it is not known.
        since: When it was first seen, in seconds since 1970.
    """

    lane: str
    plugin: str
    callback: str
    event_id: int
    since: float


class BlockedLane(msgspec.Struct, frozen=True):
    """A lane that takes in no more events because too many wait behind an unfinished one.

    Args:
        lane: The lane.
        strand: The strand of that event.
        event_id: The event's id.
        plugin: The plugin whose callback is handling the event; empty if none is at the moment.
        callback: The callback.
    """

    lane: str
    strand: int
    event_id: int
    plugin: str = ""
    callback: str = ""


WorkerState: TypeAlias = Literal["idle", "calling", "starting", "not running"]


class RunningWorker(msgspec.Struct, frozen=True, omit_defaults=True):
    """A worker process of a lane.

    Args:
        number: The worker's number in the lane, from 1.
        state: What it does.
        pid: The process id; None while it has no process.
        memory: The memory that the process holds, in bytes; 0 if that is not known.
        restarts: How often its process was replaced.
        call: The call that it makes; None if it makes none.
        trouble: Why its process cannot be started; empty if it can.
    """

    number: int
    state: WorkerState
    pid: int | None = None
    memory: int = 0
    restarts: int = 0
    call: RunningCall | None = None
    trouble: str = ""


class ProcessLane(msgspec.Struct, frozen=True, omit_defaults=True):
    """A lane with worker processes.

    Args:
        lane: The lane.
        workers: Its workers.
        trouble: Why its plugins could not be loaded, so that it waits; empty if they were.
        retry_at: When they are loaded again, in seconds since 1970; 0 if they were.
    """

    lane: str
    workers: tuple[RunningWorker, ...]
    trouble: str = ""
    retry_at: float = 0.0


class SlowPlugin(msgspec.Struct, frozen=True):
    """A plugin that is called more slowly, because its calls keep ending worker processes.

    Args:
        lane: Its lane.
        plugin: The plugin.
        ended_workers: How many processes its calls have ended lately.
        retry_at: When it may be called again, in seconds since 1970.
    """

    lane: str
    plugin: str
    ended_workers: int
    retry_at: float


class Pulse(msgspec.Struct, frozen=True):
    """The current activity of a daemon.

    Args:
        pid: The daemon's process id.
        version: The version of sgevents-core.
        started: When it began its work, in seconds since 1970.
        at: When this was written, in seconds since 1970.
        site: Why the site does not answer; None while it does.
        journal: Why nothing can be written to the journal; None while it can.
        calls: The calls that have run for a second or longer.
        hung: Plugins with a call that exceeded its `timeout` and has not returned.
        blocked: The lanes that take in no more events.
        process_lanes: The lanes with worker processes.
        slow: The plugins that are called more slowly.
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
    process_lanes: tuple[ProcessLane, ...] = ()
    slow: tuple[SlowPlugin, ...] = ()


def write_pulse(state_folder: Path, daemon_pulse: Pulse) -> None:
    """Replace the pulse's file; only for the process that holds the state's lock."""
    new_path = state_folder / f"{PULSE_FILE}.new"
    with suppress(OSError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(new_path, flags, PRIVATE_FILE_MODE), "wb") as file:
            file.write(msgspec.json.encode(daemon_pulse))
        new_path.replace(state_folder / PULSE_FILE)


def remove_pulse(state_folder: Path) -> None:
    """Remove the pulse's file, at the end of a run."""
    with suppress(OSError):
        (state_folder / PULSE_FILE).unlink(missing_ok=True)


def read_last_pulse(state_folder: Path) -> Pulse | None:
    """Return the pulse of a daemon that did not remove it at its end; None if there is none.

    Only for the process that holds the state's lock, before it writes its own.
    """
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(read_plain_file(state_folder / PULSE_FILE), type=Pulse)
    return None


def read_pulse(state_folder: Path, daemon_pid: int | None) -> Pulse | None:
    """Return the pulse of the daemon with this process id; None if it has not written one.

    Args:
        state_folder: The state's folder.
        daemon_pid: The process that holds the state's lock; None if none does.
    """
    with suppress(OSError, msgspec.MsgspecError):
        daemon_pulse = msgspec.json.decode(read_plain_file(state_folder / PULSE_FILE), type=Pulse)
        if daemon_pulse.pid == daemon_pid:
            return daemon_pulse
    return None
