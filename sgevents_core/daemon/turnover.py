"""Taking and giving up the feed and lanes while the daemon runs, one at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

from sgevents_core.daemon.lane_taking import LaneTaking
from sgevents_core.daemon.parts import Parts
from sgevents_core.dispatch.lane import Lane
from sgevents_core.errors import (
    MessageTooNew,
    SgEventsError,
    StaleWriter,
    StateError,
)
from sgevents_core.hosts.spread import FEED, lane_of_work, lane_work
from sgevents_core.hosts.work import Work
from sgevents_core.plugins.load_watching import LoadingStopped, PluginWatch
from sgevents_core.plugins.loading import LoadedPlugin

logger = logging.getLogger("sgevents.daemon")

RETRY_SECONDS: Final = 2.0
"""Seconds after which work is tried again that could not be taken."""


class WorkTurnover:
    """Begins and ends what the process is to work at; for the main thread.

    Where nobody else may take over, everything was begun at the start and nothing ends.

    Args:
        work: What the process is to work at.
        lane_taking: Takes lanes and gives them up.
        parts: The parts of this run.
        open_watch: Opens the watch for a plugin's code while it is started or shut down.
    """

    def __init__(
        self,
        work: Work,
        lane_taking: LaneTaking,
        parts: Parts,
        open_watch: Callable[[], AbstractContextManager[PluginWatch]],
    ) -> None:
        self._work = work
        self._lane_taking = lane_taking
        self._parts = parts
        self._open_watch = open_watch
        self._is_leaving = False
        self._retry_at: dict[str, float] = {}
        """Work that could not be taken -> when to try again, in monotonic seconds."""

    def report_start(self) -> None:
        """Report the shared work that this process has begun with."""
        if not self._work.is_shared:
            return
        if self._parts.following.has_feed:
            _report_feed_begun()
        for lane_name in self._parts.held_lanes:
            _report_lane_begun(lane_name)

    def turn(self) -> None:
        """Begin what is to be done now, and end what is not."""
        if not self._work.is_shared:
            return
        wanted = set(self._work.wanted())
        self._lane_taking.begin_arrived_plugins(self._parts)
        self._end_feed_unless(FEED in wanted)
        for lane_name in list(self._parts.held_lanes):
            self._end_lane_unless(lane_name, lane_work(lane_name) in wanted)
        try:
            for work_name in sorted(wanted):
                if time.monotonic() >= self._retry_at.get(work_name, 0.0):
                    self._begin(work_name)
        except LoadingStopped:  # the stop follows
            return

    def present_plugins(self) -> Sequence[LoadedPlugin]:
        """Return the plugins that this process has, whether or not it has their lanes now."""
        return self._lane_taking.present_plugins(self._parts)

    def leave(self) -> None:
        """Want nothing any more: whatever runs ends after the running calls."""
        self._is_leaving = True
        self._work.leave()

    def has_work(self, *, feed: bool) -> bool:
        """Return whether anything is left that others wait for.

        Args:
            feed: Whether the feed counts: a silent site is not waited for.
        """
        if not self._work.is_shared:
            return False
        return bool(self._parts.held_lanes) or (feed and self._parts.following.has_feed)

    def tolerates(self, error: BaseException | None) -> bool:
        """Return whether a part that has ended because of an error is not the daemon's end.

        Another process has the work now, or this one takes it again.
        """
        return (
            self._work.is_shared
            and isinstance(error, StaleWriter | StateError)
            and not _is_lasting(error)
        )

    # Ending

    def _end_feed_unless(self, is_wanted: bool) -> None:
        following = self._parts.following
        if following.feed is None:
            return
        if not is_wanted:
            following.stop()
        if following.has_ended:
            self._report_end("The feed", following.error, {"action": "feed.given_up"})
            following.forget()
            self._parts.inbox.forget("")
            self._work.finish(FEED)

    def _end_lane_unless(self, lane_name: str, is_wanted: bool) -> None:
        lane, lane_thread = self._parts.lane_of(lane_name), self._parts.lane_threads[lane_name]
        if lane is None:
            return
        if lane_thread.is_alive():
            if not is_wanted:
                self._stop_lane(lane)
        elif lane.error is None or self.tolerates(lane.error):
            self._finish_lane(lane)

    def _stop_lane(self, lane: Lane) -> None:
        """End a lane after the running call.

        If its lease is over, it begins nothing more anyway, and records what has returned for as
        long as nobody else has taken it.
        """
        may_begin = self._work.right_to(lane_work(lane.name))
        if self._is_leaving or may_begin is None or may_begin():
            lane.stop()
        else:
            lane.wake()

    def _finish_lane(self, lane: Lane) -> None:
        """Shut down the plugins of a lane that has ended, and let others have it."""
        lane_name = lane.name
        with self._open_watch() as watch:
            self._lane_taking.give_up_lane(self._parts, lane_name, watch)
        extra: dict[str, object] = {"action": "lane.given_up", "lane": lane_name}
        self._report_end(f"Lane {lane_name}", lane.error, extra)
        self._parts.inbox.forget(lane_name)
        self._work.finish(lane_work(lane_name))

    def _report_end(
        self, work_text: str, error: BaseException | None, extra: dict[str, object]
    ) -> None:
        if error is None:
            logger.info("%s has ended here: another host can have it", work_text, extra=extra)
        else:
            logger.warning("%s has ended here: %s", work_text, error, extra=extra)

    # Beginning

    def _begin(self, work_name: str) -> None:
        lane_name = lane_of_work(work_name)
        try:
            if lane_name is None:
                self._begin_feed()
            elif lane_name not in self._parts.held_lanes:
                self._begin_lane(lane_name)
        except (StaleWriter, StateError) as error:
            if _is_lasting(error):
                raise
            self._retry_later(work_name, error)
        else:
            self._retry_at.pop(work_name, None)

    def _begin_feed(self) -> None:
        following = self._parts.following
        if following.feed is not None:
            return
        self._work.begin(FEED)
        following.prepare()
        following.start()
        self._parts.inbox.look_again()
        _report_feed_begun()

    def _begin_lane(self, lane_name: str) -> None:
        self._work.begin(lane_work(lane_name))
        with self._open_watch() as watch:
            threads = self._lane_taking.take_loaded_lanes(self._parts, [lane_name], watch)
        self._parts.inbox.look_again()
        self._parts.inbox.poll()  # before the lane, so that a plugin to be paused gets no event
        for lane_thread in threads:
            lane_thread.start()
        _report_lane_begun(lane_name)

    def _retry_later(self, work_name: str, error: SgEventsError) -> None:
        """Let others have what could not be taken; try again in a while if nobody does."""
        if work_name not in self._retry_at:
            extra = {"action": "hosts.not_taken", "work": work_name}
            logger.warning("Cannot begin %s: %s", work_name, error, extra=extra)
        self._retry_at[work_name] = time.monotonic() + RETRY_SECONDS
        lane_name = lane_of_work(work_name)
        if lane_name is None:
            self._parts.following.forget()
        else:
            with self._open_watch() as watch:
                self._lane_taking.give_up_lane(self._parts, lane_name, watch)
        self._work.finish(work_name)


def _is_lasting(error: BaseException) -> bool:
    """Return whether no waiting mends an error, on this host or another."""
    return isinstance(error, MessageTooNew) or (isinstance(error, StateError) and error.is_lasting)


def _report_feed_begun() -> None:
    logger.info("The feed has begun here", extra={"action": "feed.taken"})


def _report_lane_begun(lane_name: str) -> None:
    extra = {"action": "lane.taken", "lane": lane_name}
    logger.info("Lane %s has begun here", lane_name, extra=extra)
