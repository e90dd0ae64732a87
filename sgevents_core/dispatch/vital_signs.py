"""Write the daemon's pulse once a second, and alert plugins to problems that need a person."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from sgevents_core import __version__
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.overdue import OverdueCalls, hung_plugin_names
from sgevents_core.errors import StateError
from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.protocols import AttentionKind
from sgevents_core.state import pulse
from sgevents_core.state.attention import FeedTrouble, Need, attention_needs
from sgevents_core.state.pulse import ProcessLane, Pulse, SlowPlugin

NEEDS_INTERVAL: Final = 5.0
"""Seconds between two checks for problems that need a person."""


class FeedTroubles(Protocol):
    """The feed's knowledge of its own problems."""

    @property
    def site_trouble(self) -> LastingFailure | None:
        """Why the site does not answer; None while it does."""


class WatchedParts(NamedTuple):
    """The parts of a daemon to look at.

    Args:
        feed: The feed.
        lanes: The lanes.
        overdue: The monitor of running calls.
        feed_trouble: Reads the recorded trouble of the feed; raises StateError if it cannot.
        process_lanes: Returns the lanes with worker processes.
        state_trouble: Returns why nothing can be written to the state; None while it can.
    """

    feed: FeedTroubles
    lanes: Sequence[Lane]
    overdue: OverdueCalls
    feed_trouble: Callable[[], FeedTrouble]
    process_lanes: Callable[[], Sequence[ProcessLane]]
    state_trouble: Callable[[], LastingFailure | None]


class VitalSigns:
    """The monitor of a running daemon; for the main thread.

    Args:
        state_folder: The state's folder, where the pulse is written.
        watched_parts: The parts of a daemon to look at.
        announcer: Reports to people and plugins.
    """

    def __init__(
        self, state_folder: Path, watched_parts: WatchedParts, announcer: Announcer
    ) -> None:
        self._state_folder = state_folder
        self._watched_parts = watched_parts
        self._announcer = announcer
        self._started_at = time.time()
        self._pulse_at = float("-inf")
        self._needs_at = float("-inf")
        self._known_needs: dict[tuple[AttentionKind, str], Need] = {}

    def check(self, current_time: float) -> None:
        """Write the pulse and report problems that need a person, each when it is due.

        Args:
            current_time: The current monotonic time, in seconds.
        """
        if current_time - self._pulse_at < pulse.PULSE_INTERVAL:
            return
        self._pulse_at = current_time
        current_pulse = self._read_pulse(current_time)
        pulse.write_pulse(self._state_folder, current_pulse)
        if current_time - self._needs_at >= NEEDS_INTERVAL:
            self._needs_at = current_time
            self._report_needs(current_pulse)

    def close(self) -> None:
        """Remove the pulse."""
        pulse.remove_pulse(self._state_folder)

    def _read_pulse(self, current_time: float) -> Pulse:
        watched_parts = self._watched_parts
        return Pulse(
            pid=os.getpid(),
            version=__version__,
            started=self._started_at,
            at=time.time(),
            site=watched_parts.feed.site_trouble,
            journal=watched_parts.state_trouble(),
            calls=tuple(watched_parts.overdue.lasting_calls(current_time)),
            hung=tuple(hung_plugin_names(watched_parts.lanes)),
            blocked=tuple(filter(None, (lane.blocking() for lane in watched_parts.lanes))),
            process_lanes=tuple(watched_parts.process_lanes()),
            slow=tuple(_slow_plugins(watched_parts.lanes, current_time)),
        )

    def _report_needs(self, current_pulse: Pulse) -> None:
        """Report problems that need a person since the last check, and those that are over."""
        try:
            feed_trouble = self._watched_parts.feed_trouble()
        except StateError:
            return  # the thread that writes to the state reports it
        current_needs = {
            (need.kind, need.plugin): need
            for need in attention_needs(current_pulse, feed_trouble, current_pulse.at)
        }
        for need_key, need in current_needs.items():
            if need_key not in self._known_needs:
                self._announcer.attention(need, over=False)
        for need_key, need in self._known_needs.items():
            if need_key not in current_needs:
                self._announcer.attention(need, over=True)
        self._known_needs = current_needs


def _slow_plugins(lanes: Sequence[Lane], current_time: float) -> Iterator[SlowPlugin]:
    """Yield the plugins that are called more slowly because they keep ending worker processes."""
    for lane in lanes:
        for lane_plugin in lane.lane_plugins:
            ended_workers = lane_plugin.ended_workers
            if ended_workers.is_slow:
                wait_seconds = ended_workers.wait_left(current_time)
                retry_at = time.time() + (wait_seconds if wait_seconds < math.inf else 0.0)
                yield SlowPlugin(lane.name, lane_plugin.plugin.name, len(ended_workers), retry_at)
