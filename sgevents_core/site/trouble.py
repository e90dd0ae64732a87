"""Trouble with the site or the journal, reported once, again while it lasts, and at its end."""

from __future__ import annotations

import logging
import random
import time
from typing import Final, NamedTuple

from sgevents_core.errors import SgEventsError, SiteRefused, SiteUnreachable, StateError
from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.printable import counted

logger = logging.getLogger("sgevents.feed")

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 10.0
LONGEST_REQUESTED_WAIT: Final = 300.0
"""The longest time for which the feed respects `Retry-After`, in seconds."""
LASTING_SECONDS: Final = 60.0
"""Seconds of trouble after which it is logged as an error, not a warning."""


class Saying(NamedTuple):
    """A log record: the level, the action, the sentence."""

    level: int
    action: str
    text: str


class Sayings(NamedTuple):
    """The log records about one kind of trouble.

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
    """A count of failures in a row, from which the waits and the reports follow.

    Args:
        trouble_sayings: The log records.
    """

    def __init__(self, trouble_sayings: Sayings) -> None:
        self.failure_count = 0
        self.lasting_failure: LastingFailure | None = None
        """The last failure, and the time of the first one in a row; None after a success."""
        self._sayings = trouble_sayings
        self._began_at = 0.0
        self._has_reported_lasting = False

    def record_failure(self, failure_error: SgEventsError) -> float:
        """Count a failure, report it at first and if it lasts; return the seconds to wait."""
        monotonic_now = time.monotonic()
        began_at = time.time() if self.lasting_failure is None else self.lasting_failure.since
        self.lasting_failure = LastingFailure(
            str(failure_error),
            began_at,
            isinstance(failure_error, SiteRefused),
            failure_error.fix if isinstance(failure_error, StateError) else "",
        )
        if not self.failure_count:
            self._began_at = monotonic_now
            _log_saying(self._sayings.first, failure_error)
        elif monotonic_now - self._began_at > LASTING_SECONDS and not self._has_reported_lasting:
            self._has_reported_lasting = True
            _log_saying(self._sayings.lasting, monotonic_now - self._began_at, failure_error)
        self.failure_count += 1
        longest_wait = min(FIRST_WAIT * 2.0 ** min(self.failure_count - 1, 10), LONGEST_WAIT)
        wait_seconds = longest_wait * (0.5 + random.random() / 2)  # noqa: S311 - jitter
        requested_wait = failure_error.after if isinstance(failure_error, SiteUnreachable) else None
        return max(wait_seconds, min(requested_wait or 0.0, LONGEST_REQUESTED_WAIT))

    def record_success(self) -> None:
        """Record a success; if trouble was reported, report that it is over."""
        if self.failure_count:
            _log_saying(
                self._sayings.over,
                counted(self.failure_count, "failure"),
                time.monotonic() - self._began_at,
            )
        self.failure_count, self.lasting_failure, self._has_reported_lasting = 0, None, False


def _log_saying(trouble_saying: Saying, *values: object) -> None:
    logger.log(
        trouble_saying.level, trouble_saying.text, *values, extra={"action": trouble_saying.action}
    )
