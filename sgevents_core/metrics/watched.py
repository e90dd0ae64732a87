"""The parts of a running daemon that monitoring looks at, and whether the daemon is well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sgevents_core.calling.context import Services
from sgevents_core.children.lane_workers import LaneWorkers
from sgevents_core.dispatch.lane import Lane
from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.observe.liveness import LIVENESS_MARGIN, Liveness
from sgevents_core.plugins.loading import LoadedPlugin
from sgevents_core.printable import counted
from sgevents_core.site.feed import Feed

TICK_LIMIT: Final = LIVENESS_MARGIN
"""Seconds after which a main thread that has not turned hangs."""


@dataclass(frozen=True)
class WatchedParts:
    """The parts of one run; the daemon changes the lists and mappings in place.

    Args:
        plugins: The plugins that were started.
        services: The services of each plugin's calls, by name.
        lanes: The lanes.
        workers: The worker processes, by the lane's name.
        find_feed: Returns the feed; None while this process does not have it.
        liveness: Knows which loops hang.
        stopping: Set once the run ends.
        state_trouble: Returns why nothing can be written to the state; None while it can.
    """

    plugins: Sequence[LoadedPlugin]
    services: Mapping[str, Services]
    lanes: Sequence[Lane]
    workers: Mapping[str, LaneWorkers]
    find_feed: Callable[[], Feed | None]
    liveness: Liveness
    stopping: threading.Event
    state_trouble: Callable[[], LastingFailure | None]


def feed_lag(feed: Feed) -> float | None:
    """Return how far the feed is behind the site, in seconds; None before the first answer.

    That is the time since the feed last had all there was; while it catches up, the age of the
    newest event it has read, if that is less.
    """
    feed_counts, feed_state = feed.counts, feed.state
    lag_candidates = []
    if feed_counts.caught_up_at is not None:
        lag_candidates.append(time.monotonic() - feed_counts.caught_up_at)
    if (
        (feed_counts.has_more or not lag_candidates)
        and feed_state is not None
        and feed_state.anchor_id is not None
    ):
        lag_candidates.append(time.time() - feed_state.anchor_at)
    return max(min(lag_candidates), 0.0) if lag_candidates else None


def unready_reason(parts: WatchedParts | None, ready_within: float) -> str:
    """Return why a daemon does not follow its site closely enough; empty if it does.

    Args:
        parts: The parts of the run; None while it starts.
        ready_within: How far behind it may be, in seconds.
    """
    if parts is None:
        return "the daemon starts"
    if parts.stopping.is_set():
        return "the daemon stops"
    if parts.state_trouble() is not None:
        return "nothing can be written to the state"
    feed = parts.find_feed()
    return "" if feed is None else _lateness_reason(feed, ready_within)


def _lateness_reason(feed: Feed, ready_within: float) -> str:
    """Return why the feed does not follow its site closely enough; empty if it does."""
    lag_seconds = feed_lag(feed)
    if lag_seconds is None:
        return "the site has not answered yet"
    if lag_seconds > ready_within:
        return f"it is {counted(int(lag_seconds), 'second')} behind the site"
    return ""


def unwell_reason(parts: WatchedParts | None) -> str:
    """Return why the process should be replaced; empty if it is alive."""
    if parts is None:
        return ""
    if parts.liveness.is_hanging:
        return "a loop of the daemon hangs; its log says which, and where"
    checked_at = parts.liveness.checked_at
    if checked_at is not None and time.monotonic() - checked_at > TICK_LIMIT:
        return "the main thread hangs"
    return ""
