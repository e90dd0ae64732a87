"""A mail server that keeps the mails it receives."""

from __future__ import annotations

import socketserver
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import cast

ANSWERS = {b"DATA": b"354 go on", b"QUIT": b"221 bye"}


class _Conversation(socketserver.StreamRequestHandler):
    """One connection of a client."""

    def handle(self) -> None:
        """Answer each command; keep the mail that follows DATA."""
        self.wfile.write(b"220 ready\r\n")
        while command := self.rfile.readline().strip():
            verb = command[:4].upper()
            self.wfile.write(ANSWERS.get(verb, b"250 fine") + b"\r\n")
            if verb == b"DATA":
                lines = iter(self.rfile.readline, b".\r\n")
                cast("MailServer", self.server).keep(b"".join(lines))
                self.wfile.write(b"250 kept\r\n")
            elif verb == b"QUIT":
                return


class MailServer(socketserver.ThreadingTCPServer):
    """A mail server on a free port of this machine; `mails` are those it received."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.mails: list[EmailMessage] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.server_address[1])

    def keep(self, content: bytes) -> None:
        """Keep a mail."""
        self.mails.append(message_from_bytes(content, policy=policy.default))

    def __enter__(self) -> MailServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()
