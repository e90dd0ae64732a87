"""The HTTP side of the sandbox site: a server on 127.0.0.1 that can go down and come back."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import msgspec

from sgevents_core.errors import PortInUseError
from sgevents_core.sandbox.local_requests import refusal_reason

LOOPBACK_HOST: Final = "127.0.0.1"
JSON_CONTENT: Final = "application/json; charset=utf-8"
HTML_CONTENT: Final = "text/html; charset=utf-8"
_UPLOAD_HEADERS: Final = "Content-Security-Policy: sandbox\r\nX-Content-Type-Options: nosniff\r\n"
"""Headers for uploaded files, which must not act as pages of the sandbox in a browser."""

_CLIENT_CHECK_SECONDS: Final = 0.1  # seconds between checks whether a client still waits
_STATUS_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Response:
    """The reply to a request.

    Args:
        body: The bytes of the body.
        status: The HTTP status.
        content_type: The content type.
        sent_bytes: How many bytes of the body are sent before the connection is cut; None for all.
        failure_mode: "drop" closes the connection without an answer, "reset" does so with an RST,
            "silent" never answers.
    """

    body: bytes = b""
    status: int = 200
    content_type: str = JSON_CONTENT
    sent_bytes: int | None = None
    failure_mode: str | None = None


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request: the HTTP method, the path with its query, and the body."""

    method: str
    path: str
    body: bytes


AnswerRequest = Callable[[HttpRequest], Response]
"""Request -> its answer."""


class _RequestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    disable_nagle_algorithm = True
    server: _Listener

    def do_POST(self) -> None:
        """Answer a request with a body."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        refusal_text = refusal_reason(self.headers, self.server.server_port)
        if refusal_text is not None:
            self._send_response(Response(msgspec.json.encode({"error": refusal_text}), 403))
            return
        self._send_response(self.server.answer_request(HttpRequest(self.command, self.path, body)))

    def do_GET(self) -> None:
        """Answer a request without a body."""
        self.do_POST()

    def _send_response(self, response: Response) -> None:
        if response.failure_mode is not None:
            self._misbehave(response.failure_mode)
            return
        if response.sent_bytes is not None:
            self.close_connection = True
        head = (
            f"HTTP/1.1 {response.status} {_STATUS_PHRASES.get(response.status, 'Unknown')}\r\n"
            f"Date: {formatdate(usegmt=True)}\r\n"
            f"Content-Type: {response.content_type}\r\n"
            f"Content-Length: {len(response.body)}\r\n"
            f"{_UPLOAD_HEADERS}"
            f"Connection: {'close' if self.close_connection else 'keep-alive'}\r\n\r\n"
        )
        # Head and body in one piece: the client would wait for the second of two.
        self.wfile.write(head.encode() + response.body[: response.sent_bytes])

    def _misbehave(self, failure_mode: str) -> None:
        self.close_connection = True
        if failure_mode == "silent":
            while not (self.server.is_ending.wait(_CLIENT_CHECK_SECONDS) or self._client_hung_up()):
                pass
        elif failure_mode == "reset":
            # With no time to linger, closing sends RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _client_hung_up(self) -> bool:
        """Return whether the client has stopped waiting."""
        try:
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in http.server
        """Log nothing: the requests do not belong in the caller's log."""


class _Listener(ThreadingHTTPServer):
    """One period of listening, with its connections and threads."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, server_port: int, answer_request: AnswerRequest) -> None:
        self.answer_request = answer_request
        self.is_ending = threading.Event()
        self._open_sockets: set[socket.socket] = set()
        self._connection_threads: set[threading.Thread] = set()
        self._connections_lock = threading.Lock()
        super().__init__((LOOPBACK_HOST, server_port), _RequestHandler)

    def accept_connections(self) -> None:
        """Serve connections until the end."""
        while True:
            try:
                connection, peer_address = self.get_request()
            except OSError:
                continue  # the client gave up before it was accepted
            if self.is_ending.is_set():
                connection.close()
                return
            self.process_request(connection, peer_address)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection on a thread of its own."""
        thread = threading.Thread(
            target=self._serve_connection,
            args=(request, client_address),
            name="sandbox",
            daemon=True,
        )
        with self._connections_lock:
            self._open_sockets.add(request)
            self._connection_threads.add(thread)
        thread.start()

    def _serve_connection(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except (OSError, ValueError):
            pass  # the client may close the connection
        finally:
            with self._connections_lock:
                self._open_sockets.discard(request)
                self._connection_threads.discard(threading.current_thread())
            self._close_without_shutdown(request)

    @staticmethod
    def _close_without_shutdown(connection: socket.socket) -> None:
        # shutdown_request would send FIN first, which spoils a reset.
        connection.close()

    def end_listening(self, acceptor_thread: threading.Thread) -> None:
        """Stop listening, cut all connections and wait for their threads."""
        self.is_ending.set()
        # One last connection wakes the accepting thread at once, on any system.
        socket.create_connection((LOOPBACK_HOST, self.server_port)).close()
        acceptor_thread.join()
        self.server_close()
        with self._connections_lock:
            sockets, threads = list(self._open_sockets), list(self._connection_threads)
        for connection in sockets:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it was closed meanwhile
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(timeout=5)


class SandboxServer:
    """A server on a port of 127.0.0.1 that hands requests to `answer_request`.

    Args:
        server_port: The port; 0 for one that is free.
        answer_request: Answers requests; called on many threads at once.

    Raises:
        PortInUseError: The port is not available.
    """

    def __init__(self, server_port: int, answer_request: AnswerRequest) -> None:
        self._answer_request = answer_request
        self._listener_lock = threading.Lock()
        self._listener: _Listener | None = None
        self._acceptor_thread: threading.Thread | None = None
        self._is_closed = False
        self.port = server_port
        self.start()

    def start(self) -> None:
        """Listen, on the same port as before; do nothing if it already does, or is closed."""
        with self._listener_lock:
            if self._listener is not None or self._is_closed:
                return
            try:
                self._listener = _Listener(self.port, self._answer_request)
            except OSError as error:
                error_text = error.strerror or str(error)
                raise PortInUseError(
                    host=LOOPBACK_HOST, port=self.port, reason=error_text
                ) from None
            self.port = self._listener.server_address[1]
            self._acceptor_thread = threading.Thread(
                target=self._listener.accept_connections, name="sandbox", daemon=True
            )
            self._acceptor_thread.start()

    def stop(self) -> None:
        """Refuse connections and cut existing ones; do nothing if it already does."""
        with self._listener_lock:
            listener, acceptor_thread = self._listener, self._acceptor_thread
            self._listener = self._acceptor_thread = None
        if listener is not None and acceptor_thread is not None:
            listener.end_listening(acceptor_thread)

    def close(self) -> None:
        """Stop for good."""
        with self._listener_lock:
            self._is_closed = True
        self.stop()
