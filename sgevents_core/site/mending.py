"""Asking the site again for events whose entries in the journal can no longer be read."""

from __future__ import annotations

import logging
from typing import Final

from sgevents_core.errors import SiteError
from sgevents_core.site.client import EventLog
from sgevents_core.site.questions import Fetch, spans_of
from sgevents_core.state.entries import Row
from sgevents_core.state.protocols import FeedWriter

logger = logging.getLogger("sgevents.feed")

CHECK_INTERVAL: Final = 2.0
"""Seconds between two checks for such an event."""
FIRST_WAIT: Final = 10.0
LONGEST_WAIT: Final = 3600.0
"""The longest time until an event is asked for again that the site did not return, in seconds."""
MOST_EVENTS: Final = 20
"""The most events asked for at once."""
_BEYOND_SQLITE: Final = 2**63


class Mender:
    """Replacement of entries that lanes have passed over with rows read again from the site.

    Args:
        log: The site's event log.
        state: The feed's connection to the journal.
    """

    def __init__(self, log: EventLog, state: FeedWriter) -> None:
        self._log = log
        self._state = state
        self._next_check_at = float("-inf")
        self._wait_seconds = FIRST_WAIT
        self._asked_ids: frozenset[int] = frozenset()

    def look(self, era: int, now: float) -> None:
        """Ask for what was passed over, if it is time.

        Args:
            era: The era of the feed.
            now: The monotonic clock, in seconds.

        Raises:
            StateError: It cannot be read or written now.
        """
        if now < self._next_check_at:
            return
        self._next_check_at = now + CHECK_INTERVAL
        ids = [
            event_id
            for event_id in self._state.passed_over_ids(era)
            if 0 < event_id < _BEYOND_SQLITE
        ][:MOST_EVENTS]
        if not ids:
            return
        self._wait_seconds = (
            min(self._wait_seconds * 2, LONGEST_WAIT) if self._asked_ids >= {*ids} else FIRST_WAIT
        )
        self._asked_ids = frozenset(ids)
        self._next_check_at = now + self._wait_seconds
        rows = self._read_rows(ids)
        self._state.mend(era, rows)
        for row in rows:
            extra = {"action": "feed.mended", "event_id": row.id}
            text = "Event %d was read from the site anew, and is handed out now"
            logger.warning(text, row.id, extra=extra)
            self._next_check_at = now

    def _read_rows(self, ids: list[int]) -> list[Row]:
        try:
            answer = self._log.ask(Fetch(spans_of(sorted(ids)), len(ids) + 1))
        except SiteError as error:
            logger.debug("Events are not read anew yet: %s", error)
            return []
        return [row for row in answer.rows if row.id in ids]
