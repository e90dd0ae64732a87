"""A server that answers as its path says: with a status, half a body, nothing, or a closed door.

What follows a `?` is the `Retry-After` of the answer.
"""

from __future__ import annotations

import socket
import socketserver
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from serving import serving

RETRY_AFTER = "7"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __getattr__(self, name: str) -> Any:
        """Answer whatever the method is."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        what = self.path.strip("/").split("/")[0].split("?")[0]
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if what == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.rfile.close()  # holds the connection open, too
            self.connection.close()
            self.close_connection = True
        elif what == "drop":
            self.connection.shutdown(socket.SHUT_RDWR)
        elif what == "silent":
            self.rfile.read(1)  # until the caller has had enough
        elif what == "cut":
            self._head(200, [("Content-Length", "1000")])
            self.wfile.write(b"half")
            self.close_connection = True
        else:
            wait = unquote(self.path.partition("?")[2]) or RETRY_AFTER
            self._head(int(what), [("Content-Length", "0"), ("Retry-After", wait)])

    def _head(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *args: object) -> None:
        """Say nothing of connections that were broken on purpose."""


@contextmanager
def unkind_server() -> Iterator[str]:
    """Answer on a port of this machine; the address is what the block gets."""
    server = _Quiet(("127.0.0.1", 0), _Handler)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_address[1]}"


@contextmanager
def greeting_server(greeting: bytes) -> Iterator[int]:
    """Greet everybody with a line and hang up; the port is what the block gets."""

    class Greets(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(greeting)

    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greets)) as server:
        yield server.server_address[1]


def closed_port() -> int:
    """Return a port of this machine on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
