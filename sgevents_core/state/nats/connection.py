"""The connection to the NATS servers, for all threads: kept up for ever by a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import ssl
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Final, NoReturn, TypeAlias, TypeVar

from nats.errors import Error

from sgevents_core.errors import BrokerError, BrokerForbids, BrokerRefused, BrokerUnreachable
from sgevents_core.settings.broker_url import BrokerUrl
from sgevents_core.settings.state_settings import StateSettings
from sgevents_core.state.nats.attempts import Attempts, refuse_foreign
from sgevents_core.state.nats.client import BrokerClient
from sgevents_core.state.nats.exchange import (
    NO_RESPONDERS,
    ConnectionLost,
    Exchange,
    Reply,
    RequestForbidden,
    sent_size,
)
from sgevents_core.state.nats.key_files import check_key_files

logger = logging.getLogger(__name__)

CONNECT_WITHIN: Final = 10.0
"""How many seconds a start waits for the servers."""
REQUEST_WITHIN: Final = 5.0
"""How many seconds a request may take, unless it says so."""
_ATTEMPT_WITHIN: Final = 2
_CONNECTED_WITHIN: Final = 5.0
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_END_WITHIN: Final = 5.0
T = TypeVar("T")
Listener: TypeAlias = Callable[[Reply | None], None]
"""Called in the loop's thread for each message; with None after each new connection."""


class Broker:
    """The NATS servers of one state. Made anew in each process that uses it; never forked.

    Args:
        settings: `[state]`, with a url.
        name: This connection's name, which the server shows to its operator.
    """

    def __init__(self, settings: StateSettings, name: str = "sgevents") -> None:
        assert settings.url is not None  # noqa: S101 - the caller's check
        self._settings = settings
        self._url: BrokerUrl = settings.url
        self._name = name
        self._process_id = os.getpid()
        self._listeners: list[tuple[str, Listener]] = []
        self._attempts = Attempts(self._url.servers)
        self._exchange: Exchange | None = None
        self._connections = 0
        self._connected = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._keeping: asyncio.Task[None] | None = None
        self._is_closed = False
        self._closing = threading.Lock()
        self._loop.set_exception_handler(_log_exception)
        self._thread = threading.Thread(target=self._run_loop, name="nats", daemon=True)
        self._thread.start()

    def __str__(self) -> str:
        """Return the address, for people; it holds no secret."""
        return str(self._url)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection right now."""
        return self._exchange is not None

    @property
    def connections(self) -> int:
        """How many connections there have been, the current one included."""
        return self._connections

    @property
    def has_failed(self) -> bool:
        """Whether an attempt to connect has failed since the last connection."""
        return self._attempts.has_failed

    @property
    def failure(self) -> str:
        """Why there was no connection at the last attempts, for people."""
        return self._attempts.failure

    @property
    def refusals(self) -> list[str]:
        """The subscriptions that the server did not permit, in its own words."""
        exchange = self._exchange
        return list(exchange.refusals) if exchange else []

    @property
    def server_info(self) -> Mapping[str, Any]:
        """What the connected server says about itself; empty without a connection."""
        exchange = self._exchange
        return exchange.client.server_info if exchange else {}

    @property
    def max_payload(self) -> int:
        """How many bytes a message may have, headers included."""
        return int(self.server_info.get("max_payload", 1024 * 1024))

    def connect(self, within: float = CONNECT_WITHIN) -> None:
        """Wait for a connection.

        Args:
            within: For how many seconds.

        Raises:
            BrokerRefused: A server refused the user, or offers no encryption.
            BrokerUnreachable: No server answered in time.
        """
        self._run(self._await_connection(within, stops_at_refusal=True))

    def request(
        self,
        subject: str,
        data: bytes = b"",
        headers: Mapping[str, str] | None = None,
        within: float = REQUEST_WITHIN,
    ) -> Reply:
        """Send a message and return its reply, also one that is an error's.

        Raises:
            BrokerUnreachable: No reply came in time; `is_sent` says whether it was sent.
        """
        return self.request_many(subject, data, headers, within, is_last=lambda reply: True)[0]

    def request_many(
        self,
        subject: str,
        data: bytes,
        headers: Mapping[str, str] | None,
        within: float,
        is_last: Callable[[Reply], bool],
    ) -> list[Reply]:
        """Send a message and return its replies up to the last; see `request`."""
        return self._run(self._request(subject, data, headers, within, is_last))

    def check_size(self, data: bytes, headers: Mapping[str, str]) -> None:
        """Refuse a message that the server would end the connection for.

        Raises:
            BrokerError: It is longer than the server accepts.
        """
        size = sent_size(data, headers)
        if size > self.max_payload:
            reason = f"it takes messages of {self.max_payload} bytes, and one has {size}"
            raise BrokerError(path=str(self), reason=f"{reason}; raise its max_payload")

    def listen(self, subject: str, listener: Listener) -> None:
        """Call `listener` for each message of a subject from now on, over all connections."""
        self._run(self._add_listener(subject, listener))

    def close(self) -> None:
        """End the connection and the thread; what still waits fails."""
        if os.getpid() != self._process_id:
            return
        with self._closing:
            if self._is_closed:
                return
            self._is_closed = True
            asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop)
        self._thread.join(_END_WITHIN)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if os.getpid() != self._process_id:
            work.close()
            self._raise_unreachable("another process has the connection")
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a listener must not wait for an answer: its thread brings it")
        with self._closing:
            if self._is_closed:
                work.close()
                self._raise_unreachable("the connection is closed")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            self._raise_unreachable("the connection was closed", is_sent=True)

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._keeping = self._loop.create_task(self._keep_connected())
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _shut_down(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._loop.stop()

    async def _await_connection(self, within: float, *, stops_at_refusal: bool = False) -> Exchange:
        deadline = self._loop.time() + within
        while self._exchange is None:
            if stops_at_refusal and self._attempts.is_refused:
                raise BrokerRefused(path=str(self), reason=self._attempts.failure)
            remaining = deadline - self._loop.time()
            if remaining <= 0:
                self._raise_unreachable(self._attempts.failure)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._connected.wait(), min(remaining, 0.1))
        return self._exchange

    async def _request(
        self,
        subject: str,
        data: bytes,
        headers: Mapping[str, str] | None,
        within: float,
        is_last: Callable[[Reply], bool],
    ) -> list[Reply]:
        deadline = self._loop.time() + within
        exchange = await self._await_connection(within)
        sent_at = self._loop.time()
        try:
            replies = await exchange.request(subject, data, headers, is_last, deadline - sent_at)
        except ConnectionLost as error:
            remaining = deadline - self._loop.time()
            if error.is_sent or remaining <= 0:
                self._raise_unreachable("the connection was lost", is_sent=error.is_sent)
            await asyncio.sleep(_FIRST_PAUSE)
            return await self._request(subject, data, headers, remaining, is_last)
        except RequestForbidden as error:
            raise BrokerForbids(path=str(self), reason=str(error)) from None
        except asyncio.TimeoutError:
            reasons = [f"no answer came within {within:.1f} s", *exchange.refusals]
            self._note_unanswered(exchange, sent_at)
            self._raise_unreachable("; ".join(reasons), is_sent=True)
        if replies[0].status == NO_RESPONDERS:
            self._note_unanswered(exchange, sent_at)
        return replies

    def _note_unanswered(self, exchange: Exchange, sent_at: float) -> None:
        """Leave a server behind which nobody answers, if there are others."""
        if exchange.note_unanswered(sent_at) and len(self._url.servers) > 1:
            exchange.lose()

    async def _add_listener(self, subject: str, listener: Listener) -> None:
        self._listeners.append((subject, listener))
        if self._exchange is not None:
            await _subscribe(self._exchange.client, subject, listener)

    async def _keep_connected(self) -> None:
        """Connect, again and again, until the task is cancelled."""
        servers, pause = list(self._url.servers), _FIRST_PAUSE
        random.shuffle(servers)
        while True:
            servers.append(servers.pop(0))
            client = BrokerClient(must_encrypt=self._url.is_encrypted)
            try:
                exchange = await self._open(client, servers[-1])
                pause = _FIRST_PAUSE
                await self._serve(exchange)
            except Exception as error:  # whatever it is, the next attempt may succeed
                self._attempts.note_failure(servers[-1], error)
            finally:
                await client.end()
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - no secret
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _open(self, client: BrokerClient, server: str) -> Exchange:
        check_key_files(self._settings)
        exchange = Exchange(client)

        async def lose() -> None:
            exchange.lose()

        options = self._options(server) | {"closed_cb": lose, "error_cb": exchange.note_error}
        try:
            await asyncio.wait_for(client.connect(**options), _CONNECTED_WITHIN)
        except (Error, asyncio.TimeoutError):
            if not client.server_info:
                await refuse_foreign(server)
            raise
        await exchange.start()
        for subject, listener in self._listeners:
            await _subscribe(client, subject, listener)
        return exchange

    async def _serve(self, exchange: Exchange) -> None:
        """Let requests use a connection until it is lost."""
        self._exchange = exchange
        self._attempts.note_connection()
        self._connections += 1
        self._connected.set()
        logger.info("connected to the NATS server %s", self, extra={"action": "broker.connected"})
        for _subject, listener in self._listeners:
            listener(None)
        try:
            await exchange.watch()
        finally:
            self._exchange = None
            self._connected.clear()
            exchange.lose()
        logger.warning(
            "the connection to the NATS server %s was lost; trying again",
            self,
            extra={"action": "broker.lost"},
        )

    def _options(self, server: str) -> dict[str, Any]:
        """Return what nats-py needs to connect to one server, once."""
        settings = self._settings
        scheme = "tls" if self._url.is_encrypted else "nats"
        options: dict[str, Any] = {
            "servers": f"{scheme}://{server}",
            "name": self._name,
            "allow_reconnect": False,
            "max_reconnect_attempts": 1,
            "reconnect_time_wait": 0,
            "connect_timeout": _ATTEMPT_WITHIN,
            "ping_interval": 3600,  # the exchange tries the connection itself
            "pending_size": 0,  # nothing waits for a buffer
        }
        if self._url.is_encrypted or settings.ca_certs or settings.cert:
            options["tls"] = self._tls_context()
        if settings.user is not None and settings.password is not None:
            options.update(user=settings.user, password=settings.password.reveal())
        options["user_credentials"] = settings.credentials
        options["nkeys_seed"] = settings.nkey
        return options

    def _tls_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._settings.ca_certs)
        if self._settings.cert is not None:
            context.load_cert_chain(self._settings.cert, self._settings.key)
        return context

    def _raise_unreachable(self, reason: str, *, is_sent: bool = False) -> NoReturn:
        error = BrokerUnreachable(path=str(self), reason=reason)
        error.is_sent = is_sent
        raise error


async def _subscribe(client: BrokerClient, subject: str, listener: Listener) -> None:
    async def deliver(message: Any) -> None:
        listener(Reply.of(message))

    await client.subscribe(subject, cb=deliver)
    await client.wait_until_carried_out(_ATTEMPT_WITHIN)


def _log_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Take an exception that nobody waits for any more, such as that of an attempt to connect."""
    logger.debug(
        "the client of the NATS server ended: %s",
        context.get("exception") or context.get("message"),
        extra={"action": "broker.client_ended"},
    )
