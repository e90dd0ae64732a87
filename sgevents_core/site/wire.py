"""Send calls over one kept-open connection to a site: bounded in time and size, no redirects."""

from __future__ import annotations

import threading
import time
import weakref
import zlib
from http.client import HTTPConnection, HTTPResponse, RemoteDisconnected
from ssl import SSLEOFError
from typing import Final, NamedTuple, cast

from sgevents_core.site.answers import NotAnAnswerError, too_large
from sgevents_core.site.bounded_socket import LARGEST_ANSWER, BoundedSocket, Endpoint, dial
from sgevents_core.site.deadline import Deadline

IDLE_SECONDS: Final = 30.0
"""Seconds after which a connection is not reused, since a router may have forgotten it."""
_PIECE_SIZE: Final = 1 << 18
_MOST_MEMBERS: Final = 16
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


class HttpReply(NamedTuple):
    """An HTTP answer: header names in lower case, the body unpacked."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes


class Wire:
    """A connection to a site, opened when needed.

    Args:
        site_endpoint: Where the site is.
    """

    def __init__(self, site_endpoint: Endpoint) -> None:
        self.place: Final = site_endpoint
        self._lock = threading.Lock()
        self._http_connection: HTTPConnection | None = None
        self._bounded_socket: BoundedSocket | None = None
        self._is_closing = False
        self._last_used_at = 0.0
        _OPEN_WIRES.add(self)

    def request(
        self, verb: str, path: str, body: bytes | None, headers: dict[str, str], deadline: Deadline
    ) -> HttpReply:
        """Send a request and return the answer; a redirect is an answer like any other.

        Raises:
            OSError: The connection failed; a TimeoutError if it took too long.
            HTTPException: The answer is not valid HTTP.
            NotAnAnswerError: The body cannot be unpacked; a TooLargeError if it is too large.
        """
        request_headers = {
            "Host": self.place.authority,
            "Accept-Encoding": "gzip, deflate",
            **headers,
        }
        with self._lock:
            try:
                answer = self._send_request(verb, path, body, request_headers, deadline)
                reply = _read_reply(answer)
            except BaseException:
                self._drop_connection()
                raise
            if self._is_closing or not self._http_connection or not self._http_connection.sock:
                self._drop_connection()
            self._last_used_at = time.monotonic()
        _OPEN_WIRES.close_idle(self._last_used_at)
        return reply

    def close(self) -> None:
        """Close the connection; a call that another thread is making over it fails."""
        if self._lock.acquire(blocking=False):
            try:
                self._drop_connection()
            finally:
                self._lock.release()
            return
        self._is_closing = True  # for a connection that is just being opened
        if (bounded_socket := self._bounded_socket) is not None:
            bounded_socket.end()

    def close_if_idle(self, monotonic_now: float) -> None:
        """Close the connection unless it is in use, or was within the last half minute."""
        if monotonic_now - self._last_used_at > IDLE_SECONDS and self._lock.acquire(blocking=False):
            try:
                self._drop_connection()
            finally:
                self._lock.release()

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._bounded_socket is not None

    def _send_request(
        self,
        verb: str,
        path: str,
        body: bytes | None,
        request_headers: dict[str, str],
        deadline: Deadline,
    ) -> HTTPResponse:
        """Return the answer, its headers read; retry once if a kept connection was closed."""
        is_reused = self._is_usable()
        http_connection, bounded_socket = self._open_connection(deadline)
        try:
            http_connection.request(verb, path, body, request_headers)
            return http_connection.getresponse()
        except (RemoteDisconnected, SSLEOFError, BrokenPipeError):
            if not is_reused or not bounded_socket.has_received_nothing:
                raise
        except TimeoutError:
            deadline.seconds_left()
            if (
                not is_reused or not bounded_socket.has_received_nothing
            ):  # otherwise the peer is gone
                raise
        self._drop_connection()
        http_connection, _ = self._open_connection(deadline)
        http_connection.request(verb, path, body, request_headers)
        return http_connection.getresponse()

    def _is_usable(self) -> bool:
        """Return whether the connection is open and can be used again; close it if not."""
        if self._bounded_socket is None:
            return False
        bounded_socket, idle_seconds = self._bounded_socket, time.monotonic() - self._last_used_at
        if idle_seconds <= IDLE_SECONDS and bounded_socket.is_own and bounded_socket.has_no_news():
            return True
        self._drop_connection()
        return False

    def _open_connection(self, deadline: Deadline) -> tuple[HTTPConnection, BoundedSocket]:
        if self._http_connection is None or self._bounded_socket is None:
            self._bounded_socket = dial(self.place, deadline)
            if self._is_closing:
                raise ConnectionAbortedError("the connection was closed while it was opened")
            self._http_connection = HTTPConnection(self.place.host, self.place.effective_port)
            self._http_connection.auto_open = 0
            self._http_connection.sock = cast(
                "None", self._bounded_socket
            )  # a bounded socket has every method that http.client needs
        self._bounded_socket.begin(deadline)
        return self._http_connection, self._bounded_socket

    def _drop_connection(self) -> None:
        http_connection, bounded_socket = self._http_connection, self._bounded_socket
        self._http_connection = self._bounded_socket = None
        if http_connection is not None:
            http_connection.close()
        if bounded_socket is not None:
            bounded_socket.end()


class _OpenWires:
    """All connections of this process, so that those no longer used can be closed.

    Threads of plugins, paused plugins and finished replays leave some behind.
    """

    def __init__(self) -> None:
        self._wire_references: dict[int, weakref.ref[Wire]] = {}
        self._last_check_at = 0.0

    def add(self, wire: Wire) -> None:
        """Track a connection for as long as it is referenced."""
        wire_key = id(wire)
        self._wire_references[wire_key] = weakref.ref(wire, lambda _: self._forget(wire_key))

    def close_idle(self, monotonic_now: float) -> None:
        """Close the idle connections; check only now and then."""
        if monotonic_now - self._last_check_at < IDLE_SECONDS:
            return
        self._last_check_at = monotonic_now
        for wire_reference in list(self._wire_references.values()):
            wire = wire_reference()
            if wire is not None:
                wire.close_if_idle(monotonic_now)

    def _forget(self, wire_key: int) -> None:
        self._wire_references.pop(wire_key, None)


_OPEN_WIRES: Final = _OpenWires()


def _read_reply(http_response: HTTPResponse) -> HttpReply:
    headers = {
        header_name.lower(): header_value
        for header_name, header_value in http_response.getheaders()
    }
    content_encoding = headers.get("content-encoding", "").strip().lower()
    body = _unpack_body(content_encoding, _read_body(http_response))
    return HttpReply(http_response.status, http_response.reason, headers, body)


def _read_body(http_response: HTTPResponse) -> bytes:
    """Return the body as received; http.client would allocate the announced size first."""
    if http_response.length is not None:
        if http_response.length > LARGEST_ANSWER:
            raise too_large(LARGEST_ANSWER)
        return http_response.read()
    body_pieces = []
    while body_piece := http_response.read(_PIECE_SIZE):
        body_pieces.append(body_piece)
    return b"".join(body_pieces)


def _unpack_body(content_encoding: str, packed_body: bytes) -> bytes:
    if content_encoding in {"", "identity"} or not packed_body:
        return packed_body
    if content_encoding not in {"gzip", "x-gzip", "deflate"}:
        raise NotAnAnswerError(f"it is packed as {content_encoding[:20]!r}, which nobody asked for")
    try:
        return _decompress(packed_body, _GZIP_OR_ZLIB)
    except zlib.error:
        if content_encoding != "deflate":
            raise NotAnAnswerError(f"it says {content_encoding}, and cannot be unpacked") from None
    try:
        return _decompress(packed_body, -zlib.MAX_WBITS)  # raw deflate, which some servers send
    except zlib.error:
        raise NotAnAnswerError(f"it says {content_encoding}, and cannot be unpacked") from None


def _decompress(packed_body: bytes, window_bits: int) -> bytes:
    """Decompress all members of a body; stop where it would become too large."""
    unpacked_body: list[bytes] = []
    unpacked_size = 0
    for _ in range(_MOST_MEMBERS):
        gzip_member = zlib.decompressobj(window_bits)
        unpacked_body.append(
            gzip_member.decompress(packed_body, LARGEST_ANSWER - unpacked_size + 1)
        )
        unpacked_size += len(unpacked_body[-1])
        if unpacked_size > LARGEST_ANSWER:
            raise too_large(LARGEST_ANSWER)
        if not gzip_member.eof:
            raise zlib.error("it ends too early")
        packed_body = gzip_member.unused_data
        if not packed_body.strip(b"\0"):
            return b"".join(unpacked_body)
    raise zlib.error("it has too many parts")
