"""Open a state: the only module that knows the kinds of storage and which one a state uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sgevents_core.state.move_record import refuse_elsewhere

if TYPE_CHECKING:
    from sgevents_core.settings import Settings
    from sgevents_core.state.protocols import ServerTrial, State, Storage

_other_homes: Final[dict[Path, State]] = {}
"""The states of this process whose home is not the disk, by folder."""
_shared_folders: Final[set[Path]] = set()
"""The folders of the states among them that several hosts share."""


def open_state(state_folder: Path) -> State:
    """Return the state of a folder, which need not exist. Opens nothing yet.

    Args:
        state_folder: The state's folder.
    """
    if state_folder in _other_homes:
        return _other_homes[state_folder]
    from sgevents_core.state.sqlite.sqlite_state import SqliteState  # only the home in use

    return SqliteState(state_folder)


def use_state(settings: Settings) -> None:
    """Let `open_state` find the state of a configuration, wherever its home is. Opens nothing yet.

    Without it, a folder's state is on this host's disk. A process that was told once keeps to it,
    so that all its threads share one connection to the servers.

    Args:
        settings: The configuration.

    Raises:
        StateElsewhere: The folder's state was moved, or moving it was cut off.
    """
    state_folder = settings.state.path
    refuse_elsewhere(state_folder, is_on_servers=settings.state.url is not None)
    if settings.state.url is None or state_folder in _other_homes:
        return
    from sgevents_core.state.nats import require_client

    require_client(settings.path)
    from sgevents_core.state.nats.nats_state import state_on_servers

    _other_homes[state_folder] = state_on_servers(settings.state, settings.site.url)
    _shared_folders.add(state_folder)


def open_server_trial(settings: Settings) -> ServerTrial | None:
    """Return what tries the servers of a configuration; None if its state is on this host's disk.

    Args:
        settings: The configuration.
    """
    if settings.state.url is None:
        return None
    from sgevents_core.state.nats.server_trial import BrokerTrial  # only where there are servers

    return BrokerTrial(settings)


def is_shared(state_folder: Path) -> bool:
    """Return whether several hosts share the state of a folder; see `use_state`."""
    return state_folder in _shared_folders


def open_disk_state(state_folder: Path) -> State:
    """Return the state of a folder on this host's disk, whatever the configuration says."""
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
    if is_shared(state_folder):
        from sgevents_core.state.nats.storage import CopyStorage  # only the home in use

        return CopyStorage(state_folder)
    from sgevents_core.state.sqlite.storage import SqliteStorage  # only the home in use

    return SqliteStorage(state_folder)
