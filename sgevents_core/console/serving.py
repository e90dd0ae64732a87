"""Serving a console: its parts made from configurations, and the HTTP server."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import uvicorn

from sgevents_core.console.app import ConsoleParts, make_console
from sgevents_core.console.connections import ImpatientProtocol
from sgevents_core.console.ended_sessions import ENDED_FILE
from sgevents_core.console.gate import Gate
from sgevents_core.console.passwords import is_hash
from sgevents_core.console.sessions import Sessions
from sgevents_core.console.sites import Sites
from sgevents_core.console.ways_in import OpenWay, ProxyWay, TokenWay, UserWay, WayIn
from sgevents_core.errors import ConsoleAccessError, ConsolePortError
from sgevents_core.settings import ConsoleAccess, ConsoleSettings, ListenAddress, Settings
from sgevents_core.state.plain_files import make_state_folder, read_plain_file

KEY_FILE: Final = "console.key"
"""Signs the cookies of sessions, so that they outlive a restart of the console."""
TOKEN_FILE: Final = "console.token"  # noqa: S105 - the name of a file
_KEY_BYTES: Final = 32
_QUEUED_CONNECTIONS: Final = 2048
_MOST_CONNECTIONS: Final = 1000
_SECRET_FILE_MODE: Final = 0o600
_LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class ConsoleStart:
    """A console that is ready to serve.

    Args:
        parts: What it is made of.
        listening_socket: The socket it listens on.
        address: Its address for a browser, without the token.
        token: The token of this start; empty if there is none.
        is_open: Whether everybody who can connect is let in.
        certificate: The file of the certificate; None to serve without encryption.
        certificate_key: The file of its key.
    """

    parts: ConsoleParts
    listening_socket: socket.socket
    address: str
    token: str
    is_open: bool
    certificate: str | None = None
    certificate_key: str | None = None


def prepare_console(
    all_settings: Sequence[Settings], person_name: str, listen: ListenAddress | None = None
) -> ConsoleStart:
    """Check who may come in, and listen.

    Args:
        all_settings: The configurations of the sites; `[console]` of the first counts.
        person_name: The name that requests get where nobody signs in by name.
        listen: Where to listen instead of where the configuration says.

    Raises:
        ConsoleAccessError: It would be open to others than it should, or a value of `[console]`
            cannot be used.
        ConsolePortError: It cannot listen there.
    """
    settings = all_settings[0]
    listen_address = listen or settings.console.listen
    token = secrets.token_urlsafe(24)
    way_in = _way_in(settings, listen_address, person_name, token)
    state_folder = settings.state.path
    gate = Gate(way_in, Sessions(_session_key(state_folder), state_folder / ENDED_FILE))
    studio_zone = _studio_zone(settings)
    _check_certificate(settings.console)
    listening_socket = _open_listening_socket(listen_address)
    bound_address = ListenAddress(listen_address.host, listening_socket.getsockname()[1])
    parts = ConsoleParts(
        sites=Sites(all_settings),
        gate=gate,
        hosts=_host_names(settings, listen_address),
        zone=studio_zone,
    )
    return ConsoleStart(
        parts,
        listening_socket,
        f"{'https' if settings.console.certificate else 'http'}://{bound_address}",
        token if isinstance(way_in, TokenWay) else "",
        isinstance(way_in, OpenWay),
        settings.console.certificate,
        settings.console.certificate_key,
    )


def serve_console(start: ConsoleStart, on_started: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        start: The console.
        on_started: Called when calls are answered.
    """
    server_config = uvicorn.Config(
        make_console(start.parts),
        http=ImpatientProtocol,
        ws="none",
        access_log=False,  # the token of the first address is never in a log
        log_config=None,
        proxy_headers=False,  # who calls is the socket's peer, whatever a header says
        server_header=False,
        ssl_certfile=start.certificate,
        ssl_keyfile=start.certificate_key,
        lifespan="off",
        timeout_graceful_shutdown=2,
        limit_concurrency=_MOST_CONNECTIONS,
    )
    server = _ReportingServer(server_config, on_started)
    with _ended_by_signals():
        server.run(sockets=[start.listening_socket])


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let a signal that has ended the server end nothing else: the server raises it once more."""
    signal_numbers = (signal.SIGINT, signal.SIGTERM)
    previous_handlers = {
        signal_number: signal.signal(signal_number, lambda *_: None)
        for signal_number in signal_numbers
    }
    try:
        yield
    finally:
        for signal_number, previous_handler in previous_handlers.items():
            signal.signal(signal_number, previous_handler)


class _ReportingServer(uvicorn.Server):
    """A server that reports when it has started."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()


def write_token_file(state_folder: Path, token: str) -> Path | None:
    """Write the token where only this user reads it, and return the file; None if that fails."""
    token_file = state_folder / TOKEN_FILE
    with suppress(OSError):
        make_state_folder(state_folder)
        token_file.unlink(missing_ok=True)
        _write_secret_file(token_file, token.encode() + b"\n")
        return token_file
    return None


def _way_in(settings: Settings, address: ListenAddress, person_name: str, token: str) -> WayIn:
    access = settings.console_access
    if access is not None:
        return _way_of_table(access)
    if not address.is_loopback:
        raise ConsoleAccessError(
            reason=f"{address} can be reached from other machines, and nothing says who may come "
            "in",
            fix="Add [console.access] with users, or with the header of a proxy; or listen on "
            "127.0.0.1.",
        )
    if settings.console.access == "open":
        return OpenWay(person_name)
    return TokenWay(person_name, token)


def _way_of_table(access: ConsoleAccess) -> WayIn:
    if access.header is not None:
        return ProxyWay(access.header, access.proxies, access.operators)
    for user_name, password_hash in access.users.items():
        if not password_hash.is_there or not is_hash(password_hash.reveal()):
            raise ConsoleAccessError(
                reason=f"the hash of {user_name}'s password is missing or not a whole one",
                fix="Make one with sgevents console --hash-password.",
            )
    password_hashes = {
        user_name: password_hash.reveal() for user_name, password_hash in access.users.items()
    }
    return UserWay(password_hashes, access.operators)


def _host_names(settings: Settings, address: ListenAddress) -> frozenset[str]:
    """Return the names under which the console may be called."""
    host_names = {host_name.lower() for host_name in settings.console.hosts}
    if address.is_loopback:
        host_names |= _LOOPBACK_HOSTS
    elif address.host in {"0.0.0.0", "::"}:  # noqa: S104 - to compare with
        host_names |= {socket.gethostname().lower(), socket.getfqdn().lower(), *_LOOPBACK_HOSTS}
    listen_host = address.host.lower()
    return frozenset({*host_names, f"[{listen_host}]" if ":" in listen_host else listen_host})


def _studio_zone(settings: Settings) -> ZoneInfo | None:
    zone_name = settings.console.time_zone
    if zone_name is None:
        return None
    try:
        return ZoneInfo(zone_name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConsoleAccessError(
            reason=f"this machine knows no time zone {zone_name}",
            fix="Correct time_zone in [console], such as America/Vancouver.",
        ) from None


def _check_certificate(settings: ConsoleSettings) -> None:
    """Check that a certificate and its key can be used, before anything listens."""
    if settings.certificate is None or settings.certificate_key is None:
        return
    try:
        tls_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls_context.load_cert_chain(settings.certificate, settings.certificate_key)
    except (ssl.SSLError, OSError) as error:
        raise ConsoleAccessError(
            reason=f"{settings.certificate} and its key cannot be used: {error}",
            fix="Correct certificate and certificate_key in [console].",
        ) from None


def _session_key(state_folder: Path) -> bytes:
    """Return the key that signs cookies; a new one if the state has none and takes none."""
    key_file = state_folder / KEY_FILE
    with suppress(OSError):
        session_key = read_plain_file(key_file)
        if len(session_key) >= _KEY_BYTES:
            return session_key
    session_key = secrets.token_bytes(_KEY_BYTES)
    with suppress(OSError):
        key_file.unlink(missing_ok=True)
        _write_secret_file(key_file, session_key)
    return session_key


def _write_secret_file(file_path: Path, file_content: bytes) -> None:
    open_flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(file_path, open_flags, _SECRET_FILE_MODE), "wb") as file:
        file.write(file_content)


def _open_listening_socket(address: ListenAddress) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ConsolePortError: The address is in use, or not one of this machine.
    """
    try:
        address_family, socket_kind, protocol_number, _, socket_address = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM
        )[0]
        listening_socket = socket.socket(address_family, socket_kind, protocol_number)
    except OSError as error:
        raise ConsolePortError(listen=str(address), reason=error.strerror or str(error)) from None
    try:
        listening_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening_socket.bind(socket_address)
        listening_socket.listen(_QUEUED_CONNECTIONS)
    except OSError as error:
        listening_socket.close()
        raise ConsolePortError(listen=str(address), reason=error.strerror or str(error)) from None
    return listening_socket
