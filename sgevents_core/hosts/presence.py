"""Which hosts are there, what each has and works at, and which version is wanted, for people."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from sgevents_core.hosts.host_files import (
    HostFiles,
    difference_text,
    find_differences,
    read_host_files,
)
from sgevents_core.hosts.leases import HOST_PREFIX, HolderNote, read_note
from sgevents_core.hosts.rolling import WANTED_FILES_KEY, WANTED_KEY, files_key
from sgevents_core.hosts.spread import FEED, lane_of_work
from sgevents_core.hosts.wanted import (
    HostVersion,
    WantedVersion,
    is_rolling,
    read_wanted,
)
from sgevents_core.state.protocols import HostNotes, Leases

UNKNOWN_DIFFERENCE: Final = "what it has is not known"
SILENT_DIFFERENCE: Final = (
    "its sgevents is too old to say what it has, so all hosts count as equal while it is there"
)


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
        differences: Host that has other files than are wanted -> in what it differs.
        wanted: What is wanted, and who is still to reload; None if nobody has said so yet.
        rolls: Whether hosts reload one after another now, or have stopped on the way.
    """

    hosts: Mapping[str, float]
    work: tuple[HeldWork, ...]
    error: str = ""
    differences: Mapping[str, str] = MappingProxyType({})
    wanted: WantedVersion | None = None
    rolls: bool = False


def read_hosts(leases: Leases, notes: HostNotes) -> HostsOverview:
    """Return which hosts are there, who has what, and which version is wanted.

    Raises:
        StateError: The servers do not answer.
    """
    lease_notes = {
        key: note
        for key, entry in leases.read_all().items()
        if (note := read_note(entry.holder)) is not None
    }
    hosts = {note.host: note for key, note in lease_notes.items() if key.startswith(HOST_PREFIX)}
    stored_note = notes.read(WANTED_KEY)
    wanted = None if stored_note is None else read_wanted(stored_note.content)
    host_versions = {name: HostVersion(note.version, note.previous) for name, note in hosts.items()}
    differences = {} if wanted is None else _find_differences(wanted, host_versions, notes)
    for host_name, difference in _find_table_differences(hosts).items():
        differences[host_name] = "; ".join(
            filter(None, [differences.get(host_name, ""), difference])
        )
    return HostsOverview(
        {name: hosts[name].since for name in sorted(hosts)},
        tuple(sorted(_held_work(lease_notes))),
        differences=differences,
        wanted=wanted,
        rolls=wanted is not None and is_rolling(wanted, host_versions),
    )


def _held_work(notes: Mapping[str, HolderNote]) -> list[HeldWork]:
    return [
        HeldWork(lane_of_work(key) or "", note.host, note.since)
        for key, note in notes.items()
        if key == FEED or lane_of_work(key) is not None
    ]


def _find_differences(
    wanted: WantedVersion, host_versions: Mapping[str, HostVersion], notes: HostNotes
) -> dict[str, str]:
    """Return in what each host differs that has not what is wanted."""
    silent_hosts = sorted(
        name for name, host_version in host_versions.items() if not host_version.version
    )
    other_hosts = sorted(
        name
        for name, host_version in host_versions.items()
        if host_version.version and host_version.version != wanted.version
    )
    differences = dict.fromkeys(silent_hosts, SILENT_DIFFERENCE)
    wanted_files = None
    if other_hosts:
        wanted_files = _read_files(notes, WANTED_FILES_KEY, wanted.version)
    for host_name in other_hosts:
        files = _read_files(notes, files_key(host_name), host_versions[host_name].version)
        if files is None or wanted_files is None:
            differences[host_name] = UNKNOWN_DIFFERENCE
        else:
            differences[host_name] = difference_text(find_differences(wanted_files, files))
    return {name: text for name, text in differences.items() if text}


def _find_table_differences(hosts: Mapping[str, HolderNote]) -> dict[str, str]:
    """Return the hosts that decide by other tables `[hosts.NAME]` than most do, and how."""
    shown_tables = {name: hosts[name].tables for name in sorted(hosts) if hosts[name].tables}
    if len(set(shown_tables.values())) <= 1:
        return {}
    all_tables = list(shown_tables.values())
    usual_tables = max(all_tables, key=all_tables.count)
    usual_host = next(name for name, tables in shown_tables.items() if tables == usual_tables)
    difference = f"hosts: other tables than on {usual_host}, so the two spread work differently"
    return {name: difference for name, tables in shown_tables.items() if tables != usual_tables}


def _read_files(notes: HostNotes, key: str, version: str) -> HostFiles | None:
    """Return what a note says that a version is; None if it is about another one."""
    note = notes.read(key)
    stored_note = None if note is None else read_host_files(note.content)
    return stored_note.files if stored_note is not None and stored_note.version == version else None
