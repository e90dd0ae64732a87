"""The parts of a running daemon."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from sgevents_core.calling.context import Services
from sgevents_core.children.daemon_children import Children
from sgevents_core.crashes.syncing import ProgressSyncer
from sgevents_core.daemon.following import SiteFollowing
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.lane import Lane
from sgevents_core.hosts.work import Work
from sgevents_core.observe.liveness import Liveness
from sgevents_core.plugins.loading import (
    LoadedPlugin,
)
from sgevents_core.requests.inbox import Inbox
from sgevents_core.state.held_lane import HeldLane


@dataclass(frozen=True)
class Parts:
    """The parts of one run; the lists and mappings change while it lasts.

    Args:
        plugins: The plugins that were started.
        services: The services of each plugin's calls, by the plugin's name.
        held_lanes: The lanes that this process has taken, by name.
        announcer: Reports failures to people and plugins.
        lanes: The lanes that have plugins.
        lane_threads: The threads of these lanes, by name.
        following: The feed, if this process has it.
        inbox: Hands people's requests to the lanes and the feed.
        progress_syncer: Flushes recorded progress to disk.
        children: The worker processes; it also knows whether a stop waits for running calls.
        liveness: Knows when the loops of the feed and the lanes last turned.
        syncer_thread: The thread of `progress_syncer`.
        work: What this process is to work at.
    """

    plugins: list[LoadedPlugin]
    services: dict[str, Services]
    held_lanes: dict[str, HeldLane]
    announcer: Announcer
    lanes: list[Lane]
    lane_threads: dict[str, threading.Thread]
    following: SiteFollowing
    inbox: Inbox
    progress_syncer: ProgressSyncer
    children: Children
    liveness: Liveness
    syncer_thread: threading.Thread
    work: Work

    def lane_of(self, lane_name: str) -> Lane | None:
        """Return the lane of this name; None if it has no plugins, or another process has it."""
        return next((lane for lane in self.lanes if lane.name == lane_name), None)

    def remove_lane(self, lane_name: str) -> Lane | None:
        """Remove a lane that has ended; return it, None if there was none."""
        ended_lane = self.lane_of(lane_name)
        if ended_lane is not None:
            self.lanes.remove(ended_lane)
            del self.lane_threads[lane_name]
        return ended_lane

    def close_unstarted(self) -> None:
        """Close the connections of parts that will not be started."""
        self.inbox.close()
        self.progress_syncer.close()
