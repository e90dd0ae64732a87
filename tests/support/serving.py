"""Serve on a thread of its own while a test runs."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

_Server = TypeVar("_Server", bound=socketserver.TCPServer)


@contextmanager
def serving(server: _Server) -> Iterator[_Server]:
    """Serve while the block lasts; the port is closed and the thread ended after it."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
