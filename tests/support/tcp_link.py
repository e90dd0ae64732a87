"""A TCP connection that can be cut, held, or lose what a rule names: between a client and NATS."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum


class Fate(Enum):
    """What becomes of one operation of the protocol."""

    PASS = "pass"
    DROP = "drop"
    CUT = "cut"
    """It is dropped, and the connection ends."""


Rule = Callable[[str, bytes], Fate]
"""Decides about `to server` or `to client`, and the first line of an operation."""


class Link:
    """Listens on a port of its own, and connects whoever comes with the server behind it."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: set[socket.socket] = set()
        self._flows = threading.Event()
        self._flows.set()
        self._is_whole = True
        self.rule: Rule = lambda direction, line: Fate.PASS
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def has_connection(self) -> bool:
        """Whether anybody is connected."""
        return bool(self._sockets)

    def cut(self) -> None:
        """End all connections, and refuse new ones until it is mended."""
        self._is_whole = False
        self._end_all()

    def mend(self) -> None:
        """Accept connections again."""
        self._is_whole = True
        self._flows.set()

    def hold(self) -> None:
        """Keep everything that is sent from now on, without ending any connection."""
        self._flows.clear()

    def release(self) -> None:
        """Let everything that was held go on its way."""
        self._flows.set()

    def close(self) -> None:
        """End it for good."""
        self._is_whole = False
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._flows.set()
        self._end_all()
        for thread in self._threads:
            thread.join()

    def _end_all(self) -> None:
        for end in list(self._sockets):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            if not self._is_whole:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:
                client.close()
                continue
            self._sockets |= {client, server}
            still = [2]
            for source, target, direction in (
                (client, server, "to server"),
                (server, client, "to client"),
            ):
                thread = threading.Thread(
                    target=self._carry, args=(source, target, direction, still), daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def _carry(
        self, source: socket.socket, target: socket.socket, direction: str, still: list[int]
    ) -> None:
        with suppress(OSError):
            for line, operation in _operations(source):
                self._flows.wait()
                fate = self.rule(direction, line)
                if fate is Fate.CUT:
                    break
                if fate is Fate.PASS:
                    target.sendall(operation)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        still[0] -= 1
        if not still[0]:
            self._sockets -= {source, target}
            source.close()
            target.close()


def _operations(source: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Yield the first line and all bytes of each operation that comes."""
    with source.makefile("rb") as stream:
        while line := stream.readline():
            words = line.split()
            has_payload = words and words[0].upper() in {b"PUB", b"HPUB", b"MSG", b"HMSG"}
            yield line, line + (stream.read(int(words[-1]) + 2) if has_payload else b"")


def drop_nth(direction: str, wanted: bytes, number: int, fate: Fate) -> Rule:
    """Return a rule that gives a fate to the n-th operation with `wanted` in its first line."""
    seen = [0]

    def judge(sent: str, line: bytes) -> Fate:
        if sent != direction or wanted not in line:
            return Fate.PASS
        seen[0] += 1
        return fate if seen[0] == number else Fate.PASS

    return judge


@contextmanager
def linked(server_port: int) -> Iterator[Link]:
    """Have a link to a server while the block lasts."""
    link = Link(server_port)
    try:
        yield link
    finally:
        link.close()
