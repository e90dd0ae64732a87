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
from sgevents_core.sandbox.neighbours import refusal

HOST: Final = "127.0.0.1"
JSON: Final = "application/json; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"
_KEPT_APART: Final = "Content-Security-Policy: sandbox\r\nX-Content-Type-Options: nosniff\r\n"
"""Headers for uploaded files: one shown in a browser must not act in the sandbox's name."""

_GLANCE: Final = 0.1  # seconds between looks whether a client still waits
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Response:
    """The reply to a request.

    Args:
        body: The body.
        status: The HTTP status.
        kind: The content type.
        sent: How many bytes of the body are sent before the connection is cut; None for all.
        instead: "drop" closes the connection without an answer, "reset" does so with an RST,
            "silent" never answers.
    """

    body: bytes = b""
    status: int = 200
    kind: str = JSON
    sent: int | None = None
    instead: str | None = None


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request: the HTTP method, the path with its query, and the body."""

    method: str
    path: str
    body: bytes


Respond = Callable[[HttpRequest], Response]
"""Request -> its answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    disable_nagle_algorithm = True
    server: _Listener

    def do_POST(self) -> None:
        """Answer a request with a body."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        foreign = refusal(self.headers, self.server.server_port)
        if foreign is not None:
            self._send(Response(msgspec.json.encode({"error": foreign}), 403))
            return
        self._send(self.server.respond(HttpRequest(self.command, self.path, body)))

    def do_GET(self) -> None:
        """Answer a request without a body."""
        self.do_POST()

    def _send(self, answer: Response) -> None:
        if answer.instead is not None:
            self._refuse(answer.instead)
            return
        if answer.sent is not None:
            self.close_connection = True
        head = (
            f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, 'Unknown')}\r\n"
            f"Date: {formatdate(usegmt=True)}\r\n"
            f"Content-Type: {answer.kind}\r\n"
            f"Content-Length: {len(answer.body)}\r\n"
            f"{_KEPT_APART}"
            f"Connection: {'close' if self.close_connection else 'keep-alive'}\r\n\r\n"
        )
        # Head and body in one piece: the client would wait for the second of two.
        self.wfile.write(head.encode() + answer.body[: answer.sent])

    def _refuse(self, how: str) -> None:
        self.close_connection = True
        if how == "silent":
            while not (self.server.ending.wait(_GLANCE) or self._hung_up()):
                pass
        elif how == "reset":
            # With no time to linger, closing sends RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _hung_up(self) -> bool:
        """Return whether the client has stopped waiting."""
        try:
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server has it
        """Log nothing: the server has no part in the caller's log."""


class _Listener(ThreadingHTTPServer):
    """One period of listening, with its connections and threads."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, respond: Respond) -> None:
        self.respond = respond
        self.ending = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._workers: set[threading.Thread] = set()
        self._guard = threading.Lock()
        super().__init__((HOST, port), _Handler)

    def accept(self) -> None:
        """Serve connections until the end."""
        while True:
            try:
                request, address = self.get_request()
            except OSError:
                continue  # the client gave up before it was accepted
            if self.ending.is_set():
                request.close()
                return
            self.process_request(request, address)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection on a thread of its own."""
        worker = threading.Thread(
            target=self._serve, args=(request, client_address), name="sandbox", daemon=True
        )
        with self._guard:
            self._sockets.add(request)
            self._workers.add(worker)
        worker.start()

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except (OSError, ValueError):
            pass  # the client may close the connection
        finally:
            with self._guard:
                self._sockets.discard(request)
                self._workers.discard(threading.current_thread())
            self._close(request)

    @staticmethod
    def _close(request: socket.socket) -> None:
        # shutdown_request would send FIN first, which spoils a reset.
        request.close()

    def end(self, acceptor: threading.Thread) -> None:
        """Stop listening, cut all connections and wait for their threads."""
        self.ending.set()
        # One last connection wakes the accepting thread at once, on any system.
        socket.create_connection((HOST, self.server_port)).close()
        acceptor.join()
        self.server_close()
        with self._guard:
            sockets, workers = list(self._sockets), list(self._workers)
        for connection in sockets:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it was closed meanwhile
        for worker in workers:
            if worker is not threading.current_thread():
                worker.join(timeout=5)


class Server:
    """A server on a port of 127.0.0.1 that hands requests to `respond`.

    Args:
        port: The port; 0 for one that is free.
        respond: Answers requests; called on many threads at once.

    Raises:
        PortInUseError: The port is not available.
    """

    def __init__(self, port: int, respond: Respond) -> None:
        self._respond = respond
        self._lock = threading.Lock()
        self._listener: _Listener | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self.port = port
        self.start()

    def start(self) -> None:
        """Listen, on the same port as before; do nothing if it does already, or is closed."""
        with self._lock:
            if self._listener is not None or self._closed:
                return
            try:
                self._listener = _Listener(self.port, self._respond)
            except OSError as error:
                reason = error.strerror or str(error)
                raise PortInUseError(host=HOST, port=self.port, reason=reason) from None
            self.port = self._listener.server_address[1]
            self._thread = threading.Thread(
                target=self._listener.accept, name="sandbox", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Refuse connections and cut existing ones; do nothing if it does already."""
        with self._lock:
            listener, thread = self._listener, self._thread
            self._listener = self._thread = None
        if listener is not None and thread is not None:
            listener.end(thread)

    def close(self) -> None:
        """Stop for good."""
        with self._lock:
            self._closed = True
        self.stop()
