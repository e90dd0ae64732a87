"""Waiting for something to become true, for a bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def wait_until(condition: Callable[[], Any], seconds: float = 20.0, *, what: str = "") -> None:
    """Return as soon as `condition()` is true; fail when it is not in so many seconds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s: {what or condition}"
        time.sleep(0.005)
