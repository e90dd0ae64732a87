"""Writing once a second what the daemon is doing, and notifying plugins of what needs a person."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from sgevents_core import __version__
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.overdue import Overdue, hung
from sgevents_core.errors import StateError
from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.protocols import AttentionKind
from sgevents_core.state import pulse
from sgevents_core.state.attention import FeedTrouble, Need, attention_needs
from sgevents_core.state.pulse import Pulse

NEEDS_EVERY: Final = 5.0
"""Seconds between two looks at what needs a person."""


class Troubled(Protocol):
    """The feed, as far as it knows its own trouble."""

    @property
    def site_trouble(self) -> LastingFailure | None:
        """Why the site does not answer; None while it does."""

    @property
    def journal_trouble(self) -> LastingFailure | None:
        """Why the journal cannot be written; None while it can."""


class Watched(NamedTuple):
    """The parts of a daemon to look at.

    Args:
        feed: The feed.
        lanes: The lanes.
        overdue: The monitor of running calls.
        feed_trouble: Reads the recorded trouble of the feed; raises StateError if it cannot.
    """

    feed: Troubled
    lanes: Sequence[Lane]
    overdue: Overdue
    feed_trouble: Callable[[], FeedTrouble]


class VitalSigns:
    """The monitor of a running daemon; for the main thread.

    Args:
        folder: The state's folder, where the pulse is written.
        watched: The parts of a daemon to look at.
        announcer: Reports to people and plugins.
    """

    def __init__(self, folder: Path, watched: Watched, announcer: Announcer) -> None:
        self._folder = folder
        self._watched = watched
        self._announcer = announcer
        self._started = time.time()
        self._beaten = float("-inf")
        self._looked = float("-inf")
        self._needs: dict[tuple[AttentionKind, str], Need] = {}

    def look(self, now: float) -> None:
        """Write the pulse and report what needs a person, each as often as it is due.

        Args:
            now: The current monotonic time, in seconds.
        """
        if now - self._beaten < pulse.PULSE_INTERVAL:
            return
        self._beaten = now
        seen = self._pulse(now)
        pulse.write_pulse(self._folder, seen)
        if now - self._looked >= NEEDS_EVERY:
            self._looked = now
            self._tell(seen)

    def close(self) -> None:
        """Remove the pulse."""
        pulse.remove_pulse(self._folder)

    def _pulse(self, now: float) -> Pulse:
        watched = self._watched
        return Pulse(
            pid=os.getpid(),
            version=__version__,
            started=self._started,
            at=time.time(),
            site=watched.feed.site_trouble,
            journal=watched.feed.journal_trouble,
            calls=tuple(watched.overdue.lasting(now)),
            hung=tuple(hung(watched.lanes)),
            blocked=tuple(filter(None, (lane.blocking() for lane in watched.lanes))),
        )

    def _tell(self, seen: Pulse) -> None:
        """Report what needs a person since the last look, and what no longer does."""
        try:
            feed = self._watched.feed_trouble()
        except StateError:
            return  # whoever writes to the state reports it
        found = {(need.kind, need.plugin): need for need in attention_needs(seen, feed, seen.at)}
        for key, need in found.items():
            if key not in self._needs:
                self._announcer.attention(need, over=False)
        for key, need in self._needs.items():
            if key not in found:
                self._announcer.attention(need, over=True)
        self._needs = found
