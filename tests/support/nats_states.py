"""A state on a NATS server, as one host has it, for tests: a site of its own each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from nats_server import new_site_url, settings_for
from nats_sites import NatsSite, connected

from sgevents_core.state.nats.broker_logs import BrokerLogs
from sgevents_core.state.nats.nats_state import NatsState


@contextmanager
def nats_state(
    port: int,
    folder: Path,
    lanes: Sequence[str],
    *,
    site_url: str = "",
    host: str = "here",
    make: bool = True,
    within: float = 60.0,
) -> Iterator[NatsState]:
    """Have a host's state while the block lasts.

    Args:
        port: The server's port.
        folder: The host's folder.
        lanes: The lanes whose streams are made.
        site_url: The site; by default, a new one.
        host: The host's name.
        make: Whether to make the streams.
        within: For how many seconds to wait for the server.
    """
    url = site_url or new_site_url()
    if make:
        with connected(port) as broker:
            NatsSite(broker, url).make_streams(lanes)
    settings = settings_for(port, folder=folder)
    with closing(NatsState(folder, lambda: BrokerLogs(settings, url, host, within), host)) as state:
        yield state
