"""The client of nats-py with what it lacks: it insists on encryption, and closes at once."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from nats.aio.client import Client
from nats.errors import Error

_CLOSING_SECONDS: Final = 2.0


class NotEncryptedError(Error):
    """The server offers no encryption, and `tls://` asks for it."""


class BrokerClient(Client):
    """One connection to one server; it is never used again once it is lost.

    Args:
        must_encrypt: Whether to refuse a server that offers no encryption. nats-py would go on in
            the clear, and send the password.
    """

    def __init__(self, *, must_encrypt: bool) -> None:
        super().__init__()
        self._must_encrypt = must_encrypt

    @property
    def is_reading(self) -> bool:
        """Whether what the server sends is still read; nats-py may have given up in silence."""
        return self._reading_task is not None and not self._reading_task.done()

    @property
    def server_info(self) -> dict[str, Any]:
        """What the server says about itself."""
        return self._server_info

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """Look at what the server says before anything is sent to it."""
        if self._must_encrypt and initial_connection:
            if not (info.get("tls_required") or info.get("tls_available")):
                raise NotEncryptedError("the server offers no encryption")
            info["tls_required"] = True
        await super()._process_info(info, initial_connection)

    async def wait_until_carried_out(self, within: int) -> None:
        """Wait until the server has carried out all that was sent before, such as a subscription.

        The ping of nats-py's `flush` overtakes what is still gathered, but that of a second one
        does not: by the first one's answer, it is sent.
        """
        for _ in range(2):
            await self.flush(within)

    async def end(self) -> None:
        """Close the connection without waiting for a server that reads no more."""
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()
        with contextlib.suppress(Exception):  # the connection is of no use any more
            await asyncio.wait_for(self.close(), _CLOSING_SECONDS)
