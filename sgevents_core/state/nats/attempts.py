"""What became of the last attempt to connect to each server, and what that means for people."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from typing import Final, NamedTuple

from nats.errors import AuthorizationError, Error

from sgevents_core.state.nats.client import NotEncryptedError
from sgevents_core.state.nats.key_files import KeyFileError

_GREETING: Final = b"INFO "
_GREETING_WITHIN: Final = 1.0
_SHOWN_BYTES: Final = 40
_SILENT_TEXT: Final = "it takes connections and says nothing: it hangs, or is no NATS server"
_REFUSALS: Final = (AuthorizationError, NotEncryptedError, KeyFileError)
_REFUSING_WORDS: Final = (
    "authorization violation",
    "authentication expired",
    "authentication revoked",
)
"""What the server says when it does not let the user in; nats-py has no errors of their own."""
_CUT_OFF: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""The connection ended in the middle: that says nothing of certificates."""


class NotNatsError(Error):
    """Something answers there that is no NATS server."""


class Attempt(NamedTuple):
    """What became of an attempt to connect to one server.

    Args:
        reason: Why there is no connection, for people.
        is_refusal: Whether waiting does not help: the server refuses this user, or is none.
    """

    reason: str
    is_refusal: bool


class Attempts:
    """The last attempt at each server, since the last connection.

    Args:
        servers: The servers, `HOST:PORT`.
    """

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers = servers
        self._last: dict[str, Attempt] = {}
        self._ending = "it is not connected yet"

    def note_failure(self, server: str, error: Exception) -> None:
        """Take notice of an attempt that failed."""
        self._last[server] = Attempt(reason_of(error, server), _is_refusal(error))

    def note_connection(self) -> None:
        """Take notice of a connection, after which nothing before counts."""
        self._last.clear()
        self._ending = "the connection was lost"

    @property
    def has_failed(self) -> bool:
        """Whether an attempt has failed since the last connection."""
        return bool(self._last)

    @property
    def failure(self) -> str:
        """Why there is no connection, for people: the reason of each server."""
        if not self._last:
            return self._ending
        if len(self._servers) == 1:
            return next(iter(self._last.values())).reason
        return "; ".join(f"{server}: {one.reason}" for server, one in sorted(self._last.items()))

    @property
    def is_refused(self) -> bool:
        """Whether every server was tried, and one refuses for a reason that no waiting mends."""
        is_complete = set(self._servers) <= self._last.keys()
        return is_complete and any(attempt.is_refusal for attempt in self._last.values())


async def refuse_foreign(server: str) -> None:
    """Look at what greets a client there, and refuse what no NATS server says.

    Args:
        server: The server, `HOST:PORT`.

    Raises:
        NotNatsError: It is something else.
        Error: It says nothing at all.
        OSError: It cannot be reached.
    """
    host, _, port = server.rpartition(":")
    reader, writer = await asyncio.wait_for(
        asyncio.open_connection(host.strip("[]"), int(port)), _GREETING_WITHIN
    )
    try:
        greeting = await asyncio.wait_for(reader.read(_SHOWN_BYTES), _GREETING_WITHIN)
    except asyncio.TimeoutError:
        raise Error(_SILENT_TEXT) from None
    finally:
        writer.transport.abort()
    if not greeting:
        raise Error("it closes the connection at once")
    if not _GREETING.startswith(greeting[: len(_GREETING)]):
        shown = greeting.decode("ascii", "replace").split("\n")[0].strip()
        raise NotNatsError(f"what answers there is no NATS server: it begins with {shown!r}")


def reason_of(error: Exception, server: str) -> str:
    """Return why a connection failed, for people."""
    if isinstance(error, asyncio.TimeoutError):
        return "no answer came in time"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, socket.gaierror):
        name = server.rpartition(":")[0]
        return f"the name {name} cannot be resolved ({error.strerror or error})"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return str(error).removeprefix("nats: ").strip().strip("'") or type(error).__name__


def _is_refusal(error: Exception) -> bool:
    """Return whether a server refuses for good, as far as one can know."""
    if isinstance(error, ssl.SSLError):
        return not isinstance(error, _CUT_OFF)
    said = str(error).lower()
    return isinstance(error, (*_REFUSALS, NotNatsError)) or any(
        words in said for words in _REFUSING_WORDS
    )
