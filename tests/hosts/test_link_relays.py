"""The relays of chaos runs: links that go silent or break, and mend again."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from link_relays import Relay, Relays
from waiting import PATIENCE


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        opened.settimeout(PATIENCE)
        yield opened


@pytest.fixture
def relays() -> Iterator[Relays]:
    """No relay yet."""
    with closing(Relays()) as opened:
        yield opened


def _connect(relays: Relays, listener: socket.socket) -> tuple[Relay, socket.socket, socket.socket]:
    """Return a relay, a client of it, and the server's end."""
    relay = relays.open(listener.getsockname())
    client = socket.create_connection(relay.address, PATIENCE)
    server, _ = listener.accept()
    server.settimeout(PATIENCE)
    return relay, client, server


@pytest.mark.parametrize("is_forgetful", [False, True], ids=["kept", "lost"])
def test_silent_link_answers_nobody_until_it_is_mended(
    relays: Relays, listener: socket.socket, is_forgetful: bool
) -> None:
    """What was sent meanwhile arrives then, or is lost with its connection."""
    relay, client, server = _connect(relays, listener)
    with client, server:
        client.sendall(b"before")
        assert server.recv(100) == b"before"
        relays.run(relay.go_silent())
        client.sendall(b"meanwhile")
        server.settimeout(0.05)
        with pytest.raises(TimeoutError):
            server.recv(100)
        server.settimeout(PATIENCE)
        relays.run(relay.mend(is_forgetful=is_forgetful))
        if is_forgetful:
            with pytest.raises(ConnectionResetError):
                client.recv(100)
        else:
            assert server.recv(100) == b"meanwhile"


def test_broken_link_resets_connections_and_takes_none(
    relays: Relays, listener: socket.socket
) -> None:
    """Until it is mended."""
    relay, client, server = _connect(relays, listener)
    with client, server:
        relays.run(relay.break_off())
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    with (
        pytest.raises(ConnectionResetError),  # while it connects, or soon after
        socket.create_connection(relay.address, PATIENCE) as refused,
    ):
        refused.recv(100)
    relays.run(relay.mend(is_forgetful=False))
    with socket.create_connection(relay.address, PATIENCE) as client:
        server, _ = listener.accept()
        with server:
            client.sendall(b"after")
            assert server.recv(100) == b"after"
