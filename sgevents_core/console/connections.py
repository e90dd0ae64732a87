"""The connections of the console: one that sends no call in time is closed."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS: Final = 15.0
"""Seconds in which the whole head of a call has to arrive, from the call before it or the start."""


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 for callers that nobody knows: silent connections must not keep people out."""

    head_seconds: float = HEAD_SECONDS
    _head_due_at: float = 0.0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first call."""
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
        wait = max(self._head_due_at - self.loop.time(), 0.0) or self.head_seconds
        self._head_timer = self.loop.call_later(wait, self._close_if_silent)

    def _close_if_silent(self) -> None:
        cycle: Any = self.cycle  # None before the first call
        is_answering = cycle is not None and not cycle.response_complete
        if is_answering or self.loop.time() < self._head_due_at:
            self._look_later()
        else:
            self.transport.close()
