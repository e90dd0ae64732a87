"""Pages: when the next one is read, how long it is, and what it leaves out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sgevents_core.site.follower_values import Rules
from sgevents_core.site.questions import After, Page, PageRange
from sgevents_core.site.sizes import Size
from sgevents_core.state.entries import Row
from sgevents_core.state.feed_values import FeedState

QUIET_SECONDS: Final = 180.0
"""Seconds without an event after which pages are read less often."""
IDLE_FACTOR: Final = 1.1
"""The factor by which the time to the next page then grows with each page without news."""
SMALLEST_PAGE: Final = 2
PROBED_IDS: Final = 2
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
        self.next_at = 0.0
        self.full_in_a_row = 0
        self._rules = rules
        self._poll_interval = rules.poll_interval
        self._last_news_at: float | None = None
        self._page_size = Size(rules.page_size, SMALLEST_PAGE)
        self._is_probing = False
        self._is_stuck = False
        self._failures_in_a_row = 0
        self._failed_size = 0
        self._skip_to: int | None = None

    def next_call(self, state: FeedState) -> Page | After:
        """Return what to ask next."""
        if self._is_probing:
            return After(max(state.frontier, self._skip_to or 0), PROBED_IDS)
        if self._skip_to is not None:
            return Page(self._skip_to, self._page_size.current, None)
        above = state.frontier if state.anchor_id is None else state.anchor_id - 1
        return Page(above, self._page_size.current, state.anchor_id)

    def take_failure(self, call: Page | After, now: float, *, answers: bool) -> None:
        """Note that a call failed.

        Args:
            call: What was asked.
            now: The host's monotonic clock, in seconds.
            answers: Whether the site understood it nevertheless.
        """
        if isinstance(call, Page):
            self._failures_in_a_row += 1
            self._failed_size = call.limit
            self._is_probing = True
        elif answers:
            self.take_probe((), now)

    @property
    def limit(self) -> int:
        """How many rows are asked for at once."""
        return self._page_size.current

    @property
    def is_hindered(self) -> bool:
        """Whether something stands in the way of pages."""
        return self._is_probing or self._skip_to is not None

    def took_range(self, call: PageRange, now: float) -> None:
        """Note that a range was taken, behind which more rows follow directly."""
        self._page_size.succeeded(call.limit)
        self._last_news_at, self._poll_interval = now, self._rules.poll_interval
        self.full_in_a_row += 1
        self.next_at = now

    def read_soon(self, now: float) -> None:
        """Read the next page soon, even if the log is quiet."""
        self.next_at = min(self.next_at, now + self._rules.poll_interval)

    def take_probe(self, rows: Sequence[Row], now: float) -> None:
        """Handle the ids above the last one, or above what is left out: the site answers."""
        self._is_probing = False
        if not self._is_stuck and self._failures_in_a_row < FAILURES_OF_A_PAGE:
            return
        if not self._is_stuck and self._failed_size > SMALLEST_PAGE:
            self._page_size.failed(self._failed_size)
            return
        if not rows:
            self._skip_to, self._is_stuck = None, False
            self.next_at = now + self._poll_interval
            return
        below = rows[0].id - 1
        seen = self._skip_to is not None and self._skip_to >= below
        self._skip_to = rows[0].id if seen else below

    def take_page(
        self, call: Page, now: float, *, is_full: bool, has_fresh: bool, has_news: bool
    ) -> None:
        """Note that a page was answered, and decide when the next one is read.

        Args:
            call: What was asked.
            now: The host's monotonic clock, in seconds.
            is_full: Whether more rows may follow directly.
            has_fresh: Whether any row above the last one could be handled.
            has_news: Whether there is any such row, even one that has to wait.
        """
        self._page_size.succeeded(call.limit)
        self._failures_in_a_row, self._skip_to = 0, None
        self._is_stuck = self._is_probing = is_full and not has_fresh
        if is_full:
            self.full_in_a_row += has_fresh
            self.next_at = now
            return
        self.full_in_a_row = 0
        if has_news or self._last_news_at is None:
            self._last_news_at, self._poll_interval = now, self._rules.poll_interval
        elif now - self._last_news_at >= QUIET_SECONDS:
            next_interval = self._poll_interval * IDLE_FACTOR
            self._poll_interval = min(next_interval, self._rules.idle_interval)
        self.next_at = now + self._poll_interval
