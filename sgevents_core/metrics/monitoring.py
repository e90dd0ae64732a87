"""The answers to monitoring: the figures, whether the daemon is alive, whether it is ready."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from sgevents_core.metrics.answering import LISTEN_KEY, AnsweringServer, Reply
from sgevents_core.metrics.call_counts import CallCounts
from sgevents_core.metrics.figures import CONTENT_TYPE, DaemonFigures
from sgevents_core.metrics.watched import WatchedParts, unready_reason, unwell_reason
from sgevents_core.settings import ListenAddress, Settings

logger = logging.getLogger("sgevents.daemon")

FRESH_SECONDS: Final = 1.0
"""Seconds for which figures are given again, so that many scrapes cost what one does."""


class HttpMonitoring:
    """The figures and the health of a daemon, answered over HTTP; see `Monitoring`.

    Args:
        settings: The configuration.
        listen: The address to listen on.

    Raises:
        ListenError: The address cannot be listened on.
    """

    def __init__(self, settings: Settings, listen: ListenAddress) -> None:
        call_counts = CallCounts()
        self.call_counts = (call_counts,)
        self._ready_within = settings.metrics.ready_within
        self._watched_parts: WatchedParts | None = None
        self._waiting_reason = ""
        self._daemon_figures = DaemonFigures(settings, call_counts, lambda: self._watched_parts)
        self._last_exposition = (float("-inf"), b"")
        self._figures_thread = ThreadPoolExecutor(1, "figures")
        pages = {"/metrics": self._answer_figures, "/healthz": self._answer_health}
        pages["/readyz"] = self._answer_readiness
        self._answering_server = AnsweringServer(
            listen, pages, config_path=settings.path, key=LISTEN_KEY
        )
        address = str(self._answering_server.address)
        log_extra = {"action": "metrics.listening", "address": address}
        logger.info("Figures for monitoring are at http://%s/metrics", address, extra=log_extra)

    def report_start(self, reason: str) -> None:
        """Say why the start waits; empty once it goes on."""
        self._waiting_reason = reason

    def watch(self, parts: WatchedParts) -> None:
        """Look at the parts of a run from now on."""
        self._watched_parts = parts

    def close(self) -> None:
        """Answer nothing any more."""
        self._answering_server.close()
        self._figures_thread.shutdown(wait=False, cancel_futures=True)

    async def _answer_figures(self) -> Reply:
        loop = asyncio.get_running_loop()
        body = await loop.run_in_executor(self._figures_thread, self._current_exposition)
        return Reply(200, body, CONTENT_TYPE)

    def _current_exposition(self) -> bytes:
        """Return the figures, at most a second old; only for the thread for figures."""
        exposed_at, body = self._last_exposition
        if time.monotonic() - exposed_at > FRESH_SECONDS:
            body = self._daemon_figures.exposition()
            self._last_exposition = (time.monotonic(), body)
        return body

    async def _answer_health(self) -> Reply:
        return _health_reply(unwell_reason(self._watched_parts))

    async def _answer_readiness(self) -> Reply:
        if self._watched_parts is None and self._waiting_reason:
            return _health_reply(self._waiting_reason)
        return _health_reply(unready_reason(self._watched_parts, self._ready_within))


def _health_reply(reason: str) -> Reply:
    return Reply(503, f"{reason}\n".encode()) if reason else Reply(200, b"ok\n")
