"""The limit on the processor time of a test."""

from __future__ import annotations

import signal
import time

import pytest
from processor_time import limited_to


def compute_for_ever() -> None:
    """Use a processor until something ends it."""
    while True:
        pass


def test_what_computes_is_ended() -> None:
    """A test that computes for longer than it may fails, also one that would never end."""
    with (
        pytest.raises(pytest.fail.Exception, match=r"more than 0\.02 s of processor time"),
        limited_to(0.02),
    ):
        compute_for_ever()


def test_what_waits_is_let_be() -> None:
    """Time in which others have the processor does not count."""
    with limited_to(0.02):
        time.sleep(0.04)


def test_limit_around_another_goes_on() -> None:
    """A limit inside takes nothing from the one around it."""
    with limited_to(50):
        with limited_to(0.02):
            pass
        assert 45 < signal.getitimer(signal.ITIMER_PROF)[0] < 51
