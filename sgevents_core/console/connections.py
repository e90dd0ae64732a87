"""The connections of the console: their answers bind browsers, and silent ones are closed."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from sgevents_core.console.guard import BINDING_HEADERS

HEAD_SECONDS: Final = 15.0
"""Seconds in which the whole head of a call has to arrive, from the call before it or the start."""

LARGEST_HEAD: Final = 64 * 1024
"""The most bytes of the head of a call."""


class _GuardedConversation(h11.Connection):
    """Adds the headers that bind browsers to every answer, also to those of the server itself.

    It answers by itself what is no HTTP, and everything while too many are connected.
    """

    def send(self, event: Any) -> Any:
        """Return the bytes of an event; None for the end of the connection."""
        if isinstance(event, h11.Response):
            event = _with_binding_headers(event)
        return super().send(event)


def _with_binding_headers(answer: h11.Response) -> h11.Response:
    present_names = {header_name for header_name, _ in answer.headers}
    missing_headers = [
        header_pair for header_pair in BINDING_HEADERS if header_pair[0] not in present_names
    ]
    return h11.Response(
        status_code=answer.status_code,
        reason=answer.reason,
        headers=[*answer.headers, *missing_headers],
    )


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 for callers that nobody knows: silent connections must not keep people out."""

    head_seconds: float = HEAD_SECONDS
    _head_due_at: float = 0.0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first call."""
        self.conn = _GuardedConversation(h11.SERVER, LARGEST_HEAD)
        super().connection_made(transport)
        self._expect_head()
        self._look_later()

    def on_response_complete(self) -> None:
        """Begin to wait for the next call."""
        self._expect_head()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._head_due_at = self.loop.time() + self.head_seconds

    def _look_later(self) -> None:
        wait_seconds = max(self._head_due_at - self.loop.time(), 0.0) or self.head_seconds
        self._head_timer = self.loop.call_later(wait_seconds, self._close_if_silent)

    def _close_if_silent(self) -> None:
        call_cycle: Any = self.cycle  # None before the first call
        is_answering = call_cycle is not None and not call_cycle.response_complete
        if is_answering or self.loop.time() < self._head_due_at:
            self._look_later()
        else:
            self.transport.close()
