"""The daemon killed at any moment, at a site that misbehaves: nothing lost, order kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from random_kills import kill_at_random
from reliability import Reliability


@pytest.mark.timeout(3600)
def test_two_hundred_kills_lose_nothing(tmp_path: Path, reliability: Reliability) -> None:
    """While rows come late, vanish, or never come, calls fail and the site is down in between.

    Each callback gets each event once, but for one at most at a kill; in the journal's order, over
    kills as well; and what it counts in its store, it has counted once.
    """
    kills, wrong = kill_at_random(tmp_path, runs=10, kills=20, seed=7)
    assert wrong == []
    reliability.row(
        "At every point, and at random",
        "kill -9 at random moments",
        "while rows appear late, vanish or never appear, calls fail, and the site is down at times",
        kills.kills,
        kills.lost,
        kills.repeated,
        allowed=kills.kills,
        window="at most one call per kill",
    )
