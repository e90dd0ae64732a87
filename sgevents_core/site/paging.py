"""Pages: when to read the next one, how many rows it has, and which id it skips. Pure."""

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
"""Ids requested if a page fails or has no usable row."""
EXPECTING_SECONDS: Final = 2.0
"""Seconds for which rows that somebody speaks of are looked for hastily."""
FIRST_HASTY_INTERVAL: Final = 0.1
"""Seconds to the next page meanwhile; then twice as long each time."""
FAILURES_OF_A_PAGE: Final = 2
"""Failures of a page in a row, while the site answers, that count as more than chance."""


class Paging:
    """Decisions on which page is read next.

    A page that fails is requested again, shorter, once a small query has shown that the site
    answers. If the shortest fails too, or a full page holds nothing that can be handled, the next
    page begins behind the id in the way: that id is then missing, and waited for like others.

    Args:
        feed_rules: Times and sizes.
    """

    def __init__(self, feed_rules: Rules) -> None:
        self.next_at = 0.0
        self.full_in_a_row = 0
        self._rules = feed_rules
        self._poll_interval = feed_rules.poll_interval
        self._expects_until = float("-inf")
        self._hasty_interval = FIRST_HASTY_INTERVAL
        self._last_news_at: float | None = None
        self._page_size = Size(feed_rules.page_size, SMALLEST_PAGE)
        self._is_probing = False
        self._is_stuck = False
        self._failures_in_a_row = 0
        self._failed_size = 0
        self._skip_to: int | None = None

    def next_call(self, feed_state: FeedState) -> Page | After:
        """Return the next query."""
        if self._is_probing:
            return After(max(feed_state.frontier, self._skip_to or 0), PROBED_IDS)
        if self._skip_to is not None:
            return Page(self._skip_to, self._page_size.current, None)
        above_id = feed_state.frontier if feed_state.anchor_id is None else feed_state.anchor_id - 1
        return Page(above_id, self._page_size.current, feed_state.anchor_id)

    def take_failure(
        self, page_call: Page | After, current_time: float, *, is_answering: bool
    ) -> None:
        """Note that a call failed.

        Args:
            page_call: The page that was requested.
            current_time: The host's monotonic clock, in seconds.
            is_answering: Whether the site did answer, by refusing the page.
        """
        if isinstance(page_call, Page):
            self._failures_in_a_row += 1
            self._failed_size = page_call.limit
            self._is_probing = True
        elif is_answering:
            self.take_probe((), current_time)

    @property
    def limit(self) -> int:
        """How many rows are requested at once."""
        return self._page_size.current

    @property
    def is_hindered(self) -> bool:
        """Whether something stands in the way of pages."""
        return self._is_probing or self._skip_to is not None

    def took_range(self, page_call: PageRange, current_time: float) -> None:
        """Note that a range was taken and that more rows follow directly."""
        self._page_size.succeeded(page_call.limit)
        self._last_news_at, self._poll_interval = current_time, self._rules.poll_interval
        self.full_in_a_row += 1
        self.next_at = current_time

    def read_soon(self, current_time: float) -> None:
        """Read the next page soon, even if the log is quiet."""
        self.next_at = min(self.next_at, current_time + self._rules.poll_interval)

    def expect_news(self, current_time: float) -> None:
        """Read the next page now, and soon again if it has no news yet.

        Whoever says that there are new rows may say so before they are visible.
        """
        self.next_at = min(self.next_at, current_time)
        self._expects_until = current_time + EXPECTING_SECONDS
        self._hasty_interval = FIRST_HASTY_INTERVAL

    def take_probe(self, event_rows: Sequence[Row], current_time: float) -> None:
        """Handle the answer to a small query for the next ids; it shows that the site answers."""
        self._is_probing = False
        if not self._is_stuck and self._failures_in_a_row < FAILURES_OF_A_PAGE:
            return
        if not self._is_stuck and self._failed_size > SMALLEST_PAGE:
            self._page_size.failed(self._failed_size)
            return
        if not event_rows:
            self._skip_to, self._is_stuck = None, False
            self.next_at = current_time + self._poll_interval
            return
        below_id = event_rows[0].id - 1
        seen = self._skip_to is not None and self._skip_to >= below_id
        self._skip_to = event_rows[0].id if seen else below_id

    def take_page(
        self,
        page_call: Page,
        current_time: float,
        *,
        is_full: bool,
        has_fresh: bool,
        has_news: bool,
    ) -> None:
        """Note that a page was answered, and decide when the next one is read.

        Args:
            page_call: The page that was requested.
            current_time: The host's monotonic clock, in seconds.
            is_full: Whether more rows may follow directly.
            has_fresh: Whether any row above the last one could be handled.
            has_news: Whether there is any such row, even one that has to wait.
        """
        self._page_size.succeeded(page_call.limit)
        self._failures_in_a_row, self._skip_to = 0, None
        self._is_stuck = self._is_probing = is_full and not has_fresh
        if is_full:
            self.full_in_a_row += has_fresh
            self.next_at = current_time
            return
        self.full_in_a_row = 0
        if has_news:
            self._expects_until = float("-inf")
        if has_news or self._last_news_at is None:
            self._last_news_at, self._poll_interval = current_time, self._rules.poll_interval
        elif current_time - self._last_news_at >= QUIET_SECONDS:
            next_interval = self._poll_interval * IDLE_FACTOR
            self._poll_interval = min(next_interval, self._rules.idle_interval)
        self.next_at = current_time + self._poll_interval
        if current_time < self._expects_until:
            self.next_at = min(self.next_at, current_time + self._hasty_interval)
            self._hasty_interval *= 2
