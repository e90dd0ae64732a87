"""Opening a state: the only place that knows which homes there are, and which one a state has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sgevents_core.state.protocols import State, Storage


def open_state(folder: Path) -> State:
    """Return the state of a folder. It need not exist, and nothing is opened yet.

    Args:
        folder: The state's folder.
    """
    from sgevents_core.state.sqlite.sqlite_state import SqliteState  # only the home in use

    return SqliteState(folder)


def open_storage(folder: Path) -> Storage:
    """Return what the state of a folder keeps on this host's disk; nothing is opened yet.

    Args:
        folder: The state's folder.
    """
    from sgevents_core.state.sqlite.storage import SqliteStorage  # only the home in use

    return SqliteStorage(folder)
