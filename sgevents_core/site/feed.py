"""The feed's thread: asks the site what the follower wants, commits what came, tells of trouble."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Final

from sgevents_core.errors import SgEventsError, SiteError, SiteFault, SiteRefused, StateError
from sgevents_core.journal.base import FeedState
from sgevents_core.journal.sqlite import SqliteState
from sgevents_core.settings import FeedSettings
from sgevents_core.site.calls import Answer, Call, Count
from sgevents_core.site.client import EventLog
from sgevents_core.site.gaps import Follower, Notice, Rules, Taken

logger = logging.getLogger("sgevents.feed")

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 30.0
LASTING: Final = 60.0
"""Seconds of trouble after which it is an error, no longer a warning."""
NOTE_EVERY: Final = 5.0
"""Seconds between two notes of the feed's state while nothing happens."""
REFUSALS_AT_START: Final = 3
"""Refusals in a row before the first answer that end the start: the credentials are wrong."""


class Feed:
    """Follows one site's event log into the journal.

    Args:
        log: The site's event log.
        state: A connection of its own to the journal.
        settings: How to follow it.
        grown: Called after rows were appended.
        told: Called with what people are to be told, after it was committed and logged.
    """

    def __init__(
        self,
        log: EventLog,
        state: SqliteState,
        settings: FeedSettings,
        grown: Callable[[], None],
        told: Callable[[Notice], None],
    ) -> None:
        self.error: SgEventsError | None = None
        self.idle = threading.Event()
        self._log = log
        self._state = state
        self._rules = _rules(settings)
        self._grown = grown
        self._told = told
        self._stop = threading.Event()
        self._trouble = Trouble()
        self._noted_at = 0.0
        self._answered = False
        self._load()

    def stop(self) -> None:
        """Let the feed end; a call to the site in hand is not waited for."""
        self._stop.set()

    def run(self) -> None:
        """Follow the log until stopped; an error that ends it is kept in `error`."""
        try:
            while not self._stop.is_set():
                self._turn()
        except SgEventsError as error:
            self.error = error
        except Exception as error:
            logger.exception("The feed failed", extra={"action": "feed.failed"})
            self.error = StateError(path="feed", reason=f"{type(error).__name__}: {error}")
        finally:
            self._log.close()
            self._state.close()

    def _load(self) -> None:
        """Make the follower anew from what was committed."""
        self._end = self._state.end()
        self._follower = Follower(self._rules, self._state.load_feed())

    def _turn(self) -> None:
        """One call to the site, or one wait."""
        call = self._follower.next(time.monotonic())
        if isinstance(call, float):
            self.idle.set()
            self._stop.wait(call)
            return
        self.idle.clear()
        answer = self._ask(call)
        if answer is None or self._stop.is_set():
            return
        taken = self._follower.answered(call, answer, time.monotonic())
        if self._commit(taken):
            self._tell(taken)

    def _ask(self, call: Call) -> Answer | None:
        try:
            if not self._answered:
                self._limit_pages()
            answer = self._log.ask(call)
        except SiteFault as error:
            if isinstance(call, Count):
                self._counts_refused(error)
                return None
            self._failed(error)
            return None
        except SiteError as error:
            self._failed(error)
            return None
        self._trouble.over()
        return answer

    def _limit_pages(self) -> None:
        """A page cannot be longer than the site's own: a shorter one would look like the last."""
        longest = max(self._log.page_size(), 2)
        self._follower.limit_pages(longest)
        self._answered = True

    def _counts_refused(self, error: SiteError) -> None:
        text = "%s Audits compare ids instead of counts from now on."
        logger.warning(text, error, extra={"action": "feed.counts_refused"})
        self._follower.refused()

    def _failed(self, error: SiteError) -> None:
        self._follower.failed()
        wait = self._trouble.wait(error)
        if isinstance(error, SiteRefused) and self._never_heard_from:
            if self._trouble.times >= REFUSALS_AT_START:
                raise error
            wait = min(wait, 1.0)
        self._stop.wait(wait)

    @property
    def _never_heard_from(self) -> bool:
        return self._follower.state is None

    def _commit(self, taken: Taken) -> bool:
        """Write rows and state as one; if that fails, the follower is made anew."""
        now = time.monotonic()
        needed = taken.rows or taken.notices or self._follower.known.changed
        if not needed and now - self._noted_at < NOTE_EVERY:
            return True
        change = self._follower.change()
        if change is None:
            return True
        change.state.answered = time.time()
        try:
            self._end = self._state.append(self._end, taken.rows, change)
        except StateError as error:
            logger.error(
                "%s Nothing is lost: the feed tries again.",
                error,
                extra={"action": "feed.not_written"},
            )
            self._stop.wait(self._trouble.pause())
            self._load()
            return False
        self._noted_at = now
        if taken.rows:
            self._grown()
        return True

    def _tell(self, taken: Taken) -> None:
        for notice in taken.notices:
            level = logging.WARNING if notice.warning else logging.INFO
            logger.log(level, notice.text, extra={"action": notice.action, **notice.detail})
            self._told(notice)

    @property
    def state(self) -> FeedState | None:
        """Where the feed is; None before the site's first answer."""
        return self._follower.state


class Trouble:
    """Counts failures in a row: how long to wait, and when to say what."""

    def __init__(self) -> None:
        self.times = 0
        self._since = 0.0
        self._said_error = False

    def wait(self, error: SiteError) -> float:
        """Take a failure, tell of it the first time and when it lasts; return seconds to wait."""
        now = time.monotonic()
        if not self.times:
            self._since = now
            logger.warning("%s It is tried again.", error, extra={"action": "site.failed"})
        elif now - self._since > LASTING and not self._said_error:
            self._said_error = True
            text = "The site has not answered for %d s. %s It is tried again."
            logger.error(text, now - self._since, error, extra={"action": "site.lasting"})
        return self.pause()

    def pause(self) -> float:
        """Return how long to wait, in seconds: longer each time, never quite the same."""
        self.times += 1
        longest = min(FIRST_WAIT * 2.0 ** min(self.times - 1, 10), LONGEST_WAIT)
        return longest * (0.5 + random.random() / 2)  # noqa: S311 - jitter

    def over(self) -> None:
        """Take an answer: trouble is over, said in one line if it had been told of."""
        if self.times:
            text = "The site answers again after %d failed call(s) in %.1f s"
            took = time.monotonic() - self._since if self._since else 0.0
            logger.info(text, self.times, took, extra={"action": "site.answers"})
        self.times, self._since, self._said_error = 0, 0.0, False


def _rules(settings: FeedSettings) -> Rules:
    return Rules(
        page_size=settings.page_size,
        poll_interval=settings.poll_interval,
        idle_interval=max(settings.idle_interval, settings.poll_interval),
        backlog_timeout=settings.backlog_timeout,
        settle=settings.settle,
        audit_horizon=settings.audit_horizon,
        start=settings.start,
    )
