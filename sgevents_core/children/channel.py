"""One end of the connection between the daemon and a worker process: whole messages, in order."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import Final

LENGTH_BYTES: Final = 4
"""The bytes before each message that hold its length."""
MAX_MESSAGE_BYTES: Final = 1 << 30
"""The bytes of the longest message; a greater length means that somebody else wrote to the pipe."""
_READ_SIZE: Final = 1 << 16


class ChannelClosed(Exception):
    """The other process has closed the connection, or it was damaged."""


class Channel:
    """One end of the connection; any thread may send, one thread receives.

    A process forked from this one cannot send: it is neither a daemon nor a worker.

    Args:
        connection: A connected stream socket.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._owner_pid = os.getpid()
        self._send_lock = threading.Lock()
        self._received = bytearray()

    def fileno(self) -> int:
        """Return the socket's descriptor; -1 once it is closed."""
        return self._connection.fileno()

    def send(self, message: bytes) -> None:
        """Send a message.

        Raises:
            ChannelClosed: Nobody can receive it.
        """
        if os.getpid() != self._owner_pid:
            raise ChannelClosed
        try:
            with self._send_lock:
                self._connection.sendall(len(message).to_bytes(LENGTH_BYTES, "big") + message)
        except OSError:
            raise ChannelClosed from None

    def receive(self) -> bytes:
        """Wait for the next message, and return it.

        Raises:
            ChannelClosed: The connection is closed, so no message will come.
        """
        while (message := self.next_whole()) is None:
            self.read()
        return message

    def next_whole(self) -> bytes | None:
        """Return the next message that is already here; None if none is whole.

        Raises:
            ChannelClosed: The data received is not a message.
        """
        received = self._received
        if len(received) < LENGTH_BYTES:
            return None
        message_end = LENGTH_BYTES + int.from_bytes(received[:LENGTH_BYTES], "big")
        if message_end > MAX_MESSAGE_BYTES:
            raise ChannelClosed
        if len(received) < message_end:
            return None
        message = bytes(received[LENGTH_BYTES:message_end])
        del received[:message_end]
        return message

    def read(self) -> None:
        """Read the data that has arrived, waiting for some if there is none.

        Raises:
            ChannelClosed: The other end is closed.
            BlockingIOError: Nothing has arrived, and the socket does not block.
        """
        try:
            received_bytes = self._connection.recv(_READ_SIZE)
        except BlockingIOError:
            raise
        except OSError:
            raise ChannelClosed from None
        if not received_bytes:
            raise ChannelClosed
        self._received += received_bytes

    def read_rest(self) -> None:
        """Read all that has arrived without waiting; for the end of the other process."""
        with suppress(BlockingIOError, ChannelClosed):
            self._connection.setblocking(False)
            while True:
                self.read()

    def close(self) -> None:
        """Close it; a thread that waits in `receive` is woken."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
