"""The first start of a feed: finding where it begins. Pure: calls out, answers in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from sgevents_core.errors import StartAheadError
from sgevents_core.moments import to_local_time
from sgevents_core.settings import Ago
from sgevents_core.site.ages import ASKED_FOR_THE_TIME, median_of
from sgevents_core.site.follower_values import Rules
from sgevents_core.site.questions import Answer, Call, Newest, Since, reach_of
from sgevents_core.state.entries import Row

MOST_AHEAD: Final = 60
"""Seconds that a start may be ahead of the site's clock, since clocks differ."""
START_PAGES: Final = 20
"""The most pages read below a start "now" in search of ids that may still arrive."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a feed begins.

    Args:
        floor: The lowest id it is responsible for.
        rows: Rows that count as taken, ascending; ids missing between them are waited for.
    """

    floor: int
    rows: tuple[Row, ...] = ()


class FirstStart:
    """The first questions to the site, which find out where to begin.

    Args:
        rules: Hold what the settings say about the start.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._newest_rows: list[Row] = []
        self._page_size = rules.page_size
        self._start_time: int | None = None
        self._has_asked_since = False
        self._first_row: Row | None = None
        if isinstance(rules.start, datetime):
            self._start_time = max(int(rules.start.timestamp()), 1)

    def next_call(self) -> Call:
        """Return what to ask the site."""
        start = self._rules.start
        if isinstance(start, int):
            return Newest(1)  # any row will do: the site answers this script
        if start == "now":
            below = self._newest_rows[-1].id if self._newest_rows else None
            return Newest(self._page_size, below)
        if self._start_time is None:
            return Newest(1)
        if self._has_asked_since:
            return Newest(1, self._first_row.id if self._first_row else None)
        return Since(self._start_time)

    def take_failure(self, call: Call) -> None:
        """Note that the site does not answer a page of that length, while it answers others."""
        if isinstance(call, Newest):
            self._page_size = max(call.limit // 2, 1)

    def take_answer(self, call: Call, answer: Answer) -> Beginning | None:
        """Handle the site's answer; return where to begin, None while more has to be asked.

        Raises:
            StartAheadError: The site has not reached the start yet.
        """
        start = self._rules.start
        if isinstance(start, int):
            return _begin_at_id(start, answer)
        if start == "now":
            full = isinstance(call, Newest) and reach_of(call, answer) is not None
            return self._begin_now(answer, full=full)
        if isinstance(call, Since):
            self._has_asked_since = True
            self._first_row = answer.rows[0] if answer.rows else None
            return None
        if self._start_time is None:
            self._start_time = _start_time_ago(start, answer) if isinstance(start, Ago) else 0
            return None
        if answer.date is not None and self._start_time > answer.date + MOST_AHEAD:
            raise _ahead_error(str(start), answer)
        return self._begin_behind(self._start_time, answer.rows[0] if answer.rows else None)

    def _begin_behind(self, at: int, last: Row | None) -> Beginning | None:
        """Begin behind the last row before a time, so that what is missing above it is waited for.

        Args:
            at: The time.
            last: The row below the first one since then, or the newest of all if there is none.
        """
        if self._first_row is None and last is not None and last.at >= at:
            self._has_asked_since = False  # a row was created between the two questions
            return None
        if last is not None:
            return Beginning(last.id + 1, (last,))
        return Beginning(self._first_row.id if self._first_row else 1)

    def _begin_now(self, answer: Answer, *, full: bool) -> Beginning | None:
        """Begin behind the newest row; ids missing shortly below it may still arrive."""
        rows, most = self._newest_rows, START_PAGES * self._rules.page_size
        rows += answer.rows
        if not rows:
            return Beginning(1)
        clock = answer.date or median_of([row.at for row in rows[:ASKED_FOR_THE_TIME]])
        oldest = clock - self._rules.backlog_timeout
        reached = median_of([row.at for row in rows[-ASKED_FOR_THE_TIME:]])
        if full and reached >= oldest and len(rows) < most:
            return None
        young = [place for place, row in enumerate(rows) if row.at >= oldest]
        count = min(young[-1] + 2 if young else 1, len(rows))
        return Beginning(rows[count - 1].id, tuple(reversed(rows[:count])))


def _start_time_ago(start: Ago, answer: Answer) -> int:
    """Return when a start given as a duration begins, by the site's clock or its newest row."""
    newest = answer.rows[0].at if answer.rows else 0
    return max((answer.date or newest) - int(start.seconds), 1)


def _begin_at_id(start: int, answer: Answer) -> Beginning:
    newest = answer.rows[0].id if answer.rows else 0
    if start > newest + 1:
        raise _ahead_error(str(start), answer)
    return Beginning(max(start, 1))


def _ahead_error(start: str, answer: Answer) -> StartAheadError:
    newest = answer.rows[0].id if answer.rows else 0
    at = answer.rows[0].at if answer.rows and answer.rows[0].dated else 0
    of = (
        f" of {to_local_time(datetime.fromtimestamp(at, timezone.utc)):%Y-%m-%d %H:%M:%S}"
        if at
        else ""
    )
    named = f"{newest}{of}" if newest else "none at all"
    return StartAheadError(start=start, newest=named, highest=newest + 1)
