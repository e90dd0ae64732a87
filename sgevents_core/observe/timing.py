"""Log how long callbacks take, and how long after the event they are called."""

from __future__ import annotations

import logging
import time

from sgevents_core.observe.observers import CallObserver, ObservedCall, ObservedError

logger = logging.getLogger("sgevents.timing")


class TimingLog(CallObserver):
    """A log of each call that returned, with its duration and its delay."""

    def ended(
        self, call: ObservedCall, began: float, seconds: float, error: ObservedError | None
    ) -> None:
        """Log that a callback returned."""
        if error is None:
            _log_duration(call, seconds)


def timing_log() -> list[CallObserver]:
    """Return the observers that log the durations of calls; none if the level excludes them."""
    return [TimingLog()] if logger.isEnabledFor(logging.DEBUG) else []


def _log_duration(call: ObservedCall, seconds: float) -> None:
    event_delay = time.time() - call.created - seconds if call.created else 0.0
    logger.debug(
        "Event %d was handled by %s in %.1f ms, %.1f s after it happened",
        call.event_id,
        f"{call.plugin} {call.callback_name}",
        seconds * 1000,
        event_delay,
        extra={
            "action": "callback.returned",
            "plugin": call.plugin,
            "callback": call.callback_name,
            "event_id": call.event_id,
            "duration_ms": round(seconds * 1000, 3),
            "delay_s": round(event_delay, 3),
        },
    )
