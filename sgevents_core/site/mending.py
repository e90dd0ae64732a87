"""Ask the site again for events whose entries in the journal can no longer be read."""

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
"""Seconds between two checks for events to read again."""
FIRST_WAIT: Final = 10.0
LONGEST_WAIT: Final = 3600.0
"""The longest time until an event that the site did not return is requested again, in seconds."""
MOST_EVENTS: Final = 20
"""The most events requested at once."""
_BEYOND_SQLITE: Final = 2**63


class Mender:
    """Replacement of entries that lanes have passed over with rows read again from the site.

    Args:
        event_log: The site's event log.
        feed_writer: The feed's connection to the journal.
    """

    def __init__(self, event_log: EventLog, feed_writer: FeedWriter) -> None:
        self._log = event_log
        self._state = feed_writer
        self._next_check_at = float("-inf")
        self._wait_seconds = FIRST_WAIT
        self._asked_ids: frozenset[int] = frozenset()

    def look(self, feed_era: int, current_time: float) -> None:
        """Read the entries that were passed over from the site again, if it is time.

        Args:
            feed_era: The era of the feed.
            current_time: The monotonic clock, in seconds.

        Raises:
            StateError: The journal cannot be read or written now.
        """
        if current_time < self._next_check_at:
            return
        self._next_check_at = current_time + CHECK_INTERVAL
        event_ids = [
            event_id
            for event_id in self._state.passed_over_ids(feed_era)
            if 0 < event_id < _BEYOND_SQLITE
        ][:MOST_EVENTS]
        if not event_ids:
            return
        self._wait_seconds = (
            min(self._wait_seconds * 2, LONGEST_WAIT)
            if self._asked_ids >= {*event_ids}
            else FIRST_WAIT
        )
        self._asked_ids = frozenset(event_ids)
        self._next_check_at = current_time + self._wait_seconds
        event_rows = self._read_rows(event_ids)
        self._state.mend(feed_era, event_rows)
        for event_row in event_rows:
            log_extra = {"action": "feed.mended", "event_id": event_row.id}
            log_text = "Event %d was read from the site again, and is handed out now"
            logger.warning(log_text, event_row.id, extra=log_extra)
            self._next_check_at = current_time

    def _read_rows(self, event_ids: list[int]) -> list[Row]:
        try:
            site_answer = self._log.ask(Fetch(spans_of(sorted(event_ids)), len(event_ids) + 1))
        except SiteError as error:
            logger.debug("Events cannot be read again yet: %s", error)
            return []
        return [event_row for event_row in site_answer.rows if event_row.id in event_ids]
