"""Hand the log over to a process of its own while the feed is far behind, and take it back.

The interpreter of the daemon is then free for the lanes. What is committed decides where the feed
continues, so the process may end at any moment, and in any way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, Protocol, TypeAlias

from sgevents_core.observe import liveness
from sgevents_core.site import notices
from sgevents_core.site.catching_up import CommittedStep
from sgevents_core.site.client import EventLog
from sgevents_core.site.feed_counts import FeedCounts
from sgevents_core.site.follower import Follower
from sgevents_core.site.health import SiteHealth

BETWEEN_STINTS: Final = 10.0
"""Seconds after a stint before another one begins."""


class Stint(NamedTuple):
    """What the process has to know to follow the log.

    Args:
        page_size: The largest number of rows that the site gives at once.
        highest_id: The highest id that it has shown.
        counts_refused: Whether the site is known to refuse to count.
    """

    page_size: int
    highest_id: int
    counts_refused: bool


class StintEnded(NamedTuple):
    """The end of a stint: whether a call or a commit failed."""

    has_failed: bool


ShownScripts: TypeAlias = "list[tuple[int, str]]"
"""Scripts that rows show for the first time, each as its id and name: see `DecodedRows`."""
Report: TypeAlias = "CommittedStep | StintEnded | ShownScripts | None"


class CatchUpProcess(Protocol):
    """The process that follows the log in the feed's place; for the feed's thread."""

    def prepare(self) -> None:
        """Start it, if that has not happened, without waiting for it."""

    @property
    def is_ready(self) -> bool:
        """Whether it can begin a stint."""

    def follow(self, stint: Stint) -> Iterator[Report]:
        """Let it follow the log; yield what it reports, and None from time to time.

        The last report is `StintEnded`. Rows with scripts that it has reported are committed only
        once the next report is asked for.
        """

    def close(self) -> None:
        """End it: when this returns, it writes nothing more."""


class HandOver:
    """Decides when the process follows the log, and passes on what it reports.

    Args:
        process: The process.
        event_log: The site's event log.
        site_health: Whether the site answers.
        feed_counts: What the feed has done.
        report_growth: Called after each append of rows.
        report_notices: Called with the notices of each step, after it was committed.
    """

    def __init__(
        self,
        process: CatchUpProcess,
        event_log: EventLog,
        *,
        site_health: SiteHealth,
        feed_counts: FeedCounts,
        report_growth: Callable[[], None],
        report_notices: Callable[[Iterable[notices.Notice]], None],
    ) -> None:
        self._process = process
        self._log = event_log
        self._health = site_health
        self._counts = feed_counts
        self._report_growth = report_growth
        self._report_notices = report_notices
        self._not_before = float("-inf")

    def is_due(self, follower: Follower) -> bool:
        """Return whether the process is wanted and ready; start it if it is wanted."""
        if not follower.is_far_behind or time.monotonic() < self._not_before:
            return False
        self._process.prepare()
        return self._process.is_ready

    def run_stint(self, stint: Stint, is_wanted_back: Callable[[], bool]) -> bool:
        """Let the process follow the log to its end; return whether it has failed.

        Args:
            stint: What it has to know.
            is_wanted_back: Returns whether the feed needs the log; asked several times a second.
        """
        try:
            for report in self._process.follow(stint):
                liveness.report_alive(self._log.longest_call)
                if isinstance(report, StintEnded):
                    return report.has_failed
                self._pass_on(report)
                if is_wanted_back():
                    return False
        finally:
            self.close()
            self._not_before = time.monotonic() + BETWEEN_STINTS
        return True

    def close(self) -> None:
        """End the process, if there is one."""
        self._process.close()

    def _pass_on(self, report: CommittedStep | ShownScripts | None) -> None:
        if isinstance(report, CommittedStep):
            self._health.answered(report.asked_at)
            self._counts.note_step(
                report.poll_kind,
                report.asked_at,
                row_count=report.row_count,
                late_count=report.late_count,
            )
            if report.row_count:
                self._report_growth()
            self._report_notices(report.notices)
        elif report is not None:
            self._log.look_up_scripts(report)
