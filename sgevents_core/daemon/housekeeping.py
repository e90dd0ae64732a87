"""The main thread's clean-up of the state while the daemon runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final

from sgevents_core.errors import StaleWriter, StateError
from sgevents_core.printable import counted
from sgevents_core.requests.inbox import Inbox
from sgevents_core.settings import Settings
from sgevents_core.site.ageing import oldest_kept, prune
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import FeedWriter, Writer

logger = logging.getLogger("sgevents.daemon")

PRUNE_INTERVAL: Final = 600.0
"""Seconds between two removals of old events."""


class Housekeeping:
    """Removes old events and answered requests, and compacts records of older versions.

    Args:
        settings: The configuration.
        state_writer: The connection of the thread that calls it.
        inbox: The inbox, which removes answered requests.
        has_feed: Says whether this process has the feed, which alone may remove events.
    """

    def __init__(
        self,
        settings: Settings,
        state_writer: Writer,
        inbox: Inbox,
        has_feed: Callable[[], bool],
    ) -> None:
        self._has_feed = has_feed
        self._retention = settings.state.retention
        self._tables = settings.plugins
        self._state = state_writer
        self._inbox = inbox
        self._home = open_state(settings.state.path)
        self._pruned_at = time.monotonic()
        self._oldest_kept: int | None = None
        """The time since which events are kept, while old ones are being removed."""
        self._removed_count = 0
        self._has_older_records = True

    def work_briefly(self) -> None:
        """Do the work that is due now, for a short time."""
        if self._has_older_records:
            self._upgrade_records()
        if time.monotonic() - self._pruned_at > PRUNE_INTERVAL and self._has_feed():
            self._prune()

    def _upgrade_records(self) -> None:
        """Write records of an older version in the newest form, some at a time."""
        try:
            self._has_older_records = self._state.upgrade_records() > 0
        except StateError as error:
            logger.debug("Records of an older version are not upgraded yet: %s", error)

    def _prune(self) -> None:
        """Remove some of what is older than the retention and needed by no enabled plugin.

        There is more to do until nothing is removed any more.
        """
        try:
            if self._oldest_kept is None:
                self._oldest_kept = oldest_kept(self._state, self._retention)
                self._inbox.forget_answered(time.time() - self._retention)
            enabled_plugins = {name for name, table in self._tables.items() if table.enabled}
            with self._feed_writer() as feed_writer:
                removed_count = prune(feed_writer, enabled_plugins, self._oldest_kept)
        except (StateError, StaleWriter) as error:
            extra = {"action": "journal.not_pruned"}
            logger.warning("%s Old events are kept for now.", error, extra=extra)
            removed_count = 0
        self._removed_count += removed_count
        if not removed_count:
            self._report_pruned()

    @contextmanager
    def _feed_writer(self) -> Iterator[FeedWriter]:
        """Return a connection that removes events; a shared state wants a new one each time."""
        if self._home.leases() is None:
            yield self._state
            return
        with closing(self._home.feed_writer()) as feed_writer:
            yield feed_writer

    def _report_pruned(self) -> None:
        """Report the removed entries, and schedule the next removal."""
        if self._removed_count:
            details: dict[str, object] = {"action": "journal.pruned", "events": self._removed_count}
            logger.info(
                "%s left the journal", counted(self._removed_count, "old event"), extra=details
            )
        self._pruned_at, self._oldest_kept, self._removed_count = time.monotonic(), None, 0
