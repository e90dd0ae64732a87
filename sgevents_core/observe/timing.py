"""How long callbacks take, and how late after the event they are called."""

from __future__ import annotations

import logging
import time
from typing import Final

logger = logging.getLogger("sgevents.timing")
_DEBUG: Final = logging.DEBUG


def returned(plugin: str, callback: str, event_id: int, created: float, began: float) -> None:
    """Log that a callback returned, with its duration and its delay; costs nothing when off.

    Args:
        plugin: The plugin's name.
        callback: The callback's name.
        event_id: The event's id.
        created: When the event was created, in seconds since 1970; 0 where that is not known.
        began: When the call began, by `time.perf_counter`.
    """
    if not logger.isEnabledFor(_DEBUG):
        return
    duration = time.perf_counter() - began
    delay = time.time() - created - duration if created else 0.0
    logger.debug(
        "Event %d was handled by %s in %.1f ms, %.1f s after it happened",
        event_id,
        f"{plugin} {callback}",
        duration * 1000,
        delay,
        extra={
            "action": "callback.returned",
            "plugin": plugin,
            "callback": callback,
            "event_id": event_id,
            "duration_ms": round(duration * 1000, 3),
            "delay_s": round(delay, 3),
        },
    )
