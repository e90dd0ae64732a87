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

_PAGE: Final = 500


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
        self._kept = self._past.kept_from(self._era)
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
        found = self._past.event(event_id)
        if found is not None:
            return found
        rows = self._asked.ask(Look((Span(event_id, event_id),), 1, 0.0)).rows
        return self._of_site(rows[0]) if rows else None

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
        here = self._past.between(self._era, first, last)
        known = {one.event_id for one in here}
        below = min(last, self._frontier if self._kept is None else self._kept.event_id - 1)
        aside = self._aside(max(first, below + 1), min(last, self._frontier))
        return [*self._older(first, below, known), *self._of_spans(aside, known), *here]

    def since(self, moment: datetime | Ago, now: float) -> list[ReplayEvent]:
        """Return the events created since a moment, in the order of the journal.

        Args:
            moment: When, or how long before now.
            now: Now, in seconds since 1970.

        Raises:
            SiteError: The site could not be asked.
        """
        at = int(now - moment.seconds if isinstance(moment, Ago) else moment.timestamp())
        here = self._past.since(self._era, at)
        if self._kept is not None and self._kept.created <= at:
            return here
        rows = self._asked.ask(Since(at)).rows
        if not rows:
            return here
        below = self._frontier if self._kept is None else self._kept.event_id - 1
        older = self._older(rows[0].id, below, {one.event_id for one in here}, since=at)
        return [*older, *here]

    def _older(
        self, first: int, last: int, known: set[int], since: int = 0
    ) -> Iterator[ReplayEvent]:
        """Read from the site, page by page, what the journal does not have."""
        while first <= last:
            rows = self._asked.ask(Page(first - 1, _PAGE, None)).rows
            for row in rows:
                if row.id <= last and row.id not in known and row.at >= since:
                    yield self._of_site(row)
            if not rows:
                return
            first = rows[-1].id + 1

    def _aside(self, first: int, last: int) -> list[Span]:
        """Return the ids from `first` to `last` that no plugin was given, or will be by itself."""
        found = [
            (max(start, first), min(end, last))
            for kind in get_args(LeftOut)
            for start, end in self._past.left_out(kind, self._era)
            if start <= last and end >= first
        ]
        return [Span(*span) for span in sorted(found)]

    def _of_spans(self, spans: list[Span], known: set[int]) -> Iterator[ReplayEvent]:
        """Read from the site, page by page, the visible rows of some ranges."""
        while spans:
            now = spans[:MOST_FETCHED_SPANS]
            rows = self._asked.ask(Fetch(tuple(now), _PAGE)).rows
            yield from (self._of_site(row) for row in rows if row.id not in known)
            read_to = rows[-1].id if rows else now[-1].last
            spans = [Span(max(one.first, read_to + 1), one.last) for one in spans]
            spans = [one for one in spans if one.first <= one.last]

    def _of_site(self, row: Row) -> ReplayEvent:
        return ReplayEvent(self._era, 0, row.id, row.body)

    @property
    def _asked(self) -> EventLog:
        if self._log is None:
            self._log = EventLog(self._settings.site, self._settings.feed.fields)
        return self._log
