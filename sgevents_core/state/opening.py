"""Open a state: the only module that knows the kinds of storage and which one a state uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sgevents_core.state.protocols import State, Storage

_other_homes: Final[dict[Path, State]] = {}
"""The states of this process whose home is not the disk, by folder."""


def open_state(state_folder: Path) -> State:
    """Return the state of a folder, which need not exist. Opens nothing yet.

    Args:
        state_folder: The state's folder.
    """
    if state_folder in _other_homes:
        return _other_homes[state_folder]
    from sgevents_core.state.sqlite.sqlite_state import SqliteState  # only the home in use

    return SqliteState(state_folder)


@contextmanager
def kept_in_memory(state_folder: Path) -> Iterator[State]:
    """Keep the state of a folder in this process's memory while the block lasts.

    Args:
        state_folder: The state's folder, for the files that are not part of the state, such as the
            registers.
    """
    from sgevents_core.state.memory.memory_state import MemoryState  # only the home in use

    with kept_open(MemoryState(state_folder)) as state:
        yield state


@contextmanager
def kept_open(state: State) -> Iterator[State]:
    """Let `open_state` return a state for its folder while the block lasts."""
    _other_homes[state.folder] = state
    try:
        yield state
    finally:
        del _other_homes[state.folder]


def open_storage(state_folder: Path) -> Storage:
    """Return the storage of a folder's state on this host's disk. Opens nothing yet.

    Args:
        state_folder: The state's folder.
    """
    from sgevents_core.state.sqlite.storage import SqliteStorage  # only the home in use

    return SqliteStorage(state_folder)
