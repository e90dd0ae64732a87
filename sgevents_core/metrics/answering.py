"""A small HTTP server for monitoring: a few paths, bounded in connections, size and time."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import weakref
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final, NamedTuple, TypeAlias

from sgevents_core.errors import ListenError
from sgevents_core.settings import ListenAddress

logger = logging.getLogger("sgevents.daemon")

LISTEN_KEY: Final = "metrics.listen"
"""The key of the address in the configuration."""
MOST_CONNECTIONS: Final = 100
"""The most connections at a time; for one more, the oldest is closed."""
MOST_REQUEST_BYTES: Final = 8192
"""The longest request accepted, in bytes; a scrape has a few hundred."""
REQUEST_SECONDS: Final = 10.0
"""Seconds for one connection: the request, the answer and its sending."""
_QUEUED_CONNECTIONS: Final = 128
_MOST_READS: Final = 16
"""How much of a request is read that is too long, in portions of its limit."""
_START_TIMEOUT: Final = 10.0
PLAIN_TEXT: Final = "text/plain; charset=utf-8"
_STATUS_PHRASES: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class Reply(NamedTuple):
    """An answer to a request.

    Args:
        status: The HTTP status.
        body: The body.
        content_type: Its type.
    """

    status: int
    body: bytes
    content_type: str = PLAIN_TEXT


Page: TypeAlias = Callable[[], Awaitable[Reply]]


class AnsweringServer:
    """A server with a thread of its own, which only ever answers.

    Args:
        address: The address to listen on.
        pages: Path -> what answers a request for it.
        config_path: The configuration file, for the error.
        key: The key of the address in it.

    Raises:
        ListenError: The address cannot be listened on.
    """

    def __init__(
        self, address: ListenAddress, pages: Mapping[str, Page], *, config_path: object, key: str
    ) -> None:
        self._pages_by_path = pages
        self._connections: dict[asyncio.Task[None], None] = {}
        try:
            self._listening_socket = _listening_socket(address)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ListenError(config=config_path, key=key, address=address, reason=reason) from None
        host, port = self._listening_socket.getsockname()[:2]
        self.address = ListenAddress(host, port)
        _LISTENING_SERVERS.add(self)
        self._event_loop = asyncio.new_event_loop()
        self._is_serving = threading.Event()
        self._thread = threading.Thread(target=self._run_event_loop, name="metrics", daemon=True)
        self._thread.start()
        self._is_serving.wait(_START_TIMEOUT)

    def close(self) -> None:
        """End it; a request that is being answered is cut off."""
        with suppress(RuntimeError):  # the loop has ended already
            self._event_loop.call_soon_threadsafe(self._event_loop.stop)
        self._thread.join(_START_TIMEOUT)
        self._listening_socket.close()
        _LISTENING_SERVERS.discard(self)

    def close_in_fork(self) -> None:
        """Give up the port in a forked process, which may outlive the daemon."""
        with suppress(OSError):
            os.close(self._listening_socket.detach())

    def _run_event_loop(self) -> None:
        asyncio.set_event_loop(self._event_loop)
        try:
            server = self._event_loop.run_until_complete(
                asyncio.start_server(
                    self._serve_connection,
                    sock=self._listening_socket,
                    limit=MOST_REQUEST_BYTES,
                    start_serving=True,
                )
            )
            self._is_serving.set()
            self._event_loop.run_forever()
            server.close()
            self._cancel_connections()
        except Exception:
            logger.exception("The server for monitoring ended", extra={"action": "metrics.ended"})
        finally:
            self._is_serving.set()
            self._event_loop.close()

    def _cancel_connections(self) -> None:
        connections = asyncio.all_tasks(self._event_loop)
        for connection in connections:
            connection.cancel()
        with suppress(asyncio.CancelledError):
            self._event_loop.run_until_complete(
                asyncio.gather(*connections, return_exceptions=True)
            )

    async def _serve_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer one request, and close the connection."""
        if len(self._connections) >= MOST_CONNECTIONS:
            next(iter(self._connections)).cancel()
        connection = asyncio.ensure_future(self._answer_request(reader, writer))
        self._connections[connection] = None
        try:
            await asyncio.wait_for(connection, REQUEST_SECONDS)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, asyncio.CancelledError):
            pass  # the other side is slow, or gone
        finally:
            self._connections.pop(connection, None)
            writer.transport.abort()

    async def _answer_request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        has_body = True
        try:
            request_head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            reply = Reply(431, b"the request is too long\n")
        else:
            has_body = not request_head.startswith(b"HEAD ")
            reply = await self._reply_to(request_head)
        writer.write(_encode_reply(reply, has_body=has_body))
        await writer.drain()
        writer.write_eof()
        # Read what is still sent: closing earlier would reset the connection of the answer.
        for _ in range(_MOST_READS):
            if not await reader.read(MOST_REQUEST_BYTES):
                break

    async def _reply_to(self, request_head: bytes) -> Reply:
        request_words = request_head.split(b"\r\n", 1)[0].split(b" ")
        if len(request_words) != 3 or not request_words[2].startswith(b"HTTP/1."):
            return Reply(400, b"this is not a request\n")
        if request_words[0] not in {b"GET", b"HEAD"}:
            return Reply(405, b"only GET and HEAD are answered\n")
        path = request_words[1].split(b"?", 1)[0].decode("latin-1")
        page = self._pages_by_path.get(path)
        if page is None:
            return Reply(404, b"there are " + " ".join(self._pages_by_path).encode() + b"\n")
        try:
            return await page()
        except Exception:
            logger.exception("%s could not be answered", path, extra={"action": "metrics.failed"})
            return Reply(503, b"this cannot be answered now; the daemon's log says why\n")


def check_can_listen(address: ListenAddress, *, config_path: object, key: str) -> None:
    """Check that an address can be listened on.

    Raises:
        ListenError: It cannot.
    """
    try:
        _listening_socket(address).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ListenError(config=config_path, key=key, address=address, reason=reason) from None


def _listening_socket(address: ListenAddress) -> socket.socket:
    """Return a socket that listens at the first address that a name has."""
    try:
        family, kind, protocol, _, socket_address = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except UnicodeError as error:
        raise OSError(f"{address.host} is not a name") from error
    listening_socket = socket.socket(family, kind, protocol)
    try:
        listening_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening_socket.bind(socket_address)
        listening_socket.listen(_QUEUED_CONNECTIONS)
        listening_socket.setblocking(False)
    except BaseException:
        listening_socket.close()
        raise
    return listening_socket


def _encode_reply(reply: Reply, *, has_body: bool) -> bytes:
    head_lines = [
        f"HTTP/1.1 {reply.status} {_STATUS_PHRASES[reply.status]}",
        f"Content-Type: {reply.content_type}",
        f"Content-Length: {len(reply.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    if reply.status == 405:
        head_lines.append("Allow: GET, HEAD")
    head_bytes = "\r\n".join([*head_lines, "", ""]).encode("latin-1")
    return head_bytes + reply.body if has_body else head_bytes


_LISTENING_SERVERS: Final[weakref.WeakSet[AnsweringServer]] = weakref.WeakSet()


def _close_in_fork() -> None:
    for server in list(_LISTENING_SERVERS):
        server.close_in_fork()


os.register_at_fork(after_in_child=_close_in_fork)
