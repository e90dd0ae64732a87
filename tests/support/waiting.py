"""Waiting for something to become true, for a bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 120.0
"""How long a test waits for what comes at once on a quiet machine, in seconds."""


def wait_until(condition: Callable[[], Any], seconds: float = PATIENCE, *, what: str = "") -> None:
    """Return as soon as `condition()` is true; fail when it is not in so many seconds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s: {what or condition}"
        time.sleep(0.005)
