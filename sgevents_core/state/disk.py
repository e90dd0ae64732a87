"""The kind of disk that holds a folder, which must be local, and whether it can be written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sgevents_core.settings.file_access import user_name

MOUNTS_FILE: Final = Path("/proc/mounts")
NETWORK_FILE_SYSTEMS: Final = (
    *("afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "glusterfs", "gpfs"),
    *("lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs"),
)
"""Types of file systems on which locks and shared memory are unreliable."""


def detect_file_system(folder_path: Path) -> str:
    """Return the type of the file system that holds a folder; empty if it is unknown."""
    try:
        mount_lines = MOUNTS_FILE.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    return file_system_of(folder_path.resolve(), mount_lines)


def not_writable(path: Path) -> str:
    """Return the reason why an existing file or folder cannot be written; empty if it can."""
    by_effective_user = os.access in os.supports_effective_ids
    try:
        if not path.exists() or os.access(path, os.W_OK, effective_ids=by_effective_user):
            return ""
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            return f"{path} is mounted read-only"
        path_status = path.stat()
    except OSError as error:
        return f"{path}: {error.strerror}"
    user_id, owner_id = os.geteuid(), path_status.st_uid
    why = (
        f"its mode is {path_status.st_mode & 0o777:o}"
        if user_id == owner_id
        else f"owner: {user_name(owner_id)}"
    )
    return f"{user_name(user_id)} may not write to {path} ({why})"


def file_system_of(path: Path, mount_lines: Iterable[str]) -> str:
    """Return the type of the file system that holds `path`, from the lines of /proc/mounts."""
    longest_mount_point, file_system_type = "", ""
    for line in mount_lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        mount_point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[1])
        if path.is_relative_to(mount_point) and len(mount_point) >= len(longest_mount_point):
            longest_mount_point, file_system_type = mount_point, fields[2]
    return file_system_type
