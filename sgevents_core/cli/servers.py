"""The NATS servers of the configuration: a connection, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sgevents_core.cli.printing import echo_line
from sgevents_core.errors import NoBrokerError

if TYPE_CHECKING:
    from sgevents_core.settings import Settings
    from sgevents_core.state.nats.connection import Broker
    from sgevents_core.state.nats.faults import Fault


def refuse_servers(settings: Settings) -> None:
    """Refuse a run with servers that cannot keep the promise, and print what is wrong with others.

    Raises:
        ClusterNotReadyError: Something prevents a run.
        BrokerError: No server answers, or one refuses.
    """
    with connected_broker(settings, "sgevents run") as broker:
        from sgevents_core.state.nats.server_checks import refuse_unsafe_servers
        from sgevents_core.state.nats.stream_names import site_names
        from sgevents_core.state.nats.streams import wanted_streams

        names, wanted = site_names(settings.site.url), wanted_streams(settings)
        faults = refuse_unsafe_servers(broker, settings.state, names, wanted)
        print_faults(faults, err=True, before="sgevents: ")


@contextmanager
def connected_broker(
    settings: Settings, name: str, within: float | None = None
) -> Iterator[Broker]:
    """Have a connection with the servers while the block lasts.

    Args:
        settings: The configuration.
        name: The connection's name, which the servers show.
        within: For how many seconds to wait for them.

    Raises:
        NoBrokerError: The configuration names no servers.
        ExtraMissingError: The extra `nats` is not installed.
        BrokerError: No server answers, or one refuses.
    """
    if settings.state.url is None:
        raise NoBrokerError(file=settings.path)
    from sgevents_core.state.nats import require_client

    require_client(settings.path)
    from sgevents_core.state.nats.connection import CONNECT_WITHIN, Broker

    broker = Broker(settings.state, name=name)
    try:
        broker.connect(CONNECT_WITHIN if within is None else within)
        yield broker
    finally:
        broker.close()


def print_faults(faults: Iterable[Fault], *, err: bool = False, before: str = "") -> None:
    """Print what is wrong with servers or streams, each line behind `before`."""
    for fault in faults:
        for line in f"{before}{fault}".splitlines():
            echo_line(line, err=err)
