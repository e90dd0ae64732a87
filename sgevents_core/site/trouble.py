"""Trouble with the site or the journal: reported once, again if it lasts, and when it is over."""

from __future__ import annotations

import logging
import random
import time
from typing import Final, NamedTuple

from sgevents_core.errors import SgEventsError, SiteRefused, SiteUnreachable
from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.printable import counted

logger = logging.getLogger("sgevents.feed")

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 10.0
LONGEST_ASKED: Final = 300.0
"""The longest time for which the feed respects `Retry-After`, in seconds."""
LASTING: Final = 60.0
"""Seconds of trouble after which it is logged as an error, not a warning."""


class Saying(NamedTuple):
    """What is logged: the level, the action, the sentence."""

    level: int
    action: str
    text: str


class Sayings(NamedTuple):
    """What is logged about one kind of trouble.

    Args:
        first: Logged once; its sentence takes the error.
        lasting: Logged again if it lasts; takes the seconds and the error.
        over: Logged when it is over; takes the number of failures and the seconds.
    """

    first: Saying
    lasting: Saying
    over: Saying


SITE: Final = Sayings(
    Saying(logging.WARNING, "site.failed", "%s It is tried again."),
    Saying(
        logging.ERROR,
        "site.lasting",
        "The site has not answered for %d s. %s It is tried again.",
    ),
    Saying(logging.INFO, "site.answers", "The site answers again after %s in %.1f s"),
)
JOURNAL: Final = Sayings(
    Saying(
        logging.ERROR, "feed.not_written", "%s Nothing is lost: the feed reads and writes it again."
    ),
    Saying(
        logging.ERROR,
        "feed.not_written",
        "Nothing could be written for %d s. %s Nothing is lost; nothing continues until then.",
    ),
    Saying(logging.INFO, "feed.written", "The journal is written again after %s in %.1f s"),
)


class Trouble:
    """A count of failures in a row, which decides how long to wait and when to report.

    Args:
        sayings: What to say.
    """

    def __init__(self, sayings: Sayings) -> None:
        self.failure_count = 0
        self.lasting_failure: LastingFailure | None = None
        """The last failure, and when the first in a row was; None after a success."""
        self._sayings = sayings
        self._since = 0.0
        self._said_lasting = False

    def record_failure(self, error: SgEventsError) -> float:
        """Record a failure, report it at first and if it lasts; return the seconds to wait."""
        now = time.monotonic()
        began = time.time() if self.lasting_failure is None else self.lasting_failure.since
        self.lasting_failure = LastingFailure(str(error), began, isinstance(error, SiteRefused))
        if not self.failure_count:
            self._since = now
            _say(self._sayings.first, error)
        elif now - self._since > LASTING and not self._said_lasting:
            self._said_lasting = True
            _say(self._sayings.lasting, now - self._since, error)
        self.failure_count += 1
        longest = min(FIRST_WAIT * 2.0 ** min(self.failure_count - 1, 10), LONGEST_WAIT)
        wait = longest * (0.5 + random.random() / 2)  # noqa: S311 - jitter
        asked = error.after if isinstance(error, SiteUnreachable) else None
        return max(wait, min(asked or 0.0, LONGEST_ASKED))

    def record_success(self) -> None:
        """Record a success; if trouble was reported, report that it is over."""
        if self.failure_count:
            _say(
                self._sayings.over,
                counted(self.failure_count, "failure"),
                time.monotonic() - self._since,
            )
        self.failure_count, self.lasting_failure, self._said_lasting = 0, None, False


def _say(saying: Saying, *values: object) -> None:
    logger.log(saying.level, saying.text, *values, extra={"action": saying.action})
