"""What a daemon is to work at, from its state and its configuration."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Collection
from functools import partial

from sgevents_core.errors import StateError
from sgevents_core.hosts.host_files import HostFiles, digest_tables
from sgevents_core.hosts.leased_work import LeasedWork
from sgevents_core.hosts.leases import HOME_FILE, HolderNote, read_home_id
from sgevents_core.hosts.rolling import RollingReload
from sgevents_core.hosts.spread import PresentHost
from sgevents_core.hosts.work import Everything, Work
from sgevents_core.settings import Settings
from sgevents_core.settings.state_settings import HostSettings
from sgevents_core.state.protocols import State


def open_work(
    state: State, settings: Settings, lane_names: Collection[str], files: HostFiles
) -> Work:
    """Return what this process is to work at; it has the lock of the state's folder.

    Args:
        state: The state.
        settings: The configuration.
        lane_names: All lanes.
        files: What this host runs.

    Raises:
        HostNameTaken: Another host of this name is there.
        StateError: The state's folder cannot be written.
    """
    leases, notes = state.leases(), state.host_notes()
    if leases is None or notes is None:
        return Everything(lane_names)
    try:
        home_id = read_home_id(settings.state.path)
    except OSError as error:
        path = str(settings.state.path / HOME_FILE)
        raise StateError(path=path, reason=error.strerror or str(error)) from None
    host_name = host_name_of(settings)
    note = HolderNote(
        host_name,
        home_id,
        secrets.token_hex(8),
        time.time(),
        files.version(),
        tables=digest_tables(settings),
    )
    rolling = RollingReload(notes, host_name, files)
    work = LeasedWork(leases, note, lane_names, partial(describe_host, settings), rolling)
    work.start()
    return work


def host_name_of(settings: Settings) -> str:
    """Return the name of this host among those that share a state."""
    return settings.state.host or socket.gethostname()


def shared_host_name(settings: Settings) -> str | None:
    """Return the name of this host; None if its state is on its own disk."""
    return None if settings.state.url is None else host_name_of(settings)


def describe_host(settings: Settings, host_name: str) -> PresentHost:
    """Return what the configuration says about a host that is there."""
    table = settings.hosts.get(host_name, HostSettings())
    return PresentHost(
        name=host_name,
        weight=table.weight,
        lanes=None if table.lanes is None else frozenset(table.lanes),
        pinned=frozenset(table.pinned),
        takes_feed=table.feed,
    )
