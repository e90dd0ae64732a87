"""Pages: when the next one is read, how long it is, and what it leaves out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sgevents_core.site.follower_values import Rules
from sgevents_core.site.questions import After, Page, PageRange
from sgevents_core.site.sizes import Size
from sgevents_core.state.entries import Row
from sgevents_core.state.feed_values import FeedState

QUIET: Final = 180.0
"""Seconds without an event after which pages are read less often."""
IDLE_FACTOR: Final = 1.1
"""The factor by which the time to the next page then grows with each page without news."""
SMALLEST_PAGE: Final = 2
PROBED: Final = 2
"""Ids asked for if a page fails or brings nothing."""
FAILURES_OF_A_PAGE: Final = 2
"""Failures of a page in a row, while the site answers, that are not a coincidence."""


class Paging:
    """Decisions on which page is read next.

    A page that fails is asked for again, shorter, once a small question has shown that the site
    answers. If the shortest fails too, or a full page holds nothing that can be handled, the next
    page begins behind the id in the way: that id is then missing, and waited for like others.

    Args:
        rules: Times and sizes.
    """

    def __init__(self, rules: Rules) -> None:
        self.at = 0.0
        self.in_a_row = 0
        self._rules = rules
        self._interval = rules.poll_interval
        self._news_at: float | None = None
        self._size = Size(rules.page_size, SMALLEST_PAGE)
        self._probing = False
        self._stuck = False
        self._failures = 0
        self._failed_size = 0
        self._beyond: int | None = None

    def call(self, state: FeedState) -> Page | After:
        """Return what to ask next."""
        if self._probing:
            return After(max(state.frontier, self._beyond or 0), PROBED)
        if self._beyond is not None:
            return Page(self._beyond, self._size.now, None)
        above = state.frontier if state.anchor_id is None else state.anchor_id - 1
        return Page(above, self._size.now, state.anchor_id)

    def failed(self, call: Page | After, now: float, *, answers: bool) -> None:
        """Note that a call failed.

        Args:
            call: What was asked.
            now: The host's monotonic clock, in seconds.
            answers: Whether the site understood it nevertheless.
        """
        if isinstance(call, Page):
            self._failures += 1
            self._failed_size = call.limit
            self._probing = True
        elif answers:
            self.probed((), now)

    @property
    def limit(self) -> int:
        """How many rows are asked for at once."""
        return self._size.now

    @property
    def is_hindered(self) -> bool:
        """Whether something stands in the way of pages."""
        return self._probing or self._beyond is not None

    def took_range(self, call: PageRange, now: float) -> None:
        """Note that a range was taken, behind which more rows follow directly."""
        self._size.worked(call.limit)
        self._news_at, self._interval = now, self._rules.poll_interval
        self.in_a_row += 1
        self.at = now

    def soon(self, now: float) -> None:
        """Read the next page soon, even if the log is quiet."""
        self.at = min(self.at, now + self._rules.poll_interval)

    def probed(self, rows: Sequence[Row], now: float) -> None:
        """Handle the ids above the last one, or above what is left out: the site answers."""
        self._probing = False
        if not self._stuck and self._failures < FAILURES_OF_A_PAGE:
            return
        if not self._stuck and self._failed_size > SMALLEST_PAGE:
            self._size.failed(self._failed_size)
            return
        if not rows:
            self._beyond, self._stuck = None, False
            self.at = now + self._interval
            return
        below = rows[0].id - 1
        seen = self._beyond is not None and self._beyond >= below
        self._beyond = rows[0].id if seen else below

    def answered(self, call: Page, now: float, *, full: bool, fresh: bool, news: bool) -> None:
        """Note that a page was answered, and decide when the next one is read.

        Args:
            call: What was asked.
            now: The host's monotonic clock, in seconds.
            full: Whether more rows may follow directly.
            fresh: Whether any row above the last one could be handled.
            news: Whether there is any such row, even one that has to wait.
        """
        self._size.worked(call.limit)
        self._failures, self._beyond = 0, None
        self._stuck = self._probing = full and not fresh
        if full:
            self.in_a_row += fresh
            self.at = now
            return
        self.in_a_row = 0
        if news or self._news_at is None:
            self._news_at, self._interval = now, self._rules.poll_interval
        elif now - self._news_at >= QUIET:
            longer = self._interval * IDLE_FACTOR
            self._interval = min(longer, self._rules.idle_interval)
        self.at = now + self._interval
