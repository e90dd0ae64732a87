"""Find modes, owners and links in a state's folder that expose it to other users."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from sgevents_core.printable import one_line
from sgevents_core.settings.file_access import Exposure, find_exposures


def state_exposures(state_folder: Path) -> list[Exposure]:
    """Return the modes, owners and links that expose a state; none if there is no state."""
    return [
        *find_exposures(state_folder, "the state's folder", holds_secret=False),
        *_file_exposures(state_folder),
    ]


def _file_exposures(state_folder: Path) -> Iterator[Exposure]:
    try:
        paths = sorted(state_folder.iterdir())
        is_closed = not state_folder.stat().st_mode & (stat.S_IXOTH | stat.S_IROTH)
    except OSError:
        return
    for path in paths:
        try:
            file_mode = path.lstat().st_mode
        except OSError:
            continue
        quoted_path = one_line(shlex.quote(str(path)))
        file_name = f"{one_line(path.name)} in the state's folder"
        if stat.S_ISLNK(file_mode):
            yield Exposure(f"{file_name} is a symbolic link, and not followed", f"rm {quoted_path}")
        elif file_mode & stat.S_IWOTH:
            yield Exposure(f"every user can change {file_name}", f"chmod o-w {quoted_path}")
        elif file_mode & stat.S_IROTH and not is_closed:
            yield Exposure(f"every user can read {file_name}", f"chmod o-r {quoted_path}")
