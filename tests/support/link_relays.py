"""TCP relays in front of servers: links that go silent or break, and mend again."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

_CHUNK_BYTES: Final = 1 << 16
_CONNECT_WITHIN: Final = 5.0
_LINGER_FOR_RESET: Final = struct.pack("ii", 1, 0)
"""A socket that is closed with it sends a reset."""
T = TypeVar("T")


class Relay:
    """Listens at an address of its own, and carries bytes to a server and back.

    Made by `Relays`, in whose thread everything happens.

    Args:
        target: The host and port of the server.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener: asyncio.Server | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self._is_broken = False
        self._writers: set[asyncio.StreamWriter] = set()
        self.address = ("", 0)

    async def open(self, host: str, port: int = 0) -> None:
        """Begin to listen."""
        self._listener = await asyncio.start_server(self._accept, host, port)
        name = self._listener.sockets[0].getsockname()
        self.address = (str(name[0]), int(name[1]))

    async def go_silent(self) -> None:
        """Keep everything that is sent from now on; connections are accepted, and never answer."""
        self._flows.clear()

    async def break_off(self) -> None:
        """Reset all connections, and those to come."""
        self._is_broken = True
        self._reset_all()

    async def mend(self, *, is_forgetful: bool) -> None:
        """Carry everything again.

        Args:
            is_forgetful: Whether what was kept is lost, with its connections; else it arrives now.
        """
        self._is_broken = False
        if is_forgetful:
            self._reset_all()
        self._flows.set()

    async def close(self) -> None:
        """End it for good."""
        if self._listener is not None:
            self._listener.close()
        await self.break_off()
        self._flows.set()

    def _reset_all(self) -> None:
        for writer in list(self._writers):
            _reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._flows.wait()
            if self._is_broken:
                _reset(writer)
            elif not writer.is_closing():
                await self._connect(reader, writer)
        except (OSError, asyncio.TimeoutError):  # the server is not there
            _reset(writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened = asyncio.open_connection(*self._target)
        server_reader, server_writer = await asyncio.wait_for(opened, _CONNECT_WITHIN)
        self._writers.add(server_writer)
        try:
            await asyncio.gather(
                self._carry(reader, server_writer), self._carry(server_reader, writer)
            )
        finally:
            self._writers.discard(server_writer)
            server_writer.close()

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await source.read(_CHUNK_BYTES):
                await self._flows.wait()
                target.write(chunk)
                await target.drain()
        await self._flows.wait()
        target.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset, as a machine does that does not know it."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_FOR_RESET
        )
    writer.transport.abort()


class Relays:
    """All relays of a test, in a thread of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda loop, context: None)  # connections end all the time
        self._relays: list[Relay] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="relays")
        self._thread.start()

    def open(self, target: tuple[str, int], host: str = "127.0.0.1", port: int = 0) -> Relay:
        """Open a relay to a server, which need not be there yet."""

        async def make() -> Relay:
            relay = Relay(target)
            await relay.open(host, port)
            return relay

        relay = self.run(make())
        self._relays.append(relay)
        return relay

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something with a relay, such as `run(relay.go_silent())`."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """End all of them, and the thread."""
        for relay in self._relays:
            self.run(relay.close())
        self.run(_end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
