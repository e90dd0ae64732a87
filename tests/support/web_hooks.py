"""A web server that keeps what is sent to it, and can refuse, hang or be gone."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, cast


class Received(NamedTuple):
    """One request."""

    path: str
    body: bytes

    @property
    def values(self) -> dict[str, Any]:
        """The body as JSON."""
        return dict(json.loads(self.body))


class _Conversation(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        cast("WebHooks", self.server).take(self, self.rfile.read(length))

    def do_GET(self) -> None:
        cast("WebHooks", self.server).take(self, b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class WebHooks(ThreadingHTTPServer):
    """A server on a free port of this machine.

    `received` are the requests it accepted, `refused` counts those it did not; `status` is what it
    answers, and while `answering` is not set, it answers nothing.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.received: list[Received] = []
        self.refused = 0
        self.status = 200
        self.answering = threading.Event()
        self.answering.set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.server_address[1])

    def take(self, conversation: BaseHTTPRequestHandler, body: bytes) -> None:
        """Keep a request, and answer it."""
        self.answering.wait(60)
        if self.status == 200:
            self.received.append(Received(conversation.path, body))
        else:
            self.refused += 1
        conversation.send_response(self.status)
        conversation.send_header("Content-Length", "0")
        conversation.end_headers()

    def messages(self, path: str = "") -> list[str]:
        """Return the texts of the messages that it got."""
        posted = [one for one in self.received if one.body and one.path.startswith(path)]
        return [f"{one.values['title']}\n{one.values['message']}" for one in posted]

    def __enter__(self) -> WebHooks:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.answering.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
