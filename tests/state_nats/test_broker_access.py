"""Signing in to NATS servers, encrypted connections, and what is said if it fails."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nkeys
import pytest
import trustme
from msgspec.structs import replace
from nats_accounts import make_credentials, new_key, public
from nats_server import NatsServer, running_nats, settings_for
from waiting import wait_until

from sgevents_core.errors import BrokerError, BrokerRefused, BrokerUnreachable
from sgevents_core.settings.broker_url import BrokerUrl
from sgevents_core.settings.secret import Secret
from sgevents_core.settings.state_settings import StateSettings
from sgevents_core.state.nats.connection import Broker

PASSWORD = "hunter2-secret"


def try_connection(settings: StateSettings, within: float = 60.0) -> None:
    """Connect, and ask the server something."""
    broker = Broker(settings)
    try:
        broker.connect(within)
        assert broker.request("$JS.API.INFO").data
    finally:
        broker.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A server that knows one user."""
    users = f"authorization {{ users: [{{ user: anna, password: {PASSWORD} }}] }}"
    with running_nats(tmp_path_factory.mktemp("guarded"), more=users) as server:
        yield server


def test_a_user_with_a_password_comes_in(guarded: NatsServer) -> None:
    """And nobody else; the refusal comes at once, and shows no password."""
    settings = settings_for(guarded.port)
    try_connection(replace(settings, user="anna", password=Secret(PASSWORD)))
    for user, password in (("anna", "wrong-secret"), ("bert", PASSWORD)):
        with pytest.raises(BrokerRefused, match="Authorization Violation") as caught:
            try_connection(replace(settings, user=user, password=Secret(password)))
        assert "secret" not in str(caught.value)
    with pytest.raises(BrokerRefused, match="user and password, credentials or nkey"):
        try_connection(settings)


def test_a_user_with_an_nkey_comes_in(tmp_path: Path) -> None:
    """Whose seed is in a file."""
    key = new_key(nkeys.PREFIX_BYTE_USER)
    seed_file = tmp_path / "user.nk"
    seed_file.write_bytes(bytes(key.seed) + b"\n")
    users = f"authorization {{ users: [{{ nkey: {public(key)} }}] }}"
    with running_nats(tmp_path / "nats", more=users) as server:
        try_connection(replace(settings_for(server.port), nkey=str(seed_file)))
        other_file = tmp_path / "other.nk"
        other_file.write_bytes(bytes(new_key(nkeys.PREFIX_BYTE_USER).seed))
        with pytest.raises(BrokerRefused):
            try_connection(replace(settings_for(server.port), nkey=str(other_file)))


def test_a_user_with_credentials_comes_in(tmp_path: Path) -> None:
    """As the operator of a server with accounts hands them out."""
    credentials_file = tmp_path / "user.creds"
    accounts = make_credentials(credentials_file)
    with running_nats(tmp_path / "nats", more=accounts) as server:
        try_connection(replace(settings_for(server.port), credentials=str(credentials_file)))
        make_credentials(credentials_file)  # of another operator
        with pytest.raises(BrokerRefused):
            try_connection(replace(settings_for(server.port), credentials=str(credentials_file)))


@pytest.mark.parametrize("content", ["", "no key\n", "-----BEGIN NATS USER JWT-----\n"])
@pytest.mark.parametrize("key", ["credentials", "nkey"])
def test_a_file_that_holds_no_key_is_refused(
    nats_server: NatsServer, tmp_path: Path, key: str, content: str
) -> None:
    """By name, without a traceback of the library."""
    key_file = tmp_path / "user.key"
    key_file.write_text(content)
    with pytest.raises(BrokerRefused, match=f"{key_file} holds no"):
        try_connection(replace(settings_for(nats_server.port), **{key: str(key_file)}), 5)


@contextmanager
def encrypted(folder: Path, authority: trustme.CA, *, asks: bool = False) -> Iterator[NatsServer]:
    """A server with a certificate; with `asks`, it wants one of its clients too."""
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    verify = f"ca_file: '{folder}/authority.pem'\nverify: true" if asks else ""
    tls = f"tls {{ cert_file: '{folder}/server.pem'\nkey_file: '{folder}/server.pem'\n{verify} }}"
    with running_nats(folder / "nats", more=tls) as server:
        yield server


def tls_settings(port: int, **more: str) -> StateSettings:
    """`[state]` with a url that insists on encryption."""
    url = BrokerUrl((f"127.0.0.1:{port}",), is_encrypted=True)
    return StateSettings(url=url, **more)  # type: ignore[arg-type]  # paths, as text


def test_an_encrypted_server_is_known_by_its_certificate(tmp_path: Path) -> None:
    """Trusted by `ca_certs`; one of an unknown authority is refused."""
    authority = trustme.CA()
    with encrypted(tmp_path, authority) as server:
        try_connection(tls_settings(server.port, ca_certs=str(tmp_path / "authority.pem")))
        plain_url = replace(settings_for(server.port), ca_certs=str(tmp_path / "authority.pem"))
        try_connection(plain_url)  # the server insists
        with pytest.raises(BrokerRefused, match="certificate"):
            try_connection(tls_settings(server.port))


def test_a_server_may_ask_for_a_certificate(tmp_path: Path) -> None:
    """Which `cert` and `key` name."""
    authority = trustme.CA()
    with encrypted(tmp_path, authority, asks=True) as server:
        own = authority.issue_cert("sgevents")
        own.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "own.pem"))
        trusted = {"ca_certs": str(tmp_path / "authority.pem")}
        mine = {"cert": str(tmp_path / "own.pem"), "key": str(tmp_path / "own.pem")}
        try_connection(tls_settings(server.port, **trusted, **mine))
        with pytest.raises(BrokerError):
            try_connection(tls_settings(server.port, **trusted), 2)


def test_nothing_is_sent_to_a_server_without_encryption(nats_server: NatsServer) -> None:
    """Whoever is in between could offer none to get the password."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def pretend() -> None:
            connection = listener.accept()[0]
            with connection:
                connection.sendall(b'INFO {"server_id":"x","version":"2.15.1","headers":true}\r\n')
                received.append(connection.recv(1000))

        thread = threading.Thread(target=pretend)
        thread.start()
        port = int(listener.getsockname()[1])
        settings = replace(tls_settings(port), user="anna", password=Secret(PASSWORD))
        with pytest.raises(BrokerRefused, match="offers no encryption"):
            try_connection(settings)
        thread.join()
    assert received == [b""]


@contextmanager
def greeting_port(greeting: bytes, *, stays: bool = False) -> Iterator[int]:
    """Have a port that greets whoever connects, and closes the connection unless it `stays`."""
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        is_over = threading.Event()

        def greet() -> None:
            while True:
                connection = listener.accept()[0]
                kept.append(connection)
                if is_over.is_set():
                    return
                connection.sendall(greeting)
                if not stays:
                    connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        port = int(listener.getsockname()[1])
        try:
            yield port
        finally:
            is_over.set()
            socket.create_connection(("127.0.0.1", port)).close()
            thread.join()
            for connection in kept:
                connection.close()


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.6\r\n", b"220 mail ready\r\n", b"\0\xff"])
def test_what_is_no_nats_server_is_refused(greeting: bytes) -> None:
    """At once, with what it says: no waiting makes it one."""
    refused = pytest.raises(BrokerRefused, match="what answers there is no NATS server")
    with greeting_port(greeting) as port, refused as caught:
        try_connection(settings_for(port))
    assert "Check url in [state]" in str(caught.value)


@pytest.mark.parametrize(
    ("greeting", "stays", "reason"),
    [
        (b"INFO {oops\r\n", False, "json parse error"),
        (b"", False, "it closes the connection at once"),
        (b"", True, "it takes connections and says nothing"),
    ],
)
def test_what_may_be_a_nats_server_is_waited_for(greeting: bytes, stays: bool, reason: str) -> None:
    """A proxy whose server is away closes connections, and a server that hangs says nothing."""
    with greeting_port(greeting, stays=stays) as port:
        broker = Broker(settings_for(port))
        try:
            wait_until(lambda: broker.has_failed)
            with pytest.raises(BrokerUnreachable, match=reason):
                broker.connect(0.1)
        finally:
            broker.close()


def test_a_name_that_does_not_resolve_is_waited_for() -> None:
    """It may be entered yet, and the name server may be away; the reason names it."""
    url = BrokerUrl(("no-such-host.invalid:4222",), is_encrypted=False)
    broker = Broker(StateSettings(url=url))
    try:
        wait_until(lambda: broker.has_failed)
        with pytest.raises(BrokerUnreachable, match=r"the name no-such-host\.invalid cannot be"):
            broker.connect(0.1)
    finally:
        broker.close()


def test_a_refusal_of_one_server_ends_nothing_while_another_lets_the_user_in(
    guarded: NatsServer, nats_server: NatsServer
) -> None:
    """Only once all were tried, and none did, is there nothing to wait for."""
    settings = replace(settings_for(guarded.port), user="anna", password=Secret("wrong-secret"))
    for _ in range(4):  # they are tried in any order
        both = (f"127.0.0.1:{guarded.port}", f"127.0.0.1:{nats_server.port}")
        try_connection(replace(settings, url=BrokerUrl(both, is_encrypted=False)))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free_port = int(closed.getsockname()[1])
    others = (f"127.0.0.1:{guarded.port}", f"127.0.0.1:{free_port}")
    with pytest.raises(BrokerRefused, match="nothing listens there") as caught:
        try_connection(replace(settings, url=BrokerUrl(others, is_encrypted=False)))
    assert f"127.0.0.1:{guarded.port}: Authorization Violation" in str(caught.value)


def test_any_of_several_servers_will_do(nats_server: NatsServer) -> None:
    """Those that cannot be reached are passed over."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free_port = int(closed.getsockname()[1])
    servers = (f"127.0.0.1:{free_port}", f"127.0.0.1:{nats_server.port}", "no-such-host.test:4222")
    try_connection(StateSettings(url=BrokerUrl(servers, is_encrypted=False)))
