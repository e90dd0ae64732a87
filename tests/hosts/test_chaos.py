"""Three hosts and their server in chaos: nothing is lost, nothing counted twice."""

from __future__ import annotations

from pathlib import Path

from chaos_run import run_once

SECONDS = 15.0


def test_chaos_for_a_while(tmp_path: Path) -> None:
    """Each row is in the journal once, each callback called in order, each store exact.

    No lane repeats more calls than it changed hands. `nox -s chaos` runs it for longer.
    """
    tally = run_once(tmp_path, seed=1, seconds=SECONDS)
    assert not tally.wrong, f"{tally}\n" + "\n".join(tally.wrong)
    assert tally.deeds.total() > 3
