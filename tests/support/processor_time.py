"""A limit on the processor time of a test, which ends one that spins even on a busy machine."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest


@contextmanager
def limited_to(seconds: float) -> Iterator[None]:
    """Fail the test in the block once this process has computed for that many seconds.

    The load of the machine does not count. A test that waits for ever uses no processor time: the
    `timeout` of pytest-timeout, which is far longer, ends it.
    """

    def fail(_signal: int, _frame: FrameType | None) -> None:
        pytest.fail(f"used more than {seconds:g} s of processor time")

    handler = signal.signal(signal.SIGPROF, fail)
    timer = signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, *timer)
        signal.signal(signal.SIGPROF, handler)
