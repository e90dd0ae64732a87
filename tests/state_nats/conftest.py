"""What the tests of the state on NATS share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from nats_server import NatsServer
from nats_sites import NatsSite, nats_site


@pytest.fixture
def site(nats_server: NatsServer) -> Iterator[NatsSite]:
    """The streams of a new site."""
    with nats_site(nats_server.port) as made:
        yield made
