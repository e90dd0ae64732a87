"""One connection to a NATS server: requests over it and their replies; for the loop's thread."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from nats.aio.msg import Msg
from nats.errors import Error

from sgevents_core.state.nats.client import BrokerClient

NO_RESPONDERS: Final = 503
"""The status of the reply to a request that nobody is there to answer."""
PING_INTERVAL: Final = 2.0
"""After how many quiet seconds a connection is tried."""
_PONG_WITHIN: Final = 4
_HEADER_LINE: Final = len("NATS/1.0\r\n\r\n")
_STATUS: Final = "Status"


_UNANSWERED_MOST: Final = 2
"""After how many requests without an answer another server is tried."""
_UNANSWERED_SECONDS: Final = 2.0
"""For how many seconds there have to be some."""
_REMEMBERED_SECONDS: Final = 6.0


class Reply(NamedTuple):
    """One message that answers a request.

    Args:
        status: The server's own code, such as 404; 0 for a message.
    """

    status: int
    subject: str
    headers: Mapping[str, str]
    data: bytes

    @classmethod
    def of(cls, message: Msg) -> Reply:
        """Return what nats-py received."""
        headers = message.headers or {}
        code = headers.get(_STATUS, "0")[:3]
        return cls(int(code) if code.isdecimal() else 0, message.subject, headers, message.data)


class ConnectionLost(Exception):
    """The connection ended before the reply came.

    Args:
        is_sent: Whether the request may have arrived.
    """

    def __init__(self, *, is_sent: bool) -> None:
        super().__init__()
        self.is_sent = is_sent


class RequestForbidden(Exception):
    """The server does not let this user send the request; the text is its own."""


def sent_size(data: bytes, headers: Mapping[str, str]) -> int:
    """Return how many bytes of the server's `max_payload` a message takes."""
    lines = sum(len(name.encode()) + len(text.encode()) + 4 for name, text in headers.items())
    return len(data) + (lines + _HEADER_LINE if headers else 0)


class _Waiting(NamedTuple):
    """A request whose replies are not all there yet."""

    subject: str
    future: asyncio.Future[list[Reply]]
    replies: list[Reply]
    is_last: Callable[[Reply], bool]

    def take(self, reply: Reply) -> None:
        self.replies.append(reply)
        if self.is_last(reply) and not self.future.done():
            self.future.set_result(self.replies)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Exchange:
    """Requests over one connection; replies come to one subject, numbered by request."""

    def __init__(self, client: BrokerClient) -> None:
        self._client = client
        self._numbers = itertools.count(1)
        self._inbox = client.new_inbox()
        self._waiting: dict[str, _Waiting] = {}
        self._lost = asyncio.Event()
        self._unanswered: list[float] = []
        """When each request was sent that got no answer of late."""
        self.refusals: list[str] = []
        """What the server did not permit besides requests: subscriptions."""

    @property
    def client(self) -> BrokerClient:
        """The connection."""
        return self._client

    async def start(self) -> None:
        """Begin to receive replies."""
        await self._client.subscribe(f"{self._inbox}.*", cb=self._deliver)

    async def watch(self) -> None:
        """Return once the connection is lost."""
        trying = asyncio.create_task(self._try_again_and_again())
        try:
            await self._lost.wait()
        finally:
            trying.cancel()

    async def request(
        self,
        subject: str,
        data: bytes,
        headers: Mapping[str, str] | None,
        is_last: Callable[[Reply], bool],
        within: float,
    ) -> list[Reply]:
        """Send a message, and return the replies up to the last.

        Raises:
            ConnectionLost: The connection ended meanwhile.
            RequestForbidden: The user may not send it.
            asyncio.TimeoutError: They did not come in time.
        """
        if self._lost.is_set():
            raise ConnectionLost(is_sent=False)
        future: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
        number = str(next(self._numbers))
        self._waiting[number] = _Waiting(subject, future, [], is_last)
        try:
            await self._publish(subject, data, f"{self._inbox}.{number}", headers)
            return await asyncio.wait_for(future, within)
        finally:
            del self._waiting[number]

    def lose(self) -> None:
        """Let everything that waits for a reply fail."""
        self._lost.set()
        for waiting in list(self._waiting.values()):
            waiting.fail(ConnectionLost(is_sent=True))

    def note_unanswered(self, sent_at: float) -> bool:
        """Take notice of a request that nobody behind the server has answered.

        A server that is cut off from the others answers every ping, and hardly any request.

        Args:
            sent_at: When it was sent, by the loop's clock.

        Returns:
            Whether there have been so many that another server may do better.
        """
        current_time = asyncio.get_running_loop().time()
        recent = [at for at in self._unanswered if at > current_time - _REMEMBERED_SECONDS]
        self._unanswered = [*recent, sent_at]
        has_lasted = current_time - min(self._unanswered) >= _UNANSWERED_SECONDS
        return has_lasted and len(self._unanswered) >= _UNANSWERED_MOST

    async def note_error(self, error: Exception) -> None:
        """Take what the server reports beside the replies: which request it does not permit."""
        text = str(error).removeprefix("nats: ")
        if "permissions violation" not in text.lower():
            return
        concerned = [
            waiting
            for waiting in self._waiting.values()
            if f'"{waiting.subject}"'.lower() in text.lower()  # nats-py gives it in lower case
        ]
        for waiting in concerned:
            waiting.fail(RequestForbidden(text))
        if not concerned:
            self.refusals.append(text)

    async def _publish(
        self, subject: str, data: bytes, inbox: str, headers: Mapping[str, str] | None
    ) -> None:
        try:
            await self._client.publish(
                subject, data, reply=inbox, headers=dict(headers) if headers else None
            )
        except Error as error:  # nats-py refuses before it sends anything
            raise ConnectionLost(is_sent=False) from error
        except OSError as error:
            raise ConnectionLost(is_sent=True) from error

    async def _deliver(self, message: Msg) -> None:
        waiting = self._waiting.get(message.subject.rpartition(".")[2])
        if waiting is not None:
            waiting.take(Reply.of(message))

    async def _try_again_and_again(self) -> None:
        """Find out whether the server still answers, until it does not."""
        while not self._lost.is_set():
            await asyncio.sleep(PING_INTERVAL)
            try:
                await self._client.flush(timeout=_PONG_WITHIN)
            except Exception:  # whatever it is, the connection is of no use any more
                self.lose()
            if not self._client.is_reading:
                self.lose()
