"""Waiting for descriptors."""

from __future__ import annotations

import fcntl
import os
import resource
from collections.abc import Iterator

import pytest

from sgevents_core.readiness import wait_until_readable

BEYOND_SELECT = 1_500
"""More than the 1,024 that `select.select` takes."""


@pytest.fixture
def high_pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose end to read has a number that `select.select` refuses."""
    soft_limit, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft_limit, BEYOND_SELECT + 100), hard_limit))
    low_end, write_end = os.pipe()
    read_end = fcntl.fcntl(low_end, fcntl.F_DUPFD_CLOEXEC, BEYOND_SELECT)
    os.close(low_end)
    try:
        yield read_end, write_end
    finally:
        os.close(read_end)
        os.close(write_end)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft_limit, hard_limit))


def test_descriptors_of_any_number_are_watched(high_pipe: tuple[int, int]) -> None:
    """A process with thousands of open files waits as one with few."""
    read_end, write_end = high_pipe
    assert wait_until_readable([-1, read_end], 0) == []
    os.write(write_end, b"x")
    assert wait_until_readable([-1, read_end], 0) == [read_end]


def test_the_end_counts_as_input() -> None:
    """Whoever waits for input also learns that none will come."""
    read_end, write_end = os.pipe()
    os.close(write_end)
    assert wait_until_readable([read_end], None) == [read_end]
    os.close(read_end)
