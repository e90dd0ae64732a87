"""The rows that `sgevents record` writes: from the journal and the site, or from the site alone."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

from sgevents_core.errors import EventsNotFoundError
from sgevents_core.settings.starts import parse_moment
from sgevents_core.site.client import EventLog
from sgevents_core.site.history import History
from sgevents_core.site.questions import Fetch, Newest, Page, Since, spans_of
from sgevents_core.state.opening import open_state

if TYPE_CHECKING:
    from sgevents_core.settings import Settings
    from sgevents_core.state.entries import Row

PAGE: Final = 500


class Source(Protocol):
    """A source of rows."""

    def close(self) -> None:
        """Close its connections."""

    def named(self, ids: Collection[int]) -> dict[int, bytes]:
        """Return event id -> row, for those of `ids` that exist."""

    def last(self, count: int) -> list[bytes]:
        """Return the last rows, newest last."""

    def since(self, when: str) -> list[bytes]:
        """Return the rows of events since a date or for a duration up to now.

        Raises:
            MomentError: `when` is neither a date nor a duration.
        """


class JournalRows:
    """The rows of the journal; those it lacks, by id or time, are read from the site."""

    def __init__(self, settings: Settings) -> None:
        self._state = open_state(settings.state.path).reader()
        self._history = History(settings)

    def close(self) -> None:
        """Close its connections."""
        self._history.close()
        self._state.close()

    def named(self, ids: Collection[int]) -> dict[int, bytes]:
        """Return event id -> row, for those of `ids` that exist."""
        found = {event_id: self._history.event(event_id) for event_id in ids}
        return {event_id: one.body for event_id, one in found.items() if one is not None}

    def last(self, count: int) -> list[bytes]:
        """Return the last rows, in the order they were seen."""
        return [entry.body for entry in self._state.read(self._state.end() - count, count)]

    def since(self, when: str) -> list[bytes]:
        """Return the rows of events since a date or for a duration up to now, in the order seen."""
        return [one.body for one in self._history.since(parse_moment(when), time.time())]


class SiteRows:
    """The rows of the site's event log, in id order."""

    def __init__(self, settings: Settings) -> None:
        self._log = EventLog(settings.site, settings.feed.fields)

    def close(self) -> None:
        """Close its connection."""
        self._log.close()

    def named(self, ids: Collection[int]) -> dict[int, bytes]:
        """Return event id -> row, for those of `ids` that are visible."""
        wanted, found = sorted(ids), dict[int, bytes]()
        for first in range(0, len(wanted), PAGE):
            spans = spans_of(wanted[first : first + PAGE])
            found.update({row.id: row.body for row in self._log.ask(Fetch(spans, PAGE)).rows})
        return found

    def last(self, count: int) -> list[bytes]:
        """Return the rows with the highest ids."""
        rows: list[Row] = []
        while len(rows) < count:
            below = rows[-1].id if rows else None
            page = self._log.ask(Newest(min(PAGE, count - len(rows)), below)).rows
            if not page:
                break
            rows += page
        return [row.body for row in reversed(rows)]

    def since(self, when: str) -> list[bytes]:
        """Return the rows of events since a date or for a duration up to now."""
        moment = parse_moment(when)
        at = moment.timestamp() if isinstance(moment, datetime) else time.time() - moment.seconds
        rows = [*self._log.ask(Since(int(at))).rows]
        is_full = bool(rows)
        while is_full:
            page = self._log.ask(Page(rows[-1].id, PAGE, None)).rows
            rows += page
            is_full = len(page) == PAGE
        return [row.body for row in rows if row.at >= at]


def has_journal(settings: Settings) -> bool:
    """Return whether a journal exists."""
    return open_state(settings.state.path).is_made()


def rows_named(source: Source, ids: Iterable[int]) -> Sequence[bytes]:
    """Return the rows with these ids, ascending.

    Raises:
        EventsNotFoundError: Some of them do not exist.
    """
    wanted = sorted(set(ids))
    with closing(source):
        found = source.named(wanted)
    lost = [str(event_id) for event_id in wanted if event_id not in found]
    if lost:
        raise EventsNotFoundError(ids=", ".join(lost))
    return [found[event_id] for event_id in wanted]
