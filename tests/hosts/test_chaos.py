"""Three hosts and their servers in chaos: nothing is lost, nothing counted twice."""

from __future__ import annotations

from pathlib import Path

from chaos import Weather
from chaos_run import run_once

SECONDS = 15.0


def test_chaos_for_a_while(tmp_path: Path) -> None:
    """Each row is in the journal once, each callback called in order, each store exact.

    Hosts and the server are killed and frozen, and links between hosts, server and site are cut. No
    lane repeats more calls than its workers make at once when it changes hands, and nobody whose
    lane another has taken writes anything. `nox -s chaos` runs it for longer, with three servers.
    """
    weather = Weather(lease=2.0, longest=6.0, calm=2.0, is_timed=False)
    tally = run_once(tmp_path, seed=1, seconds=SECONDS, weather=weather)
    assert not tally.wrong, f"{tally}\n" + "\n".join(tally.wrong)
    assert tally.deeds.total() > 3
