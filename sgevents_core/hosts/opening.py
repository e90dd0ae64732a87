"""What a daemon is to work at, from its state and its configuration."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Collection
from functools import partial

from sgevents_core.errors import StateError
from sgevents_core.hosts.leased_work import LeasedWork
from sgevents_core.hosts.leases import HOME_FILE, HolderNote, read_home_id
from sgevents_core.hosts.spread import PresentHost
from sgevents_core.hosts.work import Everything, Work
from sgevents_core.settings import Settings
from sgevents_core.settings.state_settings import HostSettings
from sgevents_core.state.protocols import Leases


def open_work(leases: Leases | None, settings: Settings, lane_names: Collection[str]) -> Work:
    """Return what this process is to work at; it has the lock of the state's folder.

    Args:
        leases: The leases of the state; None if nobody shares it.
        settings: The configuration.
        lane_names: All lanes.

    Raises:
        HostNameTaken: Another host of this name is there.
        StateError: The servers do not answer, or the state's folder cannot be written.
    """
    if leases is None:
        return Everything(lane_names)
    try:
        home_id = read_home_id(settings.state.path)
    except OSError as error:
        path = str(settings.state.path / HOME_FILE)
        raise StateError(path=path, reason=error.strerror or str(error)) from None
    note = HolderNote(host_name_of(settings), home_id, secrets.token_hex(8), time.time())
    work = LeasedWork(leases, note, lane_names, partial(describe_host, settings))
    work.start()
    return work


def host_name_of(settings: Settings) -> str:
    """Return the name of this host among those that share a state."""
    return settings.state.host or socket.gethostname()


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
