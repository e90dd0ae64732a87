"""What a feed has done since it started, as plain numbers; any thread may read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

from sgevents_core.errors import (
    SiteAnswerError,
    SiteError,
    SiteFault,
    SiteRefused,
    SiteUnreachable,
)
from sgevents_core.site.questions import ASIDE, Call, Look, Page, PageRange
from sgevents_core.state.entries import TakenRow

PollKind: TypeAlias = Literal["page", "look", "audit", "other"]
"""What a call to the site was for: new events, missing ids, a proof that none is missing."""
ErrorKind: TypeAlias = Literal["unreachable", "bad_answer", "fault", "refused", "other"]
POLL_KINDS: Final[tuple[PollKind, ...]] = ("page", "look", "audit", "other")
ERROR_KINDS: Final[tuple[ErrorKind, ...]] = (
    *("unreachable", "bad_answer", "fault", "refused", "other"),
)
_KIND_BY_ERROR: Final[tuple[tuple[type[SiteError], ErrorKind], ...]] = (
    (SiteRefused, "refused"),
    (SiteFault, "fault"),
    (SiteAnswerError, "bad_answer"),
    (SiteUnreachable, "unreachable"),
)


class FeedCounts:
    """The counts of one feed, kept in its own thread.

    `caught_up_at` is when the feed last asked for new events and got all there were, in monotonic
    seconds; None before that.
    """

    def __init__(self) -> None:
        self.polls: dict[PollKind, int] = dict.fromkeys(POLL_KINDS, 0)
        self.errors: dict[ErrorKind, int] = dict.fromkeys(ERROR_KINDS, 0)
        self.rows = 0
        self.late_rows = 0
        self.caught_up_at: float | None = None
        self.has_more = False
        """Whether the last page did not reach the end of the site's log, as far as is known."""
        self._page_asked_at: float | None = None

    def note_step(
        self, poll_kind: PollKind, asked_at: float, *, row_count: int, late_count: int
    ) -> None:
        """Count an answered call that was made, and whose rows were taken, by another process.

        Args:
            poll_kind: What the call was for.
            asked_at: When it was made, in monotonic seconds.
            row_count: How many rows were taken.
            late_count: How many of them were late.
        """
        self.polls[poll_kind] += 1
        self.rows += row_count
        self.late_rows += late_count
        if poll_kind == "page":
            self._page_asked_at, self.has_more = asked_at, True

    def note_call(self, site_call: Call) -> None:
        """Count a call to the site."""
        self.polls[poll_kind_of(site_call)] += 1

    def note_error(self, error: SiteError) -> None:
        """Count a call that failed."""
        self.errors[error_kind(error)] += 1

    def note_answer(self, site_call: Call, asked_at: float) -> None:
        """Note that the site answered a call.

        Args:
            site_call: The call.
            asked_at: When it was made, in monotonic seconds.
        """
        if isinstance(site_call, Page | PageRange):
            self._page_asked_at, self.has_more = asked_at, True

    def note_wait(self) -> None:
        """Note that the feed waits, as the last page left nothing to ask for."""
        self.caught_up_at, self.has_more = self._page_asked_at, False

    def note_rows(self, rows: Iterable[TakenRow]) -> None:
        """Count the rows that were taken."""
        for row in rows:
            self.rows += 1
            self.late_rows += bool(row.late)


def error_kind(error: SiteError) -> ErrorKind:
    """Return the kind of a failure, of which there are few."""
    return next((kind for cls, kind in _KIND_BY_ERROR if isinstance(error, cls)), "other")


def poll_kind_of(site_call: Call) -> PollKind:
    """Return what a call to the site is for."""
    if isinstance(site_call, Page | PageRange):
        return "page"
    if isinstance(site_call, Look):
        return "look"
    return "audit" if isinstance(site_call, ASIDE) else "other"
