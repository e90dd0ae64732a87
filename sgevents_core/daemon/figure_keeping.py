"""The main thread's record of figures per minute: calls, events, and how far behind the work is."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final, Protocol

from sgevents_core.dispatch.lane import Lane
from sgevents_core.errors import StateError
from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.state.call_figures import MINUTE, CallFigure, FeedFigure, MinuteFigures
from sgevents_core.state.protocols import Writer

logger = logging.getLogger("sgevents.daemon")

_MOST_FIGURES_KEPT: Final = 10_000
"""The most figures that wait until they can be written."""


class Following(Protocol):
    """What follows the site in a process, if anything does."""

    @property
    def has_feed(self) -> bool:
        """Whether this process has the feed."""

    @property
    def site_trouble(self) -> LastingFailure | None:
        """Why the site does not answer; None while it does."""


class FigureKeeping:
    """Writes once a minute what the lanes have counted, and what the feed and lanes have done.

    Args:
        state_writer: The connection of the thread that calls it.
        lanes: The lanes; the list changes when a lane is replaced.
        following: What follows the site, if this process does.
        current_time: Now, in seconds since 1970.
    """

    def __init__(
        self,
        state_writer: Writer,
        lanes: Sequence[Lane],
        following: Following,
        current_time: float,
    ) -> None:
        self._state = state_writer
        self._lanes = lanes
        self._following = following
        self._journal_end = state_writer.end()
        self._minute = _minute_of(current_time)
        self._calls: list[CallFigure] = []
        self._feed: list[FeedFigure] = []

    def work_briefly(self, current_time: float) -> None:
        """Write the figures of the minute that has just ended, once.

        Args:
            current_time: Now, in seconds since 1970.
        """
        minute = _minute_of(current_time)
        if minute != self._minute:
            self._keep(minute, current_time)
            self._minute = minute

    def close(self, current_time: float) -> None:
        """Write the figures of the minute that has begun too."""
        self._keep(_minute_of(current_time) + MINUTE, current_time)

    def _keep(self, before: int, current_time: float) -> None:
        """Write the figures of all minutes before one; what cannot be written waits."""
        for lane in self._lanes:
            self._calls += lane.call_counts.collect(before)
        try:
            if self._following.has_feed:  # one process counts the events
                self._feed.append(self._feed_figure(current_time))
            figures = MinuteFigures(tuple(self._calls), tuple(self._feed))
            self._state.record_figures(figures, current_time)
        except StateError as error:
            logger.debug("Figures are not written yet: %s", error)
            self._calls = self._calls[-_MOST_FIGURES_KEPT:]
            self._feed = self._feed[-_MOST_FIGURES_KEPT:]
        else:
            self._calls, self._feed = [], []

    def _feed_figure(self, current_time: float) -> FeedFigure:
        journal_end = self._state.end()
        new_events, self._journal_end = journal_end - self._journal_end, journal_end
        standings = [self._lane_standing(lane, journal_end, current_time) for lane in self._lanes]
        site_trouble = self._following.site_trouble
        lags = [lag for _, lag in standings]
        lags += [] if site_trouble is None else [current_time - site_trouble.since]
        return FeedFigure(
            self._minute,
            max(new_events, 0),
            max((behind for behind, _ in standings), default=0),
            max([*lags, 0.0]),
        )

    def _lane_standing(
        self, lane: Lane, journal_end: int, current_time: float
    ) -> tuple[int, float]:
        """Return how many events a lane has before it, and the age of the oldest."""
        progress = lane.progress
        behind = progress.behind(journal_end)
        oldest_created = self._state.created_after(progress.finished) if behind else None
        return behind, 0.0 if oldest_created is None else current_time - oldest_created


def _minute_of(current_time: float) -> int:
    return int(current_time) // MINUTE * MINUTE
