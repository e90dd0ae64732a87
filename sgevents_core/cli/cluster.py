"""`sgevents cluster`: the streams that several hosts share on NATS servers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sgevents_core.cli._status_workers import duration_text
from sgevents_core.cli.printing import (
    cell,
    echo,
    echo_json,
    echo_line,
    iso,
    read_configuration,
    without_empty,
)
from sgevents_core.cli.root import config_option
from sgevents_core.cli.servers import connected_broker, print_faults
from sgevents_core.cli.tables import new_table, print_table

if TYPE_CHECKING:
    from sgevents_core.hosts.presence import HostsOverview
    from sgevents_core.settings import Settings
    from sgevents_core.state.nats.cluster_overview import HeldKey, StreamFigures
    from sgevents_core.state.nats.connection import Broker
    from sgevents_core.state.nats.faults import Fault
    from sgevents_core.state.nats.streams import StreamDefinition


@click.group()
def cluster() -> None:
    """Make and show the streams that several hosts share, on the servers of [state] url."""


@cluster.command("init")
@config_option
def init(config: Path) -> None:
    """Make the streams on the NATS servers that are missing.

    Shows each stream, and whether it was made or was there. Deletes nothing; of what is there it
    changes only how long leases last. Exits with 1 if a stream is there that could lose what it
    has confirmed, or that differs from the configuration.
    """
    from sgevents_core.state.nats.streams import wanted_streams

    settings = read_configuration(config, uses_state=False)
    with connected_broker(settings, "sgevents cluster init") as broker:
        faults = [fault for wanted in wanted_streams(settings) for fault in _make(broker, wanted)]
    print_faults(faults, err=True)
    sys.exit(1 if any(fault.prevents_run("full") for fault in faults) else 0)


def _make(broker: Broker, wanted: StreamDefinition) -> Sequence[Fault]:
    """Make a stream unless it is there, say so, and return what is wrong with it."""
    from sgevents_core.state.nats.stream_differences import differences, is_only_older
    from sgevents_core.state.nats.streams import create_stream, find_stream, update_stream

    info = find_stream(broker, wanted.name)
    faults = [] if info is None else differences(wanted, info)
    deed = "there"
    if info is None:
        create_stream(broker, wanted)
        deed = "made"
    elif faults and wanted.is_changeable and is_only_older(wanted, info):
        update_stream(broker, wanted)
        deed, faults = "changed", []
    elif faults:
        deed = "refused" if any(fault.prevents_run("full") for fault in faults) else "there"
    echo_line(f"{deed:8} {wanted.name}: {wanted.purpose}")
    return faults


@cluster.command("status")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
@config_option
def status(as_json: bool, config: Path) -> None:
    """Show the streams on the NATS servers, and who works at what.

    Exits with 1 if something prevents a run on these servers.
    """
    from sgevents_core.state.nats.cluster_overview import read_held_keys, read_streams
    from sgevents_core.state.nats.server_checks import find_faults, find_full_servers
    from sgevents_core.state.nats.stream_names import site_names
    from sgevents_core.state.nats.streams import wanted_streams

    settings = read_configuration(config, uses_state=False)
    names, wanted = site_names(settings.site.url), wanted_streams(settings)
    with connected_broker(settings, "sgevents cluster status") as broker:
        version = str(broker.server_info.get("version", ""))
        streams = read_streams(broker, names, wanted)
        leases = read_held_keys(broker, names)
        hosts = _read_hosts(broker, settings, streams) if leases else None
        faults = find_faults(broker, settings.state, names, wanted)
        if not any(fault.weight == "unusable" for fault in faults):
            faults += find_full_servers(broker, names)
    if as_json:
        state_fields = _as_json(settings, version, streams, leases, faults)
        echo_json(without_empty({**state_fields, **_hosts_as_json(hosts)}))
    else:
        echo_line(f"{settings.state.url}, nats-server {version}")
        _print_streams(streams)
        _print_leases(leases)
        _print_differences(hosts)
        print_faults(faults)
    is_wrong = any(fault.prevents_run(settings.state.durability) for fault in faults)
    sys.exit(1 if is_wrong else 0)


@cluster.command("restore")
@click.option("--force", is_flag=True, help="Also if the servers hold what the copy cannot take.")
@config_option
def restore(force: bool, config: Path) -> None:
    """Write the state on the servers anew, from a host's copy.

    For when a stream was lost.

    Stop the daemons of all hosts before, make what is missing with `sgevents cluster init`, and use
    the host whose copy has most. The copy takes what it lacks of streams that were not lost; what
    it cannot take is named, and the command refused without --force. On all other hosts, remove the
    folder `copy` of the state afterwards.
    """
    from sgevents_core.cli.cluster_restore import restore_servers

    restore_servers(config, is_forced=force)


def _as_json(
    settings: Settings,
    version: str,
    streams: Sequence[StreamFigures],
    leases: Sequence[HeldKey],
    faults: Sequence[Fault],
) -> dict[str, Any]:
    return {
        "version": 1,
        "servers": str(settings.state.url),
        "server_version": version,
        "streams": [
            {
                "name": stream.name,
                "purpose": stream.purpose,
                "is_there": stream.is_there,
                "messages": stream.messages,
                "first": stream.first,
                "last": stream.last,
                "bytes": stream.size,
                "replicas": stream.replicas,
            }
            for stream in streams
        ],
        "leases": [_lease_json(lease) for lease in leases],
        "faults": [
            {
                "stream": fault.subject,
                "problem": fault.problem,
                "fix": fault.fix,
                "prevents_run": fault.prevents_run(settings.state.durability),
            }
            for fault in faults
        ],
    }


def _read_hosts(
    broker: Broker, settings: Settings, streams: Sequence[StreamFigures]
) -> HostsOverview | None:
    """Return the hosts and which version is wanted; None if a stream is missing."""
    from sgevents_core.hosts.presence import read_hosts
    from sgevents_core.state.nats.bucket_notes import BucketNotes
    from sgevents_core.state.nats.leases import Leases
    from sgevents_core.state.nats.snapshots import SnapshotStore
    from sgevents_core.state.nats.stream_names import site_names
    from sgevents_core.state.nats.streams import lease_definition

    if not all(stream.is_there for stream in streams):
        return None
    names, state = site_names(settings.site.url), settings.state
    bucket = lease_definition(names, settings.site.url, replicas=state.replicas, lease=state.lease)
    notes = BucketNotes(SnapshotStore(broker, names.bucket))
    return read_hosts(Leases(broker, bucket, state.lease), notes)


def _hosts_as_json(hosts: HostsOverview | None) -> dict[str, Any]:
    from sgevents_core.cli._status_json import reload_json

    differences = {} if hosts is None else hosts.differences
    return {
        "differences": [
            {"host": host_name, "text": text} for host_name, text in differences.items()
        ],
        "reload": reload_json(hosts),
    }


def _print_differences(hosts: HostsOverview | None) -> None:
    """Print which hosts have not what is wanted, and how far a reload of all is."""
    if hosts is None:
        return
    for host_name, difference in hosts.differences.items():
        echo_line(f"{host_name} differs from what is wanted: {difference}")
    if hosts.wanted is not None and hosts.rolls:
        from sgevents_core.cli.status import describe_roll

        echo_line(describe_roll(hosts.wanted, time.time()))
        if hosts.wanted.reason:
            echo_line(f"  {hosts.wanted.reason}")


def _print_streams(streams: Sequence[StreamFigures]) -> None:
    numbers = ("messages", "first", "last", "MB", "replicas")
    table = new_table("stream", "what is in it", *numbers, numbers=numbers)
    for stream in streams:
        figures = (stream.messages, stream.first, stream.last, f"{stream.size / 1e6:,.1f}")
        values = (*figures, stream.replicas) if stream.is_there else ("missing", "", "", "", "")
        table.add_row(*map(cell, (stream.name, stream.purpose, *values)))
    print_table(table)


def _lease_json(lease: HeldKey) -> dict[str, Any]:
    from sgevents_core.hosts.leases import read_note

    note = read_note(lease.holder)
    return {
        "key": lease.key,
        "host": None if note is None else note.host,
        "since": None if note is None else iso(note.since),
    }


def _print_leases(leases: Sequence[HeldKey]) -> None:
    """Print who has what for how long: a line for each lease, and for each host without any."""
    if not leases:
        echo("No host works at anything.")
        return
    table = new_table("host", "works at", "for")
    for row in sorted(_lease_rows(leases)):
        table.add_row(*map(cell, row))
    print_table(table)


def _lease_rows(leases: Sequence[HeldKey]) -> Iterator[tuple[str, str, str]]:
    from sgevents_core.hosts.leases import HOST_PREFIX, read_note

    notes = {lease.key: read_note(lease.holder) for lease in leases}
    working = {note.host for key, note in notes.items() if note and not key.startswith(HOST_PREFIX)}
    for key, note in notes.items():
        duration = "" if note is None else duration_text(max(time.time() - note.since, 0.0))
        host_name = "unknown" if note is None else note.host
        if key.startswith(HOST_PREFIX):
            if host_name not in working:
                yield host_name, "nothing yet", duration
        else:
            yield host_name, "the feed" if key == "feed" else key.replace(".", " ", 1), duration
