"""Past events by id or time: from the journal, and older ones from the site.

Only reads: events from the site are not appended to the journal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Final, get_args

from sgevents_core.errors import NotTakenYet
from sgevents_core.settings import Ago, Settings
from sgevents_core.site.audits import MOST_FETCHED_SPANS
from sgevents_core.site.client import EventLog
from sgevents_core.site.questions import Fetch, Look, Page, Since
from sgevents_core.site.ranges import Span
from sgevents_core.state.entries import Row
from sgevents_core.state.feed_values import LeftOut
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import ReplayEvent

_PAGE_SIZE: Final = 500


class History:
    """The events of one site, as far back as the site keeps them.

    Args:
        settings: The configuration; its api key is needed if the site has to be asked.

    Raises:
        StateError: The state cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._past = open_state(settings.state.path).past()
        with closing(open_state(settings.state.path).reader()) as opened_state:
            feed_state = opened_state.load_feed()
        self._era = feed_state.state.era if feed_state else 1
        self._frontier = feed_state.state.frontier if feed_state else 0
        self._kept_from = self._past.kept_from(self._era)
        self._log: EventLog | None = None

    def close(self) -> None:
        """Close the connections."""
        self._past.close()
        if self._log is not None:
            self._log.close()

    def event(self, event_id: int) -> ReplayEvent | None:
        """Return one event, None if neither journal nor site has it.

        If the site assigned the id again in another era, return the newest event.

        Raises:
            SiteError: The site could not be asked.
        """
        journaled_event = self._past.event(event_id)
        if journaled_event is not None:
            return journaled_event
        event_rows = self._event_log.ask(Look((Span(event_id, event_id),), 1, 0.0)).rows
        return self._from_site(event_rows[0]) if event_rows else None

    def between(self, first_id: int, last_id: int) -> list[ReplayEvent]:
        """Return the events with an id from `first_id` to `last_id`, in the order of the journal.

        Events that the site shows but the journal lacks come first: older ones, and those parked,
        dropped or given up. Missing ids that the feed still waits for are left out: their events
        reach the plugins by themselves.

        Raises:
            NotTakenYet: The feed has taken none of these events yet.
            SiteError: The site could not be asked.
        """
        if first_id > self._frontier:
            raise NotTakenYet(event_id=first_id, newest=self._frontier)
        journaled = self._past.between(self._era, first_id, last_id)
        known_ids = {replayed_events.event_id for replayed_events in journaled}
        last_older = min(
            last_id, self._frontier if self._kept_from is None else self._kept_from.event_id - 1
        )
        left_out = self._left_out_ranges(
            max(first_id, last_older + 1), min(last_id, self._frontier)
        )
        return [
            *self._older_events(first_id, last_older, known_ids),
            *self._events_in(left_out, known_ids),
            *journaled,
        ]

    def since(self, start_moment: datetime | Ago, current_time: float) -> list[ReplayEvent]:
        """Return the events created since a moment, in the order of the journal.

        Args:
            start_moment: When, or how long before now.
            current_time: Now, in seconds since 1970.

        Raises:
            SiteError: The site could not be asked.
        """
        since_seconds = int(
            current_time - start_moment.seconds
            if isinstance(start_moment, Ago)
            else start_moment.timestamp()
        )
        journaled = self._past.since(self._era, since_seconds)
        if self._kept_from is not None and self._kept_from.created <= since_seconds:
            return journaled
        rows = self._event_log.ask(Since(since_seconds)).rows
        if not rows:
            return journaled
        last_older = self._frontier if self._kept_from is None else self._kept_from.event_id - 1
        older_events = self._older_events(
            rows[0].id,
            last_older,
            {older_event.event_id for older_event in journaled},
            created_since=since_seconds,
        )
        return [*older_events, *journaled]

    def _older_events(
        self, first_id: int, last_id: int, known_ids: set[int], created_since: int = 0
    ) -> Iterator[ReplayEvent]:
        """Read the events that the journal lacks from the site, page by page."""
        while first_id <= last_id:
            rows = self._event_log.ask(Page(first_id - 1, _PAGE_SIZE, None)).rows
            for event_row in rows:
                if (
                    event_row.id <= last_id
                    and event_row.id not in known_ids
                    and event_row.at >= created_since
                ):
                    yield self._from_site(event_row)
            if not rows:
                return
            first_id = rows[-1].id + 1

    def _left_out_ranges(self, first_id: int, last_id: int) -> list[Span]:
        """Return ranges, from `first_id` to `last_id`, that no plugin got or will get by itself."""
        left_out = [
            (max(range_start, first_id), min(range_end, last_id))
            for range_kind in get_args(LeftOut)
            for range_start, range_end in self._past.left_out(range_kind, self._era)
            if range_start <= last_id and range_end >= first_id
        ]
        return [Span(*id_span) for id_span in sorted(left_out)]

    def _events_in(self, id_spans: list[Span], known_ids: set[int]) -> Iterator[ReplayEvent]:
        """Read the visible rows of some ranges from the site, page by page."""
        while id_spans:
            asked_spans = id_spans[:MOST_FETCHED_SPANS]
            rows = self._event_log.ask(Fetch(tuple(asked_spans), _PAGE_SIZE)).rows
            yield from (
                self._from_site(event_row) for event_row in rows if event_row.id not in known_ids
            )
            read_to = rows[-1].id if rows else asked_spans[-1].last
            id_spans = [Span(max(id_span.first, read_to + 1), id_span.last) for id_span in id_spans]
            id_spans = [id_span for id_span in id_spans if id_span.first <= id_span.last]

    def _from_site(self, event_row: Row) -> ReplayEvent:
        return ReplayEvent(self._era, 0, event_row.id, event_row.body)

    @property
    def _event_log(self) -> EventLog:
        if self._log is None:
            self._log = EventLog(self._settings.site, self._settings.feed.fields)
        return self._log
