"""The age of ids, by the site's clock as its rows show it; no single row decides the time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from sgevents_core.state.entries import Row
from sgevents_core.state.feed_values import FeedState

RECENT_IDS: Final = 200
"""The number of rows with the highest ids that are remembered to recognise the log."""
ASKED_FOR_THE_TIME: Final = 9
"""Rows whose median `created_at` counts as the site's clock; a few wrong ones do no harm."""
MARKS_APART: Final = 30
"""The shortest time between two marks that date ids, in seconds."""
MARKS_PER_AGE: Final = 10
"""The age of a mark divided by this limits its distance to the next."""


def median_of(times: Sequence[int]) -> int:
    """Return the middle one of some times, the earlier of two."""
    return sorted(times)[(len(times) - 1) // 2]


def site_clock(state: FeedState, date: int | None, first: Sequence[Row] = ()) -> int:
    """Return the site's clock in seconds since 1970: the middle of what the last rows say.

    It may lag by a few rows, which only makes the feed wait longer and audits look farther back.

    Args:
        state: The feed's state.
        date: What the site itself says the time is, if it does: no row is younger than that.
        first: The first rows of all, which give the time below them while none are remembered.
    """
    times = [at for _, at in state.recent[-ASKED_FOR_THE_TIME:] if at]
    times = times or [row.at for row in first[:ASKED_FOR_THE_TIME]]
    if not times:
        return date or 0
    return median_of(times) if date is None else min(median_of(times), date)


def with_times(rows: Sequence[Row], site_clock: int) -> tuple[Row, ...]:
    """Return rows that all have a time: a row without one takes that of the row before it.

    Args:
        rows: The rows of an answer, in its order.
        site_clock: The time for rows that have no dated neighbour, in seconds since 1970.
    """
    if all(row.dated for row in rows):
        return tuple(rows)
    at = next((row.at for row in rows if row.dated), site_clock)
    filled = []
    for row in rows:
        at = row.at if row.dated else at
        filled.append(row if row.dated else row._replace(at=at))
    return tuple(filled)


def known_at(row: Row) -> int:
    """Return the time by which a row is recognised, 0 if it has none."""
    return row.at if row.dated else 0


def is_same(row: Row, at: int | None) -> bool:
    """Return whether a row may be the one with a given time; it may if either time is unknown."""
    return not at or not row.dated or row.at == at


def remember_rows(state: FeedState, rows: Sequence[Row], date: int | None, horizon: float) -> None:
    """Remember the last ids, to recognise the log, and marks that date ids.

    A mark `(at, id)` says that rows created after `at` have this id or a higher one: the lowest of
    the ids that were being asked for at that time.

    Args:
        state: The feed's state.
        rows: The rows taken in id order.
        date: What the site says the time is, None if it does not.
        horizon: How far back marks are needed, in seconds.
    """
    if not rows:
        return
    last = ((row.id, known_at(row)) for row in rows[-RECENT_IDS:])
    state.recent = [*state.recent, *last][-RECENT_IDS:]
    at = site_clock(state, date)
    if not state.marks:
        state.marks = [(at, rows[0].id)]
    later = [id_ for time, id_ in state.marks if time >= at]
    if later or at - state.marks[-1][0] >= MARKS_APART:
        earlier = [mark for mark in state.marks if mark[0] < at]
        lowest = min([state.recent[-ASKED_FOR_THE_TIME:][0][0], *later])
        state.marks = _thinned_marks([*earlier, (at, lowest)], at, horizon)


def remember_late_rows(state: FeedState, rows: Sequence[Row]) -> None:
    """Remember rows that came late among the last ids, if they belong there."""
    if rows and state.recent and rows[-1].id > state.recent[0][0]:
        recent = sorted([*state.recent, *((row.id, known_at(row)) for row in rows)])
        state.recent = recent[-RECENT_IDS:]


def first_id_after(state: FeedState, at: float) -> int | None:
    """Return an id below which no row was created after a time, None if none is known."""
    place = bisect_right(state.marks, at, key=lambda mark: mark[0])
    return state.marks[place - 1][1] if place else None


def _thinned_marks(
    marks: Sequence[tuple[int, int]], now: int, horizon: float
) -> list[tuple[int, int]]:
    """Keep marks closer together the younger they are, and one older than the horizon.

    The first mark of each stretch of time stays. Stretches double with age and are nested, so that
    thinning repeatedly drops no more than thinning once.
    """
    kept: list[tuple[int, int]] = []
    before: tuple[int, int] | None = None
    for at, id_ in marks:
        width = MARKS_APART
        while width * 2 <= (now - at) / MARKS_PER_AGE:
            width *= 2
        # Each width is double the one before, so that a stretch lies within one wider stretch.
        if before != (width, at // width):
            kept.append((at, id_))
        before = width, at // width
    old = sum(now - at > horizon for at, _ in kept)
    return kept[max(old - 1, 0) :]
