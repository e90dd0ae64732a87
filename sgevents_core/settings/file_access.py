"""Check which other users can read or change a file that decides what the daemon runs."""

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

_ROOT_USER_ID: Final = 0


class Exposure(NamedTuple):
    """One way in which other users can access a file, and the command that prevents it."""

    message: str
    fix: str
    reveals_secret: bool = False
    """Whether reading the file does harm, because it holds a secret."""


def find_exposures(path: Path, file_label: str, *, holds_secret: bool) -> Iterator[Exposure]:
    """Yield the ways in which others can change `path`, or read it if it holds a secret.

    Yield nothing for a file that is missing or cannot be examined: reading it reports that.

    Args:
        path: The file, or a folder.
        file_label: What it is, for people: `this file`.
        holds_secret: Whether it holds a secret, so that reading it does harm.
    """
    try:
        file_status, folder_status = path.stat(), path.resolve().parent.stat()
    except OSError:
        return
    quoted_path = one_line(shlex.quote(str(path)))
    if file_status.st_mode & stat.S_IWOTH:
        yield Exposure(f"every user can change {file_label}", f"chmod o-w {quoted_path}")
    elif file_status.st_mode & stat.S_IWGRP and not _is_own_group(file_status):
        group_name = _group_name(file_status.st_gid)
        yield Exposure(
            f"every member of the group {group_name} can change {file_label}",
            f"chmod g-w {quoted_path}",
        )
    if folder_status.st_mode & stat.S_IWOTH and not folder_status.st_mode & stat.S_ISVTX:
        quoted_folder = one_line(shlex.quote(str(path.resolve().parent)))
        yield Exposure(f"every user can replace {file_label}", f"chmod o-w {quoted_folder}")
    if file_status.st_uid not in (_ROOT_USER_ID, os.geteuid()):
        owner_name = user_name(file_status.st_uid)
        yield Exposure(
            f"{file_label} belongs to {owner_name}, who can change it",
            f"chown {user_name(os.geteuid())} {quoted_path}, or run sgevents as {owner_name}",
        )
    if holds_secret and file_status.st_mode & stat.S_IROTH:
        yield Exposure(
            f"every user can read {file_label} and the key in it", f"chmod o-r {quoted_path}", True
        )


def _is_own_group(file_status: os.stat_result) -> bool:
    """Return whether the group is the owner's private group, which many systems create."""
    return _group_name(file_status.st_gid) == user_name(file_status.st_uid)


def user_name(user_id: int) -> str:
    """Return the name of a user; `user 17` for one the system does not know."""
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return f"user {user_id}"


def _group_name(group_id: int) -> str:
    try:
        return grp.getgrgid(group_id).gr_name
    except KeyError:
        return f"{group_id}"
