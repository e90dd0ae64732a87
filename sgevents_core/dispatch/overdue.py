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

SLOW_AFTER: Final = 60.0
"""Seconds after which a call that holds up its lane is logged; again when that has doubled."""
SHOWN_AFTER: Final = 1.0
"""Seconds after which a call is shown to people as running."""
MAX_HUNG_THREADS: Final = 4
"""The number of hanging threads at which the process is replaced."""
LEAST_UPTIME: Final = 5.0
"""The least seconds a process works before it is replaced because of hanging threads."""


class _SeenCall(NamedTuple):
    """A running call: when it was first seen, and after how long it is logged; never, if it has a
    limit of its own.
    """

    seen_since: float
    report_after: float


class OverdueCalls:
    """The monitor of running calls; for the main thread.

    Args:
        lanes: The lanes that run.
        journal: The journal, to look up events.
        started_at: When the process began its work, in monotonic seconds.
        can_restart: Whether the process can be replaced.
    """

    def __init__(
        self, lanes: Sequence[Lane], journal: Reader, *, started_at: float, can_restart: bool
    ) -> None:
        self._lanes = lanes
        self._journal = journal
        self._started_at = started_at
        self._can_restart = can_restart
        self._seen_calls: dict[tuple[str, int, str, str], _SeenCall] = {}
        self._reported_count = 0

    def check(self, current_time: float) -> bool:
        """Report calls that take long; return whether too many threads hang to continue.

        Args:
            current_time: The current monotonic time, in seconds.
        """
        seen_before, self._seen_calls = self._seen_calls, {}
        for lane in self._lanes:
            if lane.state_trouble is not None:
                continue  # its calls wait for their records, and no plugin is at fault
            for seq, callback, is_limited in lane.running_calls():
                call_key = (lane.name, seq, callback.plugin, callback.name)
                seen_call = seen_before.get(
                    call_key, _SeenCall(current_time, math.inf if is_limited else SLOW_AFTER)
                )
                if current_time - seen_call.seen_since >= seen_call.report_after:
                    self._report_slow_call(
                        lane.name, seq, callback, current_time - seen_call.seen_since
                    )
                    seen_call = _SeenCall(seen_call.seen_since, 2 * seen_call.report_after)
                self._seen_calls[call_key] = seen_call
        return self._must_restart(current_time)

    def lasting_calls(self, current_time: float) -> list[RunningCall]:
        """Return the calls that have run for a second or longer, oldest first.

        Args:
            current_time: The current monotonic time, in seconds.
        """
        running_calls = []
        for (lane_name, seq, plugin_name, callback_name), seen_call in self._seen_calls.items():
            if current_time - seen_call.seen_since >= SHOWN_AFTER:
                began_at = time.time() - (current_time - seen_call.seen_since)
                event_id = self._find_event_id(seq)
                running_calls.append(
                    RunningCall(lane_name, plugin_name, callback_name, event_id, began_at)
                )
        return sorted(running_calls, key=lambda call: call.since)

    def _is_lane_held_up(self, current_time: float) -> bool:
        """Return whether a call has run for long: stopping would make all lanes wait for it."""
        seen_calls = self._seen_calls.values()
        return any(
            current_time - seen_call.seen_since >= SLOW_AFTER
            for seen_call in seen_calls
            if seen_call.report_after != math.inf
        )

    def _must_restart(self, current_time: float) -> bool:
        hung_names = hung_plugin_names(self._lanes)
        if (
            len(hung_names) < MAX_HUNG_THREADS
            or current_time - self._started_at < LEAST_UPTIME
            or self._is_lane_held_up(current_time)
        ):
            return False
        if self._reported_count < len(hung_names):
            self._reported_count = len(hung_names)
            logger.error(
                "%d threads hang, those of %s%s",
                len(hung_names),
                ", ".join(hung_names),
                ": the daemon tries to start anew without them"
                if self._can_restart
                else ", and this run cannot start anew: their plugins wait",
                extra={"action": "daemon.worn", "plugins": hung_names},
            )
        return self._can_restart

    def _find_event_id(self, seq: int) -> int:
        """Return the id of an event; 0 if the journal cannot be read (reported elsewhere)."""
        try:
            journal_entry = entry_at(self._journal, seq)
        except StateError:
            return 0
        return journal_entry.event_id if journal_entry else 0

    def _report_slow_call(
        self, lane_name: str, seq: int, callback: Callback, running_seconds: float
    ) -> None:
        event_id = self._find_event_id(seq)
        logger.warning(
            "%s of plugin %s has been at event %d for %.0f s, and lane %s waits for it: give it a "
            "timeout, or a lane of its own",
            callback.name,
            callback.plugin,
            event_id,
            running_seconds,
            lane_name,
            extra={
                "action": "callback.slow",
                "plugin": callback.plugin,
                "callback": callback.name,
                "event_id": event_id,
                "lane": lane_name,
                "duration_ms": round(running_seconds * 1000, 3),
            },
        )


def hung_plugin_names(lanes: Sequence[Lane]) -> list[str]:
    """Return the names of the plugins whose threads hang, one for each thread."""
    return [plugin_name for lane in lanes for plugin_name in lane.hung_plugins()]


def returned_plugins(plugins: Sequence[LoadedPlugin], lanes: Sequence[Lane]) -> list[LoadedPlugin]:
    """Return the plugins whose `shutdown` can be called: those in which no call hangs."""
    hung_names = hung_plugin_names(lanes)
    for plugin_name in hung_names:
        log_text = "Plugin %s is not shut down: one of its callbacks has not returned"
        logger.warning(
            log_text, plugin_name, extra={"action": "plugin.not_shut_down", "plugin": plugin_name}
        )
    return [plugin for plugin in plugins if plugin.name not in hung_names]
