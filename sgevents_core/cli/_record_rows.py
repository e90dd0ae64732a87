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

PAGE_SIZE: Final = 500


class RowSource(Protocol):
    """A source of rows."""

    def close(self) -> None:
        """Close its connections."""

    def rows_by_id(self, event_ids: Collection[int]) -> dict[int, bytes]:
        """Return event id -> row, for those of `event_ids` that exist."""

    def last_rows(self, row_count: int) -> list[bytes]:
        """Return the last rows, newest last."""

    def rows_since(self, start_text: str) -> list[bytes]:
        """Return the rows of events since a date or for a duration up to now.

        Raises:
            MomentError: `start_text` is neither a date nor a duration.
        """


class JournalRows:
    """The rows of the journal; rows that it lacks, by id or time, are read from the site."""

    def __init__(self, settings: Settings) -> None:
        self._state = open_state(settings.state.path).reader()
        self._history = History(settings)

    def close(self) -> None:
        """Close its connections."""
        self._history.close()
        self._state.close()

    def rows_by_id(self, event_ids: Collection[int]) -> dict[int, bytes]:
        """Return event id -> row, for those of `event_ids` that exist."""
        by_id = {event_id: self._history.event(event_id) for event_id in event_ids}
        return {
            event_id: replayed.body for event_id, replayed in by_id.items() if replayed is not None
        }

    def last_rows(self, row_count: int) -> list[bytes]:
        """Return the last rows, in the order they were seen."""
        return [entry.body for entry in self._state.read(self._state.end() - row_count, row_count)]

    def rows_since(self, start_text: str) -> list[bytes]:
        """Return the rows of events since a date or for a duration up to now, in the order seen."""
        return [
            replayed.body for replayed in self._history.since(parse_moment(start_text), time.time())
        ]


class SiteRows:
    """The rows of the site's event log, in id order."""

    def __init__(self, settings: Settings) -> None:
        self._event_log = EventLog(settings.site, settings.feed.fields)

    def close(self) -> None:
        """Close its connection."""
        self._event_log.close()

    def rows_by_id(self, event_ids: Collection[int]) -> dict[int, bytes]:
        """Return event id -> row, for those of `event_ids` that are visible."""
        sorted_ids, rows_by_id = sorted(event_ids), dict[int, bytes]()
        for first_index in range(0, len(sorted_ids), PAGE_SIZE):
            id_spans = spans_of(sorted_ids[first_index : first_index + PAGE_SIZE])
            rows_by_id.update(
                {row.id: row.body for row in self._event_log.ask(Fetch(id_spans, PAGE_SIZE)).rows}
            )
        return rows_by_id

    def last_rows(self, row_count: int) -> list[bytes]:
        """Return the rows with the highest ids."""
        rows: list[Row] = []
        while len(rows) < row_count:
            below_id = rows[-1].id if rows else None
            page_rows = self._event_log.ask(
                Newest(min(PAGE_SIZE, row_count - len(rows)), below_id)
            ).rows
            if not page_rows:
                break
            rows += page_rows
        return [row.body for row in reversed(rows)]

    def rows_since(self, start_text: str) -> list[bytes]:
        """Return the rows of events since a date or for a duration up to now."""
        moment = parse_moment(start_text)
        start_time = (
            moment.timestamp() if isinstance(moment, datetime) else time.time() - moment.seconds
        )
        rows = [*self._event_log.ask(Since(int(start_time))).rows]
        is_full_page = bool(rows)
        while is_full_page:
            page_rows = self._event_log.ask(Page(rows[-1].id, PAGE_SIZE, None)).rows
            rows += page_rows
            is_full_page = len(page_rows) == PAGE_SIZE
        return [row.body for row in rows if row.at >= start_time]


def has_journal(settings: Settings) -> bool:
    """Return whether a journal exists."""
    return open_state(settings.state.path).is_made()


def rows_with_ids(row_source: RowSource, event_ids: Iterable[int]) -> Sequence[bytes]:
    """Return the rows with these ids, ascending.

    Raises:
        EventsNotFoundError: Some of the events do not exist.
    """
    sorted_ids = sorted(set(event_ids))
    with closing(row_source):
        rows_by_id = row_source.rows_by_id(sorted_ids)
    missing_ids = [str(event_id) for event_id in sorted_ids if event_id not in rows_by_id]
    if missing_ids:
        raise EventsNotFoundError(ids=", ".join(missing_ids))
    return [rows_by_id[event_id] for event_id in sorted_ids]
