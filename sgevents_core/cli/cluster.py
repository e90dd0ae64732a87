"""`sgevents cluster`: the streams that several hosts share on NATS servers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sgevents_core.cli.printing import echo_line, read_configuration
from sgevents_core.cli.root import config_option
from sgevents_core.errors import NoBrokerError

if TYPE_CHECKING:
    from sgevents_core.settings import Settings
    from sgevents_core.state.nats.connection import Broker
    from sgevents_core.state.nats.streams import StreamDefinition


@click.group()
def cluster() -> None:
    """Make and show the streams that several hosts share, on the servers of [state] url."""


@cluster.command("init")
@config_option
def init(config: Path) -> None:
    """Make the streams on the NATS servers that are missing.

    Shows each stream, and whether it was made or was there. Changes nothing that is there, and
    deletes nothing. Exits with 1 if a stream is there that could lose what it has confirmed, or
    that differs from the configuration.
    """
    settings = read_configuration(config)
    with _connected(settings) as broker:
        outcomes = [_make(broker, wanted) for wanted in wanted_streams(settings)]
    sys.exit(0 if all(outcomes) else 1)


def _make(broker: Broker, wanted: StreamDefinition) -> bool:
    """Make a stream unless it is there, say so, and return whether it is as it must be."""
    from sgevents_core.state.nats.streams import create_stream, differences, find_stream

    info = find_stream(broker, wanted.name)
    if info is None:
        create_stream(broker, wanted)
        echo_line(f"made     {wanted.name}: {wanted.purpose}")
        return True
    faults = differences(wanted, info)
    if not faults:
        echo_line(f"there    {wanted.name}: {wanted.purpose}")
    for fault in faults:
        echo_line(f"refused  {wanted.name}: {fault.problem}; fix: {fault.fix}", err=True)
    return not any(fault.is_fatal for fault in faults)


def wanted_streams(settings: Settings) -> list[StreamDefinition]:
    """Return everything that a configuration needs on its servers."""
    from sgevents_core.state.nats.streams import StreamNames, definitions, site_word

    state = settings.state
    return definitions(
        StreamNames(site_word(settings.site.url)),
        settings.site.url,
        settings.lanes,
        replicas=state.replicas,
        lease=state.lease,
    )


@contextmanager
def _connected(settings: Settings) -> Iterator[Broker]:
    """Connect with the servers while the block lasts."""
    if settings.state.url is None:
        raise NoBrokerError(file=settings.path)
    from sgevents_core.state.nats import require_client

    require_client()
    from sgevents_core.state.nats.connection import Broker

    broker = Broker(settings.state, name="sgevents cluster")
    try:
        broker.connect()
        yield broker
    finally:
        broker.close()
