"""A proxy on this machine that tunnels connections, and breaks those that a test chooses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from serving import serving


class Proxy(ThreadingHTTPServer):
    """Tunnels connections; counts the requests that went through and those it broke."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Tunnel)
        self.passed = 0
        self.broken = 0
        self.breaks = 0

    @property
    def address(self) -> str:
        """Where it listens, as `http_proxy` has it."""
        return f"127.0.0.1:{self.server_address[1]}"

    def breaks_now(self) -> bool:
        """Whether the current request is to be broken."""
        if self.breaks:
            self.breaks -= 1
            self.broken += 1
            return True
        self.passed += 1
        return False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report nothing: a client may disconnect at any time."""


class Tunnel(BaseHTTPRequestHandler):
    """One connection."""

    server: Proxy

    def do_CONNECT(self) -> None:
        """Pass on data in both directions until one side closes, or break the connection."""
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as site:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=handed_on, args=(site, self.connection), daemon=True)
            back.start()
            while (data := self.connection.recv(65536)) and not (
                data.startswith(b"POST") and self.server.breaks_now()
            ):
                site.sendall(data)
            for end in (site, self.connection):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            back.join()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def handed_on(one: socket.socket, other: socket.socket) -> None:
    """Pass on data from one end to the other."""
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_RDWR)


@contextmanager
def forward_proxy() -> Iterator[Proxy]:
    """Run a proxy while the block lasts."""
    with serving(Proxy()) as proxy:
        yield proxy
