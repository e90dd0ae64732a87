"""Linux's counts of processes killed because memory ran out."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

_GROUPS: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")
_HOST: Final = Path("/proc/vmstat")


class OomKills(msgspec.Struct, frozen=True):
    """Counters of kills for lack of memory; None if unknown.

    Args:
        host: On the whole machine, since its boot.
        group: In this process's control group, since it was created.
        group_is: An identity that distinguishes the group from a later one of the same name.
    """

    host: int | None = None
    group: int | None = None
    group_is: int = 0


def oom_kills() -> OomKills:
    """Return the current counters."""
    file = _file_of_group()
    if file is None:
        return OomKills(host=_count(_HOST))
    try:
        return OomKills(_count(_HOST), _count(file), file.parent.stat().st_ino)
    except OSError:
        return OomKills(host=_count(_HOST))


def ran_out(before: OomKills, now: OomKills) -> bool:
    """Return whether a process may have been killed for memory between `before` and `now`.

    As long as the control group is the same, only its own counter is used: on a machine with many
    containers, others are killed all the time.
    """
    if before.group is not None and now.group is not None and before.group_is == now.group_is:
        return now.group > before.group
    return before.host is not None and now.host is not None and now.host > before.host


def _file_of_group() -> Path | None:
    try:
        lines = _OWN.read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    for line in lines:
        # `0::/path` in version 2 of control groups, `5:memory:/path` in version 1.
        _, controllers, path = line.split(":", 2)
        for file in _candidates(controllers, path.lstrip("/")):
            if file.is_file():
                return file
    return None


def _candidates(controllers: str, path: str) -> list[Path]:
    if controllers == "":
        return [_GROUPS / path / "memory.events", _GROUPS / "memory.events"]
    if "memory" in controllers.split(","):
        root = _GROUPS / "memory"
        return [root / path / "memory.oom_control", root / "memory.oom_control"]
    return []


def _count(file: Path) -> int | None:
    try:
        lines = file.read_text("ascii", "replace").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
    except (OSError, ValueError, IndexError):
        return None
