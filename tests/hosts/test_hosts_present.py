"""What people are shown of hosts: who is there, who differs from what is wanted, and in what."""

from __future__ import annotations

from leases_in_memory import Bucket, MemoryLeases, MemoryNotes

from sgevents_core.hosts.host_files import HostFiles, PluginVersion
from sgevents_core.hosts.leases import HolderNote
from sgevents_core.hosts.presence import SILENT_DIFFERENCE, UNKNOWN_DIFFERENCE, read_hosts
from sgevents_core.hosts.rolling import WANTED_FILES_KEY, WANTED_KEY, files_key
from sgevents_core.hosts.wanted import WantedVersion
from sgevents_core.reading.overview import Overview

WANTED = HostFiles("2", {"tool": PluginVersion("studio-tool", "1.0")})
OTHER = HostFiles("1", {"tool": PluginVersion("studio-tool", "1.1")})
OTHER_TEXT = (
    "sgevents: 1, and 2 is wanted; plugin tool: studio-tool 1.1, and studio-tool 1.0 is wanted"
)


class Site:
    """The leases and notes of a site."""

    def __init__(self, wanted: WantedVersion | None) -> None:
        self.leases, self.notes = MemoryLeases(Bucket()), MemoryNotes({})
        if wanted is not None:
            self.notes.replace(WANTED_KEY, wanted.encode(), 0)
            self.notes.replace(WANTED_FILES_KEY, WANTED.encode(), 0)

    def come(self, host_name: str, version: str, files: HostFiles | None = None) -> None:
        """Let a host be there, which has noted what it runs, or not."""
        note = HolderNote(host_name, host_name, "1", 0.0, version)
        self.leases.take(f"host.{host_name}", note.encode())
        if files is not None:
            self.notes.replace(files_key(host_name), files.encode(), 0)

    def needs(self) -> list[tuple[str, str]]:
        """Return the kind and text of what needs a person."""
        hosts = read_hosts(self.leases, self.notes)
        overview = Overview(pid=1, host="here", events=0, feed=None, plugins=(), hosts=hosts)
        return [(need.kind, need.text) for need in overview.needs(0.0)]


def test_hosts_that_differ_are_named_with_what_differs() -> None:
    """Also one whose note is about an earlier version, and one that shows none."""
    site = Site(WantedVersion(WANTED.version()))
    site.come("alpha", WANTED.version(), WANTED)
    site.come("beta", OTHER.version(), OTHER)
    site.come("gamma", "0123", OTHER)
    site.come("delta", "")
    hosts = read_hosts(site.leases, site.notes)
    assert list(hosts.hosts) == ["alpha", "beta", "delta", "gamma"]
    assert hosts.differences == {
        "beta": OTHER_TEXT,
        "gamma": UNKNOWN_DIFFERENCE,
        "delta": SILENT_DIFFERENCE,
    }
    assert [kind for kind, _ in site.needs()] == ["other_files"] * 3


def test_host_that_is_about_to_reload_needs_nobody() -> None:
    """Until the reload stops: then the host at which it did comes first."""
    rolling = WantedVersion(WANTED.version(), waiting=("beta", "gamma"), reloading="beta")
    site = Site(rolling)
    site.come("alpha", WANTED.version(), WANTED)
    for host_name in ("beta", "gamma"):
        site.come(host_name, OTHER.version(), OTHER)
    assert read_hosts(site.leases, site.notes).rolls
    assert site.needs() == []
    stopped = WantedVersion(
        WANTED.version(), waiting=("beta", "gamma"), stopped_on="beta", reason="it is broken"
    )
    site.notes.replace(WANTED_KEY, stopped.encode(), 1)
    assert site.needs() == [
        ("reload_stopped", "The reload of all hosts has stopped at beta: it is broken"),
        ("other_files", f"Host gamma differs from what is wanted: {OTHER_TEXT}"),
    ]


def test_state_of_an_earlier_version_has_no_record() -> None:
    """Nothing is wanted yet, so nobody differs."""
    site = Site(None)
    site.come("alpha", "", None)
    hosts = read_hosts(site.leases, site.notes)
    assert (hosts.differences, hosts.wanted, hosts.rolls) == ({}, None, False)


def test_hosts_that_spread_work_by_other_tables_are_named() -> None:
    """Each decides for all, so that a lane could be nobody's if they do not agree."""
    site = Site(WantedVersion(WANTED.version()))
    for host_name, tables in (("alpha", "a"), ("beta", "b"), ("gamma", "b"), ("delta", "")):
        note = HolderNote(host_name, host_name, "1", 0.0, WANTED.version(), tables=tables)
        site.leases.take(f"host.{host_name}", note.encode())
    differences = read_hosts(site.leases, site.notes).differences
    assert list(differences) == ["alpha"]
    assert differences["alpha"].startswith("hosts: other tables than on beta")
