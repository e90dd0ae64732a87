"""Past events by id or time: from the journal, and older ones from the site.

It only reads: what comes from the site is not appended anywhere.
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
        with closing(open_state(settings.state.path).reader()) as state:
            feed = state.load_feed()
        self._era = feed.state.era if feed else 1
        self._frontier = feed.state.frontier if feed else 0
        self._kept_from = self._past.kept_from(self._era)
        self._log: EventLog | None = None

    def close(self) -> None:
        """Close the connections."""
        self._past.close()
        if self._log is not None:
            self._log.close()

    def event(self, event_id: int) -> ReplayEvent | None:
        """Return one event, None if neither journal nor site has it.

        If an id was given out again in another era, the newest event is meant.

        Raises:
            SiteError: The site could not be asked.
        """
        journaled = self._past.event(event_id)
        if journaled is not None:
            return journaled
        rows = self._event_log.ask(Look((Span(event_id, event_id),), 1, 0.0)).rows
        return self._from_site(rows[0]) if rows else None

    def between(self, first: int, last: int) -> list[ReplayEvent]:
        """Return the events with an id from `first` to `last`, in the order of the journal.

        Those that the site shows and the journal does not have come first: older ones, and those
        that were parked, dropped or given up. Missing ids reach the plugins by themselves.

        Raises:
            NotTakenYet: The feed has taken none of them yet.
            SiteError: The site could not be asked.
        """
        if first > self._frontier:
            raise NotTakenYet(event_id=first, newest=self._frontier)
        journaled = self._past.between(self._era, first, last)
        known_ids = {replayed.event_id for replayed in journaled}
        last_older = min(
            last, self._frontier if self._kept_from is None else self._kept_from.event_id - 1
        )
        left_out = self._left_out_ranges(max(first, last_older + 1), min(last, self._frontier))
        return [
            *self._older_events(first, last_older, known_ids),
            *self._events_in(left_out, known_ids),
            *journaled,
        ]

    def since(self, moment: datetime | Ago, now: float) -> list[ReplayEvent]:
        """Return the events created since a moment, in the order of the journal.

        Args:
            moment: When, or how long before now.
            now: Now, in seconds since 1970.

        Raises:
            SiteError: The site could not be asked.
        """
        since_seconds = int(now - moment.seconds if isinstance(moment, Ago) else moment.timestamp())
        journaled = self._past.since(self._era, since_seconds)
        if self._kept_from is not None and self._kept_from.created <= since_seconds:
            return journaled
        rows = self._event_log.ask(Since(since_seconds)).rows
        if not rows:
            return journaled
        last_older = self._frontier if self._kept_from is None else self._kept_from.event_id - 1
        older_events = self._older_events(
            rows[0].id, last_older, {one.event_id for one in journaled}, since=since_seconds
        )
        return [*older_events, *journaled]

    def _older_events(
        self, first: int, last: int, known: set[int], since: int = 0
    ) -> Iterator[ReplayEvent]:
        """Read from the site, page by page, what the journal does not have."""
        while first <= last:
            rows = self._event_log.ask(Page(first - 1, _PAGE_SIZE, None)).rows
            for row in rows:
                if row.id <= last and row.id not in known and row.at >= since:
                    yield self._from_site(row)
            if not rows:
                return
            first = rows[-1].id + 1

    def _left_out_ranges(self, first: int, last: int) -> list[Span]:
        """Return the ids from `first` to `last` that no plugin was given, or will be by itself."""
        left_out = [
            (max(start, first), min(end, last))
            for kind in get_args(LeftOut)
            for start, end in self._past.left_out(kind, self._era)
            if start <= last and end >= first
        ]
        return [Span(*span) for span in sorted(left_out)]

    def _events_in(self, spans: list[Span], known: set[int]) -> Iterator[ReplayEvent]:
        """Read from the site, page by page, the visible rows of some ranges."""
        while spans:
            asked_spans = spans[:MOST_FETCHED_SPANS]
            rows = self._event_log.ask(Fetch(tuple(asked_spans), _PAGE_SIZE)).rows
            yield from (self._from_site(row) for row in rows if row.id not in known)
            read_to = rows[-1].id if rows else asked_spans[-1].last
            spans = [Span(max(span.first, read_to + 1), span.last) for span in spans]
            spans = [span for span in spans if span.first <= span.last]

    def _from_site(self, row: Row) -> ReplayEvent:
        return ReplayEvent(self._era, 0, row.id, row.body)

    @property
    def _event_log(self) -> EventLog:
        if self._log is None:
            self._log = EventLog(self._settings.site, self._settings.feed.fields)
        return self._log
