"""Linux's counts of processes killed because memory ran out."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

_CONTROL_GROUPS: Final = Path("/sys/fs/cgroup")
_OWN_GROUPS: Final = Path("/proc/self/cgroup")
_MACHINE_COUNTERS: Final = Path("/proc/vmstat")

_KEYS: Final = {"machine_kills": "host", "group_kills": "group", "group_inode": "group_is"}
"""Field -> its key in the evidence that a process leaves."""


class OomKills(msgspec.Struct, frozen=True, rename=_KEYS.get):
    """Counters of kills for lack of memory; None if unknown.

    Args:
        machine_kills: On the whole machine, since its boot.
        group_kills: In this process's control group, since it was created.
        group_inode: An identity that distinguishes the group from a later one of the same name.
    """

    machine_kills: int | None = None
    group_kills: int | None = None
    group_inode: int = 0


def count_oom_kills() -> OomKills:
    """Return the current counters."""
    group_file = _find_group_file()
    if group_file is None:
        return OomKills(machine_kills=_read_count(_MACHINE_COUNTERS))
    try:
        return OomKills(
            _read_count(_MACHINE_COUNTERS), _read_count(group_file), group_file.parent.stat().st_ino
        )
    except OSError:
        return OomKills(machine_kills=_read_count(_MACHINE_COUNTERS))


def ran_out_of_memory(kills_before: OomKills, kills_now: OomKills) -> bool:
    """Return whether a process may have been killed for memory between two counts.

    As long as the control group is the same, only its own counter is used: on a machine with many
    containers, others are killed all the time.
    """
    if (
        kills_before.group_kills is not None
        and kills_now.group_kills is not None
        and kills_before.group_inode == kills_now.group_inode
    ):
        return kills_now.group_kills > kills_before.group_kills
    return (
        kills_before.machine_kills is not None
        and kills_now.machine_kills is not None
        and kills_now.machine_kills > kills_before.machine_kills
    )


def _find_group_file() -> Path | None:
    try:
        lines = _OWN_GROUPS.read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    for line in lines:
        # `0::/path` in version 2 of control groups, `5:memory:/path` in version 1.
        _, controllers, path = line.split(":", 2)
        for file in _candidate_files(controllers, path.lstrip("/")):
            if file.is_file():
                return file
    return None


def _candidate_files(controllers: str, path: str) -> list[Path]:
    if controllers == "":
        return [_CONTROL_GROUPS / path / "memory.events", _CONTROL_GROUPS / "memory.events"]
    if "memory" in controllers.split(","):
        memory_root = _CONTROL_GROUPS / "memory"
        return [memory_root / path / "memory.oom_control", memory_root / "memory.oom_control"]
    return []


def _read_count(file: Path) -> int | None:
    try:
        lines = file.read_text("ascii", "replace").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
    except (OSError, ValueError, IndexError):
        return None
