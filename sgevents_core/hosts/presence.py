"""Which hosts are there, and who works at what since when, for people and for commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sgevents_core.hosts.leases import HOST_PREFIX, HolderNote, read_note
from sgevents_core.hosts.spread import FEED, lane_of_work
from sgevents_core.state.protocols import Leases


class HeldWork(NamedTuple):
    """Some work, and who has it.

    Args:
        lane_name: The lane; empty for the feed.
        host: The host that has it.
        since: Since when, in seconds since 1970, by that host's clock.
    """

    lane_name: str
    host: str
    since: float


class HostsOverview(NamedTuple):
    """The hosts that share a state.

    Args:
        hosts: The hosts that are there: name -> since when, in seconds since 1970.
        work: The feed first, then the lanes, by name.
        error: Why that is not known; empty if it is.
    """

    hosts: Mapping[str, float]
    work: tuple[HeldWork, ...]
    error: str = ""


def read_hosts(leases: Leases) -> HostsOverview:
    """Return which hosts are there, and who has what.

    Raises:
        StateError: The servers do not answer.
    """
    notes = {
        key: note
        for key, entry in leases.read_all().items()
        if (note := read_note(entry.holder)) is not None
    }
    hosts = {note.host: note.since for key, note in notes.items() if key.startswith(HOST_PREFIX)}
    return HostsOverview(dict(sorted(hosts.items())), tuple(sorted(_held_work(notes))))


def _held_work(notes: Mapping[str, HolderNote]) -> list[HeldWork]:
    return [
        HeldWork(lane_of_work(key) or "", note.host, note.since)
        for key, note in notes.items()
        if key == FEED or lane_of_work(key) is not None
    ]
