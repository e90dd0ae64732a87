"""A lane with eight workers, killed at any moment at a site that misbehaves."""

from __future__ import annotations

from pathlib import Path

import pytest
from reliability import Reliability
from worker_kills import WORKERS, kill_workers


@pytest.mark.timeout(3600)
def test_kills_of_busy_workers_lose_nothing(tmp_path: Path, reliability: Reliability) -> None:
    """Each callback gets each event once, but for one a worker at most at a kill.

    The events of each record come in order, over kills as well, and what a plugin counts in its
    store, it has counted once.
    """
    kills = 20
    result = kill_workers(tmp_path, kills, seed=11)
    assert result.wrong == []
    reliability.row(
        "At every point, and at random",
        "kill -9 of a lane with 8 workers at random moments",
        "while rows appear late, vanish or never appear, calls fail, and the site is down at times",
        kills,
        result.lost,
        result.repeated,
        allowed=kills * WORKERS,
        window="at most one call per worker and kill",
    )
