"""Who else may read or change a file that decides what the daemon runs, and as whom."""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from sgevents_core.printable import one_line

_ROOT: Final = 0


class Exposure(NamedTuple):
    """One way in which somebody else gets at a file: what it is, and what closes it."""

    message: str
    fix: str
    reads: bool = False
    """Whether it is reading that does the harm, because of a secret."""


def exposures(path: Path, what: str, *, secret: bool) -> Iterator[Exposure]:
    """Yield what lets others change `path`, or read it where it holds a secret.

    A file that is missing, or that cannot be examined, has none: reading it reports that.

    Args:
        path: The file, or a folder.
        what: What it is, for people: `this file`.
        secret: Whether it holds a secret, so that reading it does harm.
    """
    try:
        status, folder = path.stat(), path.resolve().parent.stat()
    except OSError:
        return
    named = one_line(shlex.quote(str(path)))
    if status.st_mode & stat.S_IWOTH:
        yield Exposure(f"every user can change {what}", f"chmod o-w {named}")
    elif status.st_mode & stat.S_IWGRP and not _is_own_group(status):
        group = _group(status.st_gid)
        yield Exposure(f"every member of the group {group} can change {what}", f"chmod g-w {named}")
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        place = one_line(shlex.quote(str(path.resolve().parent)))
        yield Exposure(f"every user can replace {what}", f"chmod o-w {place}")
    if status.st_uid not in (_ROOT, os.geteuid()):
        owner = user_name(status.st_uid)
        yield Exposure(
            f"{what} belongs to {owner}, who can change it",
            f"chown {user_name(os.geteuid())} {named}, or run sgevents as {owner}",
        )
    if secret and status.st_mode & stat.S_IROTH:
        yield Exposure(f"every user can read {what} and the key in it", f"chmod o-r {named}", True)


def _is_own_group(status: os.stat_result) -> bool:
    """Whether the group is the owner's alone, as many systems make one for each user."""
    return _group(status.st_gid) == user_name(status.st_uid)


def user_name(number: int) -> str:
    """Return the name of a user; `user 17` for one the system does not know."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return f"{number}"
