"""A socket to a site with a time limit for the whole call and a limit on the bytes it accepts.

Also opens the socket: looks up the name, tries each address, asks a proxy for a tunnel, begins TLS.
"""

from __future__ import annotations

import base64
import io
import os
import socket
import ssl
import stat
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from http.client import HTTPResponse
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple, cast

from sgevents_core.readiness import wait_until_readable
from sgevents_core.site.answers import too_large
from sgevents_core.site.deadline import Deadline

LARGEST_ANSWER: Final = 128 * 1024 * 1024
"""The largest answer in bytes, packed or unpacked: about 100 times a page of 500 rows."""
_BUFFER_SIZE: Final = 1 << 16
_SENT_AT_ONCE: Final = 1 << 18
_KEEP_ALIVE_OPTIONS: Final[Mapping[str, int]] = {
    "TCP_KEEPIDLE": 15,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 20_000,
}
"""Keep-alive options of the system, in seconds, as a count and in milliseconds.

With them a lost peer is noticed within half a minute.
"""


class Proxy(NamedTuple):
    """The proxy in front of a site, and its credentials."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers that identify the client in a request for a tunnel."""
        if not self.user or self.password is None:
            return {}
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {pair}"}


class Endpoint(NamedTuple):
    """The address of a site, the proxy in front of it and the certificates to trust."""

    scheme: str
    host: str
    port: int | None
    ca_certs: str | None = None
    proxy: Proxy | None = None

    @property
    def authority(self) -> str:
        """The host and port in the form that a request uses."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def effective_port(self) -> int:
        """The port, by default that of the scheme."""
        return self.port or (443 if self.scheme == "https" else 80)


class ProxyRefusedError(ConnectionError):
    """The proxy refused the tunnel with `proxy_status`, which is not a status of the site."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"the proxy refused the connection: {status} {reason}")
        self.proxy_status = status
        self.reason = reason


class BoundedSocket:
    """An open socket, in the form that http.client requires.

    Args:
        sock: The socket.
        deadline: When the call made over it has to end.
        most_bytes: The most bytes to accept in one call; None for any number.
    """

    def __init__(
        self, sock: socket.socket, deadline: Deadline, most_bytes: int | None = LARGEST_ANSWER
    ) -> None:
        self._sock = sock
        self._most_bytes = most_bytes
        self._open_readers = 0
        self._is_closing = False
        self._is_ended = False
        self._owner_pid = os.getpid()
        self.begin(deadline)

    def begin(self, deadline: Deadline) -> None:
        """Set the deadline of the next call, and count its bytes from zero."""
        self._deadline = deadline
        self.received_bytes = 0

    def sendall(self, data: Any) -> None:
        """Send all the bytes, or raise when time runs out."""
        unsent_bytes = memoryview(data).cast("B")
        while unsent_bytes:
            self._apply_deadline()
            self._sock.sendall(unsent_bytes[:_SENT_AT_ONCE])
            self._deadline.moved(len(unsent_bytes[:_SENT_AT_ONCE]))
            unsent_bytes = unsent_bytes[_SENT_AT_ONCE:]

    def receive_into(self, buffer: Any) -> int:
        """Receive the bytes that have arrived, and return their number; 0 at the end."""
        self._apply_deadline()
        try:
            byte_count = self._sock.recv_into(buffer)
        except TimeoutError:
            self._deadline.seconds_left()  # raises with its own message
            raise
        self.received_bytes += byte_count
        self._deadline.moved(byte_count)
        if self._most_bytes is not None and self.received_bytes > self._most_bytes:
            raise too_large(self._most_bytes)
        return byte_count

    def makefile(self, *_mode: Any) -> io.BufferedReader:
        """Return a reader, as a socket does; the socket stays open until the reader closes too."""
        self._open_readers += 1
        return io.BufferedReader(_SocketReader(self), _BUFFER_SIZE)

    def close(self) -> None:
        """Close the socket, at once or when its reader is closed."""
        self._is_closing = True
        if not self._open_readers:
            self._sock.close()

    def release_reader(self) -> None:
        """Note that a reader was closed; close the socket if that is due."""
        self._open_readers -= 1
        if self._is_closing and self._open_readers <= 0:
            self._sock.close()

    def end(self) -> None:
        """Close the socket now, even while another thread reads from it."""
        self._is_ended = True
        if self.is_own:  # a fork only has a copy: the connection must stay open
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    @property
    def is_own(self) -> bool:
        """Whether this process opened the socket, rather than the process it was forked from."""
        return self._owner_pid == os.getpid()

    @property
    def has_received_nothing(self) -> bool:
        """Whether nothing arrived in this call, and this side did not close the socket."""
        return not self.received_bytes and not self._is_ended

    def has_no_news(self) -> bool:
        """Return whether nothing has arrived since the last answer, not even the peer's close."""
        try:
            return not wait_until_readable([self._sock], 0)
        except (OSError, ValueError):
            return False

    def secure(self, endpoint: Endpoint) -> None:
        """Begin TLS as a client of the host."""
        self._apply_deadline()
        context = tls_context_of(endpoint.ca_certs)
        self._sock = context.wrap_socket(self._sock, server_hostname=endpoint.host)

    def _apply_deadline(self) -> None:
        self._sock.settimeout(self._deadline.seconds_left())


class _SocketReader(io.RawIOBase):
    """A reader of a bounded socket."""

    def __init__(self, line: BoundedSocket) -> None:
        self._bounded_socket: BoundedSocket | None = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._bounded_socket.receive_into(buffer) if self._bounded_socket is not None else 0

    def close(self) -> None:
        line, self._bounded_socket = self._bounded_socket, None
        if line is not None:
            line.release_reader()
        super().close()


def dial(endpoint: Endpoint, deadline: Deadline) -> BoundedSocket:
    """Open a socket to a site.

    Raises:
        OSError: No connection could be made; a TimeoutError if none was found in time.
        ProxyRefusedError: The proxy refused the tunnel.
        ssl.SSLError: The site's certificate is not trusted.
    """
    proxy = endpoint.proxy
    plain_socket = _connect_to_host(
        *(proxy[:2] if proxy else (endpoint.host, endpoint.effective_port)), deadline
    )
    bounded_socket = BoundedSocket(plain_socket, deadline)
    try:
        if proxy:
            _open_tunnel(bounded_socket, endpoint, proxy)
        if endpoint.scheme == "https":
            bounded_socket.secure(endpoint)
    except BaseException as error:
        bounded_socket.end()
        if isinstance(error, TimeoutError):
            deadline.seconds_left()  # raises with its own message
        raise
    return bounded_socket


def _connect_to_host(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Connect to the first address that answers; those not yet tried share the time left."""
    host_addresses = _look_up_addresses(host, port, deadline)
    last_error: OSError = OSError(f"{host} has no address")
    for tried_count, (address_family, socket_type, socket_protocol, _, socket_address) in enumerate(
        host_addresses
    ):
        seconds_left = deadline.seconds_left()
        sock = socket.socket(address_family, socket_type, socket_protocol)
        try:
            sock.settimeout(
                None if seconds_left is None else seconds_left / (len(host_addresses) - tried_count)
            )
            sock.connect(socket_address)
        except OSError as error:
            sock.close()
            last_error = error
        else:
            _keep_alive(sock)
            return sock
    deadline.seconds_left()
    raise last_error


def _look_up_addresses(host: str, port: int, deadline: Deadline) -> list[Any]:
    """Look up a name in a thread of its own, since the system's look-up has no time limit."""
    seconds_left = deadline.seconds_left()
    if seconds_left is None or host == "localhost" or _is_ip_address(host):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    lookup_results: SimpleQueue[list[Any] | Exception] = SimpleQueue()

    def look_up() -> None:
        try:
            lookup_results.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:  # an error of the resolver, or an impossible name
            lookup_results.put(error)

    threading.Thread(target=look_up, name=f"sgevents-lookup-{host[:40]}", daemon=True).start()
    try:
        host_addresses = lookup_results.get(timeout=seconds_left)
    except Empty:
        deadline.seconds_left()
        raise TimeoutError("the name of the host could not be looked up in time") from None
    if isinstance(host_addresses, Exception):
        raise host_addresses
    return host_addresses


def _is_ip_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option_name, option_value in _KEEP_ALIVE_OPTIONS.items():
        socket_option = getattr(socket, option_name, None)
        if socket_option is not None:
            with suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket_option, option_value)


def _open_tunnel(bounded_socket: BoundedSocket, site_endpoint: Endpoint, proxy: Proxy) -> None:
    """Ask a proxy for a connection to the site."""
    host = f"[{site_endpoint.host}]" if ":" in site_endpoint.host else site_endpoint.host
    tunnel_target = f"{host}:{site_endpoint.effective_port}"
    request_headers = {"Host": tunnel_target, **proxy.headers}
    request_lines = [
        f"CONNECT {tunnel_target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in request_headers.items()),
    ]
    bounded_socket.sendall("\r\n".join([*request_lines, "", ""]).encode("latin-1"))
    with HTTPResponse(cast("socket.socket", bounded_socket), method="CONNECT") as proxy_answer:
        proxy_answer.begin()
        if not 200 <= proxy_answer.status < 300:
            raise ProxyRefusedError(proxy_answer.status, proxy_answer.reason)


def tls_context_of(ca_certs: str | None) -> ssl.SSLContext:
    """Return a TLS context that trusts the certificates in a file and checks the host name."""
    file_status = os.stat(ca_certs) if ca_certs else None  # noqa: PTH116 - the client's path is a string
    if file_status and not stat.S_ISREG(file_status.st_mode):
        raise OSError(f"{ca_certs} is not a file of certificates")
    return _cached_tls_context(
        ca_certs, (file_status.st_mtime_ns, file_status.st_size) if file_status else None
    )


@lru_cache(maxsize=8)
def _cached_tls_context(ca_certs: str | None, _file_version: object) -> ssl.SSLContext:
    """Return a cached context: reading the world's certificates takes 20 ms."""
    if ca_certs is None:
        return ssl.create_default_context()
    tls_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls_context.load_verify_locations(ca_certs)
    return tls_context
