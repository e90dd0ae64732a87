"""A URL that is called while all is well, so that somebody notices a machine that is gone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from http.client import HTTPException
from typing import Final
from urllib.request import Request, urlopen

from sgevents_core import __version__
from sgevents_core.observe.redaction import Redactor
from sgevents_core.settings import Secret

logger = logging.getLogger("sgevents.alerts")

CALL_SECONDS: Final = 15.0
"""Seconds that a call may take."""


class Heartbeat:
    """The calls to one URL.

    Args:
        url: The URL.
        key: Its key in the configuration.
        interval: Seconds between two calls.
        is_well: Returns whether all is well.
        redact: Removes secrets.
    """

    def __init__(
        self,
        url: Secret,
        *,
        key: str,
        interval: float,
        is_well: Callable[[], bool],
        redact: Redactor,
    ) -> None:
        self._url = url
        self._key = key
        self._interval = interval
        self._is_well = is_well
        self._redact = redact
        self._stopping = threading.Event()
        self._is_failing = False
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Call no more; a call that runs is left to itself."""
        self._stopping.set()

    def _run(self) -> None:
        # The first call is a moment after the start, when it is known whether all is well.
        while not self._stopping.wait(min(self._interval, 1.0)):
            if self._is_well():
                self._call_url()
                if self._stopping.wait(max(self._interval - 1.0, 0.0)):
                    return

    def _call_url(self) -> None:
        try:
            call_url(self._url)
        except (OSError, HTTPException, ValueError) as error:
            self._note_failure(self._redact(f"{type(error).__name__}: {error}"))
        else:
            self._is_failing = False

    def _note_failure(self, failure_reason: str) -> None:
        log_level = logging.DEBUG if self._is_failing else logging.WARNING
        self._is_failing = True
        log_extra = {"action": "alerts.no_heartbeat", "key": self._key}
        log_text = "The heartbeat to %s failed, and is tried again: %s"
        logger.log(log_level, log_text, self._key, failure_reason, extra=log_extra)


def call_url(url: Secret) -> None:
    """Call a URL, whatever it answers with a status of success.

    Raises:
        OSError: It could not be called, or refused.
        HTTPException: Its answer was not HTTP.
    """
    request = Request(url.reveal(), headers={"User-Agent": f"sgevents/{__version__}"})  # noqa: S310 - http and https alone are accepted
    with urlopen(request, timeout=CALL_SECONDS) as response:  # noqa: S310 - as above
        response.read(1024)
