"""What the main thread tidies up in the state while the daemon runs."""

from __future__ import annotations

import logging
import time
from typing import Final

from sgevents_core.errors import StateError
from sgevents_core.printable import counted
from sgevents_core.requests.inbox import Inbox
from sgevents_core.settings import Settings
from sgevents_core.site.ageing import oldest_kept, prune
from sgevents_core.state.protocols import Writer

logger = logging.getLogger("sgevents.daemon")

PRUNE_EVERY: Final = 600.0
"""Seconds between two removals of old events."""


class Housekeeping:
    """Removes old events and answered requests, and compacts what older versions wrote.

    Args:
        settings: The configuration.
        state: The connection of the thread that calls it.
        inbox: Knows the requests.
    """

    def __init__(self, settings: Settings, state: Writer, inbox: Inbox) -> None:
        self._retention = settings.state.retention
        self._enabled = {name for name, table in settings.plugins.items() if table.enabled}
        self._state = state
        self._inbox = inbox
        self._pruned_at = time.monotonic()
        self._oldest_kept: int | None = None
        """Since when events stay, while old ones are being removed."""
        self._removed = 0
        self._shares_tracebacks = True

    def turn(self) -> None:
        """Do what is due now, for a short time."""
        if self._shares_tracebacks:
            self._share_tracebacks()
        if time.monotonic() - self._pruned_at > PRUNE_EVERY:
            self._prune()

    def _share_tracebacks(self) -> None:
        """Let failures written by an older version share their tracebacks, a slice at a time."""
        try:
            self._shares_tracebacks = self._state.share_tracebacks() > 0
        except StateError as error:
            logger.debug("Tracebacks are not shared yet: %s", error)

    def _prune(self) -> None:
        """Remove some of what is older than the retention and needed by no enabled plugin.

        There is more to do until nothing is removed any more.
        """
        try:
            if self._oldest_kept is None:
                self._oldest_kept = oldest_kept(self._state, self._retention)
                self._inbox.forget_answered(time.time() - self._retention)
            removed = prune(self._state, self._enabled, self._oldest_kept)
        except StateError as error:
            extra = {"action": "journal.not_pruned"}
            logger.warning("%s Old events stay for now.", error, extra=extra)
            removed = 0
        self._removed += removed
        if not removed:
            self._pruned()

    def _pruned(self) -> None:
        """Report what was removed; the next removal comes later."""
        if self._removed:
            details: dict[str, object] = {"action": "journal.pruned", "events": self._removed}
            logger.info("%s left the journal", counted(self._removed, "old event"), extra=details)
        self._pruned_at, self._oldest_kept, self._removed = time.monotonic(), None, 0
