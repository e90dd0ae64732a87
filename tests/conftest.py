"""What holds for all tests."""

from __future__ import annotations

import signal
from collections.abc import Generator

import pytest
from processor_time import limited_to

MOST_PROCESSOR_TIME = 60.0
"""Of one test and its fixtures, in seconds: the longest take a tenth of it."""

# A shell's background job ignores Ctrl-C, and so would the commands that are started here.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Limit what a test computes; `timeout` in pyproject.toml is there for what hangs."""
    with limited_to(MOST_PROCESSOR_TIME):
        return (yield)
