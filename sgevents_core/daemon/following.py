"""What follows the site in this process: a feed in a thread of its own, while it has the feed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from sgevents_core.errors import SgEventsError
from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.observe.liveness import Liveness
from sgevents_core.site.feed import Feed
from sgevents_core.state.requests import Request

FEED_LOOP: Final = "feed"


class SiteFollowing:
    """The feed of this process, if it has it; its fields are changed by the main thread alone.

    Args:
        make_feed: Makes a feed that continues where the state says.
        liveness: Knows when the feed last turned.
    """

    def __init__(self, make_feed: Callable[[], Feed], liveness: Liveness) -> None:
        self.feed: Feed | None = None
        self._make_feed = make_feed
        self._liveness = liveness
        self._thread: threading.Thread | None = None

    def prepare(self) -> None:
        """Make the feed; it follows nothing before `start`.

        Raises:
            StateError: The state cannot be read.
        """
        self.feed = self._make_feed()

    def start(self) -> None:
        """Let the feed that was made follow the site."""
        if self.feed is None:
            return
        self._liveness.expect([FEED_LOOP])
        feed_loop = partial(self._liveness.run, FEED_LOOP, self.feed.run)
        self._thread = threading.Thread(target=feed_loop, name="feed", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let the feed end, without waiting for a running call to the site."""
        if self.feed is not None:
            self.feed.stop()

    def join(self, timeout: float) -> None:
        """Wait until the feed has ended, for some seconds at most: a silent site is not awaited."""
        if self._thread is not None:
            self._thread.join(timeout)

    def forget(self) -> None:
        """Drop a feed that has ended, or that was never started."""
        if self.feed is not None and self._thread is None:
            self.feed.stop()
            self.feed.run()  # which closes its connections
        self.feed = self._thread = None

    @property
    def has_ended(self) -> bool:
        """Whether the feed has ended."""
        return self._thread is not None and not self._thread.is_alive()

    @property
    def error(self) -> SgEventsError | None:
        """Why the feed has ended by itself; None if it has not."""
        return None if self.feed is None else self.feed.error

    @property
    def has_feed(self) -> bool:
        """Whether this process has the feed."""
        return self.feed is not None

    @property
    def is_idle(self) -> bool:
        """Whether the feed has all that the site has now."""
        return self.feed is not None and self.feed.idle.is_set()

    @property
    def site_trouble(self) -> LastingFailure | None:
        """Why the site does not answer; None while it does. May be read from any thread."""
        return None if self.feed is None else self.feed.site_trouble

    @property
    def journal_trouble(self) -> LastingFailure | None:
        """Why the journal cannot be written; None while it can. May be read from any thread."""
        return None if self.feed is None else self.feed.journal_trouble

    def expect_news(self) -> None:
        """Ask the site at once, as somebody says that it has news; for any thread."""
        if self.feed is not None:
            self.feed.expect_news()

    def decide(self, request: Request) -> bool:
        """Have the feed's own thread carry out a request; return False if it is not here."""
        if self.feed is None:
            return False
        self.feed.decide(request)
        return True
