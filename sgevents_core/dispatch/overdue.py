"""Callbacks that do not return, as seen from the main thread: slow ones, and ones that hang."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from sgevents_core.dispatch.lane import Lane
from sgevents_core.errors import StateError
from sgevents_core.plugins.callback import Callback
from sgevents_core.plugins.loading import LoadedPlugin
from sgevents_core.state.cursors import entry_at
from sgevents_core.state.protocols import Reader
from sgevents_core.state.pulse import RunningCall

logger = logging.getLogger("sgevents.dispatch")

SLOW: Final = 60.0
"""Seconds after which a call that holds up its lane is logged; again when that has doubled."""
SHOWN: Final = 1.0
"""Seconds after which a call is shown to people as running."""
MOST_HUNG: Final = 4
"""The number of hanging threads at which the process is replaced."""
NOT_BEFORE: Final = 5.0
"""The least seconds a process works before it is replaced because of hanging threads."""


class _Seen(NamedTuple):
    """A running call: when it was first seen, and after how long it is logged; never, if it has a
    limit of its own.
    """

    since: float
    tell_after: float


class Overdue:
    """The monitor of running calls; for the main thread.

    Args:
        lanes: The lanes that run.
        journal: The journal, to look up events.
        started: When the process began its work, in monotonic seconds.
        restarts: Whether the process can be replaced.
    """

    def __init__(
        self, lanes: Sequence[Lane], journal: Reader, *, started: float, restarts: bool
    ) -> None:
        self._lanes = lanes
        self._journal = journal
        self._started = started
        self._restarts = restarts
        self._seen: dict[tuple[str, int, str, str], _Seen] = {}
        self._told = 0

    def look(self, now: float) -> bool:
        """Report calls that take long; return whether too many threads hang to continue.

        Args:
            now: The current monotonic time, in seconds.
        """
        before, self._seen = self._seen, {}
        for lane in self._lanes:
            for seq, callback, is_limited in lane.running_calls():
                key = (lane.name, seq, callback.plugin, callback.name)
                seen = before.get(key, _Seen(now, math.inf if is_limited else SLOW))
                if now - seen.since >= seen.tell_after:
                    self._tell_slow(lane.name, seq, callback, now - seen.since)
                    seen = _Seen(seen.since, 2 * seen.tell_after)
                self._seen[key] = seen
        return self._is_worn(now)

    def lasting(self, now: float) -> list[RunningCall]:
        """Return the calls that have run for a second or longer, oldest first.

        Args:
            now: The current monotonic time, in seconds.
        """
        found = []
        for (lane, seq, plugin, callback), seen in self._seen.items():
            if now - seen.since >= SHOWN:
                since = time.time() - (now - seen.since)
                event_id = self._event_at(seq)
                found.append(RunningCall(lane, plugin, callback, event_id, since))
        return sorted(found, key=lambda call: call.since)

    def _is_held_up(self, now: float) -> bool:
        """Return whether a call has run for long: stopping would make all lanes wait for it."""
        calls = self._seen.values()
        return any(now - seen.since >= SLOW for seen in calls if seen.tell_after != math.inf)

    def _is_worn(self, now: float) -> bool:
        names = hung(self._lanes)
        if len(names) < MOST_HUNG or now - self._started < NOT_BEFORE or self._is_held_up(now):
            return False
        if self._told < len(names):
            self._told = len(names)
            logger.error(
                "%d threads hang, those of %s%s",
                len(names),
                ", ".join(names),
                ": to start anew without them is tried"
                if self._restarts
                else ", and this run cannot start anew: their plugins wait",
                extra={"action": "daemon.worn", "plugins": names},
            )
        return self._restarts

    def _event_at(self, seq: int) -> int:
        """Return the id of an event; 0 if the journal cannot be read (reported elsewhere)."""
        try:
            entry = entry_at(self._journal, seq)
        except StateError:
            return 0
        return entry.event_id if entry else 0

    def _tell_slow(self, lane: str, seq: int, callback: Callback, seconds: float) -> None:
        event_id = self._event_at(seq)
        logger.warning(
            "%s of plugin %s has been at event %d for %.0f s, and lane %s waits for it: give it a "
            "timeout, or a lane of its own",
            callback.name,
            callback.plugin,
            event_id,
            seconds,
            lane,
            extra={
                "action": "callback.slow",
                "plugin": callback.plugin,
                "callback": callback.name,
                "event_id": event_id,
                "lane": lane,
                "duration_ms": round(seconds * 1000, 3),
            },
        )


def hung(lanes: Sequence[Lane]) -> list[str]:
    """Return the names of the plugins whose threads hang, one for each thread."""
    return [name for lane in lanes for name in lane.hung_plugins()]


def not_hung(plugins: Sequence[LoadedPlugin], lanes: Sequence[Lane]) -> list[LoadedPlugin]:
    """Return the plugins whose `shutdown` can be called: those in which no call hangs."""
    names = hung(lanes)
    for name in names:
        text = "Plugin %s is not shut down: a callback of it has not returned"
        logger.warning(text, name, extra={"action": "plugin.not_shut_down", "plugin": name})
    return [plugin for plugin in plugins if plugin.name not in names]
