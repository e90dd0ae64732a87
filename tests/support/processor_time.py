"""A limit on the processor time of a test: it ends one that spins, on a busy machine too."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest


@contextmanager
def limited_to(seconds: float) -> Iterator[None]:
    """Fail the test that runs inside as soon as this process has computed for so long in it.

    How much else the machine has to do does not count. What waits for ever uses no processor time:
    it is ended by `timeout` of pytest-timeout, which is far longer.
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
