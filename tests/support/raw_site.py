"""A server on this machine that answers with exactly the bytes of a test, over TCP or TLS."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from waiting import PATIENCE

PAGING = {"has_next_page": False, "entity_count": 0}
INFO = {"version": [8, 50, 0], "api_max_entities_per_page": 500}


class Asked(NamedTuple):
    """A request: the number of its connection, its head in lower case and its body."""

    connection: int
    line: str
    headers: dict[str, str]
    body: bytes


Says = Callable[["Talk", Asked], None]


class Talk:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.is_over = False

    def say(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.sock.sendall(data)

    def hang_up(self) -> None:
        """Close the connection."""
        self.is_over = True

    def for_ever(self, piece: bytes) -> None:
        """Send a piece again and again until the other side has closed."""
        with suppress(OSError):
            while True:
                self.sock.sendall(piece)

    def silence(self) -> None:
        """Send nothing until the other side has closed."""
        with suppress(OSError):
            while self.sock.recv(65536):
                pass
        self.is_over = True


class RawSite:
    """Answers `info` as a site does, and everything else with what `says` does.

    Args:
        context: Begins TLS; None for none.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._context = context
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        self.connections = 0
        self.asked: list[Asked] = []
        self.info: Says = answers(INFO, wrapped=False)
        self.says: Says = answers({"entities": [], "paging_info": PAGING})
        self.port: int = self._listening.getsockname()[1]
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        with self._changed:
            return len(self._open)

    def wait_for(self, open_connections: int) -> None:
        """Wait until only so many connections are open."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._open) <= open_connections, 20), self

    def close(self) -> None:
        """End all connections."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for sock in list(self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                self.connections += 1
                one = threading.Thread(target=self._serve, args=(sock, self.connections))
                one.daemon = True
                self._threads.append(one)
                one.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with self._changed:
            self._open.add(sock)
        try:
            with suppress(OSError, ssl.SSLError):
                secured = (
                    self._context.wrap_socket(sock, server_side=True) if self._context else sock
                )
                with secured:
                    self._talk(Talk(secured), number)
        finally:
            sock.close()
            with self._changed:
                self._open.discard(sock)
                self._changed.notify_all()

    def _talk(self, talk: Talk, number: int) -> None:
        with talk.sock.makefile("rb") as file:
            while not talk.is_over and (asked := _read(file, number)) is not None:
                self.asked.append(asked)
                if b'"method_name": "info"' in asked.body:
                    self.info(talk, asked)
                else:
                    self.says(talk, asked)


def _read(file: Any, number: int) -> Asked | None:
    line = file.readline().decode("latin-1").strip()
    if not line:
        return None
    headers = {}
    while head := file.readline().decode("latin-1").strip():
        name, _, value = head.partition(":")
        headers[name.lower()] = value.strip()
    body = file.read(int(headers.get("content-length", 0)))
    return Asked(number, line, headers, body)


def answers(results: Any, *, wrapped: bool = True, **headers: str) -> Says:
    """Answer with results in the form of the API."""
    body = json.dumps({"results": results} if wrapped else results).encode()
    return sends(body, **headers)


def sends(body: bytes, status: str = "200 OK", **headers: str) -> Says:
    """Answer with a body; `_` in names of headers stands for `-`."""
    named = {"content_type": "application/json", "content_length": str(len(body)), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
    return says(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)


def says(data: bytes) -> Says:
    """Answer with bytes."""
    return lambda talk, _asked: talk.say(data)


@contextmanager
def raw_site(context: ssl.SSLContext | None = None) -> Iterator[RawSite]:
    """Run a server while the block lasts."""
    site = RawSite(context)
    try:
        yield site
    finally:
        site.close()
