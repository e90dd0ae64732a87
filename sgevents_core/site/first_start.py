"""The first start of a feed: find the id where it begins. Pure: calls out, answers in."""

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
    """The first queries to the site, which find the id to begin at.

    Args:
        feed_rules: Set where the feed starts.
    """

    def __init__(self, feed_rules: Rules) -> None:
        self._rules = feed_rules
        self._newest_rows: list[Row] = []
        self._page_size = feed_rules.page_size
        self._start_time: int | None = None
        self._has_asked_since = False
        self._first_row: Row | None = None
        if isinstance(feed_rules.start, datetime):
            self._start_time = max(int(feed_rules.start.timestamp()), 1)

    def next_call(self) -> Call:
        """Return the next query to the site."""
        start_position = self._rules.start
        if isinstance(start_position, int):
            return Newest(1)  # any row shows that the site answers this script
        if start_position == "now":
            below_id = self._newest_rows[-1].id if self._newest_rows else None
            return Newest(self._page_size, below_id)
        if self._start_time is None:
            return Newest(1)
        if self._has_asked_since:
            return Newest(1, self._first_row.id if self._first_row else None)
        return Since(self._start_time)

    def take_failure(self, site_call: Call) -> None:
        """Ask for shorter pages from now on: the site answers others, but none this long."""
        if isinstance(site_call, Newest):
            self._page_size = max(site_call.limit // 2, 1)

    def take_answer(self, site_call: Call, site_answer: Answer) -> Beginning | None:
        """Handle the site's answer; return where to begin, None while another query is needed.

        Raises:
            StartAheadError: The site has not reached the start yet.
        """
        start_position = self._rules.start
        if isinstance(start_position, int):
            return _begin_at_id(start_position, site_answer)
        if start_position == "now":
            is_full = isinstance(site_call, Newest) and reach_of(site_call, site_answer) is not None
            return self._begin_now(site_answer, is_full=is_full)
        if isinstance(site_call, Since):
            self._has_asked_since = True
            self._first_row = site_answer.rows[0] if site_answer.rows else None
            return None
        if self._start_time is None:
            self._start_time = (
                _start_time_ago(start_position, site_answer)
                if isinstance(start_position, Ago)
                else 0
            )
            return None
        if site_answer.date is not None and self._start_time > site_answer.date + MOST_AHEAD:
            raise _ahead_error(str(start_position), site_answer)
        return self._begin_behind(
            self._start_time, site_answer.rows[0] if site_answer.rows else None
        )

    def _begin_behind(self, start_time: int, last_row: Row | None) -> Beginning | None:
        """Begin behind the last row before a time, so that the feed waits for ids missing above it.

        Args:
            start_time: The time at which the feed starts, in seconds since 1970.
            last_row: The row below the first one created since then, or the newest row if there is
                none.
        """
        if self._first_row is None and last_row is not None and last_row.at >= start_time:
            self._has_asked_since = False  # a row came between both queries
            return None
        if last_row is not None:
            return Beginning(last_row.id + 1, (last_row,))
        return Beginning(self._first_row.id if self._first_row else 1)

    def _begin_now(self, site_answer: Answer, *, is_full: bool) -> Beginning | None:
        """Begin behind the newest row; ids missing shortly below it may still arrive."""
        event_rows, row_limit = self._newest_rows, START_PAGES * self._rules.page_size
        event_rows += site_answer.rows
        if not event_rows:
            return Beginning(1)
        site_clock = site_answer.date or median_of(
            [event_row.at for event_row in event_rows[:ASKED_FOR_THE_TIME]]
        )
        oldest_id = site_clock - self._rules.backlog_timeout
        has_reached_old = median_of(
            [event_row.at for event_row in event_rows[-ASKED_FOR_THE_TIME:]]
        )
        if is_full and has_reached_old >= oldest_id and len(event_rows) < row_limit:
            return None
        young_rows = [
            row_index for row_index, event_row in enumerate(event_rows) if event_row.at >= oldest_id
        ]
        row_count = min(young_rows[-1] + 2 if young_rows else 1, len(event_rows))
        return Beginning(event_rows[row_count - 1].id, tuple(reversed(event_rows[:row_count])))


def _start_time_ago(start_position: Ago, site_answer: Answer) -> int:
    """Return when a start given as a duration begins, by the site's clock or its newest row."""
    newest_row = site_answer.rows[0].at if site_answer.rows else 0
    return max((site_answer.date or newest_row) - int(start_position.seconds), 1)


def _begin_at_id(start_position: int, site_answer: Answer) -> Beginning:
    newest_row = site_answer.rows[0].id if site_answer.rows else 0
    if start_position > newest_row + 1:
        raise _ahead_error(str(start_position), site_answer)
    return Beginning(max(start_position, 1))


def _ahead_error(start_position: str, site_answer: Answer) -> StartAheadError:
    newest_row = site_answer.rows[0].id if site_answer.rows else 0
    start_time = site_answer.rows[0].at if site_answer.rows and site_answer.rows[0].dated else 0
    newest_text = (
        f" of {to_local_time(datetime.fromtimestamp(start_time, timezone.utc)):%Y-%m-%d %H:%M:%S}"
        if start_time
        else ""
    )
    position_text = f"{newest_row}{newest_text}" if newest_row else "none at all"
    return StartAheadError(start=start_position, newest=position_text, highest=newest_row + 1)
