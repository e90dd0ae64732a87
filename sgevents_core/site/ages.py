"""The age of ids, by the site's clock as its rows show it; no single row decides the time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from sgevents_core.state.entries import Row
from sgevents_core.state.feed_values import FeedState

RECENT_IDS: Final = 200
"""The number of rows with the highest ids that are remembered to recognise the log."""
ASKED_FOR_THE_TIME: Final = 9
"""Rows whose median `created_at` counts as the site's clock; a few wrong times do no harm."""
MARKS_APART: Final = 30
"""The shortest time between two marks that date ids, in seconds."""
MARKS_PER_AGE: Final = 10
"""The age of a mark divided by this limits its distance to the next."""


def median_of(created_times: Sequence[int]) -> int:
    """Return the median of the times; of an even number, the earlier of the two in the middle."""
    return sorted(created_times)[(len(created_times) - 1) // 2]


def site_clock(feed_state: FeedState, site_date: int | None, first_rows: Sequence[Row] = ()) -> int:
    """Return the site's clock in seconds since 1970: the median time of the last rows.

    It may lag by a few rows, which only makes the feed wait longer and audits look farther back.

    Args:
        feed_state: The feed's state.
        site_date: The site's own clock, if the site sends it; no row is younger.
        first_rows: The first rows ever read, which date the ids below them until rows are
            remembered.
    """
    created_times = [at for _, at in feed_state.recent[-ASKED_FOR_THE_TIME:] if at]
    created_times = created_times or [event_row.at for event_row in first_rows[:ASKED_FOR_THE_TIME]]
    if not created_times:
        return site_date or 0
    return (
        median_of(created_times) if site_date is None else min(median_of(created_times), site_date)
    )


def with_times(event_rows: Sequence[Row], site_clock: int) -> tuple[Row, ...]:
    """Return the rows, each with a time: a row without one takes the time of the row before it.

    Args:
        event_rows: The rows of an answer, in its order.
        site_clock: The time for rows that have no dated neighbour, in seconds since 1970.
    """
    if all(event_row.dated for event_row in event_rows):
        return tuple(event_rows)
    at = next((event_row.at for event_row in event_rows if event_row.dated), site_clock)
    dated_rows = []
    for event_row in event_rows:
        at = event_row.at if event_row.dated else at
        dated_rows.append(event_row if event_row.dated else replace(event_row, at=at))
    return tuple(dated_rows)


def known_at(event_row: Row) -> int:
    """Return the `created_at` that identifies a row, 0 if the row has none."""
    return event_row.at if event_row.dated else 0


def is_same(event_row: Row, created_at: int | None) -> bool:
    """Return whether a row's time matches a known time; an unknown time matches any."""
    return not created_at or not event_row.dated or event_row.at == created_at


def remember_rows(
    feed_state: FeedState, event_rows: Sequence[Row], site_date: int | None, horizon_seconds: float
) -> None:
    """Remember the newest ids, which identify the log, and marks that date ids.

    A mark `(at, id)` says that rows created after `at` have this id or a higher one: it is the
    lowest id that was being requested at that time.

    Args:
        feed_state: The feed's state.
        event_rows: The rows taken in id order.
        site_date: The site's clock, None if the site does not send it.
        horizon_seconds: How far back marks are needed, in seconds.
    """
    if not event_rows:
        return
    last_id = ((event_row.id, known_at(event_row)) for event_row in event_rows[-RECENT_IDS:])
    feed_state.recent = [*feed_state.recent, *last_id][-RECENT_IDS:]
    at = site_clock(feed_state, site_date)
    if not feed_state.marks:
        feed_state.marks = [(at, event_rows[0].id)]
    later = [id_ for clock_time, id_ in feed_state.marks if clock_time >= at]
    if later or at - feed_state.marks[-1][0] >= MARKS_APART:
        earlier = [id_mark for id_mark in feed_state.marks if id_mark[0] < at]
        lowest_id = min([feed_state.recent[-ASKED_FOR_THE_TIME:][0][0], *later])
        feed_state.marks = _thinned_marks([*earlier, (at, lowest_id)], at, horizon_seconds)


def remember_late_rows(feed_state: FeedState, event_rows: Sequence[Row]) -> None:
    """Remember late rows whose ids lie among the newest ids."""
    if event_rows and feed_state.recent and event_rows[-1].id > feed_state.recent[0][0]:
        recent_ids = sorted(
            [*feed_state.recent, *((event_row.id, known_at(event_row)) for event_row in event_rows)]
        )
        feed_state.recent = recent_ids[-RECENT_IDS:]


def first_id_after(feed_state: FeedState, created_at: float) -> int | None:
    """Return an id below which every row was created before a time, None if no such id is known."""
    mark_index = bisect_right(feed_state.marks, created_at, key=lambda id_mark: id_mark[0])
    return feed_state.marks[mark_index - 1][1] if mark_index else None


def _thinned_marks(
    id_marks: Sequence[tuple[int, int]], current_time: int, horizon_seconds: float
) -> list[tuple[int, int]]:
    """Thin out marks with their age, and keep a single one older than the horizon.

    Keep the first mark of each stretch of time. Stretches double with age and are nested, so
    thinning repeatedly drops no more marks than thinning once.
    """
    kept_marks: list[tuple[int, int]] = []
    previous_mark: tuple[int, int] | None = None
    for at, id_ in id_marks:
        stretch_width = MARKS_APART
        while stretch_width * 2 <= (current_time - at) / MARKS_PER_AGE:
            stretch_width *= 2
        # Each width is double the one before, so that a stretch lies within one wider stretch.
        if previous_mark != (stretch_width, at // stretch_width):
            kept_marks.append((at, id_))
        previous_mark = stretch_width, at // stretch_width
    old = sum(current_time - at > horizon_seconds for at, _ in kept_marks)
    return kept_marks[max(old - 1, 0) :]
