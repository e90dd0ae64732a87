"""Benchmarks 1 to 3: the daemon catches up with a log, against the stock client only reading it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lean_site import SiteProcess, running_lean_site
from measuring import Figure, Scale, measure_in_turns, median_figure, ratio_figure
from studio import MATCHING, Studio

_READER: Final = Path(__file__).with_name("stock_reader.py")
_SLOW: Final = 0.2
"""Seconds that a slow site needs for a page."""
_GAP_EVERY: Final = 20
_HOLE: Final = 100_000


def read_with_stock_client(site: SiteProcess, rows: int) -> Mapping[str, float]:
    """Read the log with the stock client."""
    command = [sys.executable, str(_READER), site.url, str(rows)]
    result: dict[str, float] = json.loads(subprocess.check_output(command))
    assert result["rows"] == rows
    return result


def drain_with_daemon(
    site: SiteProcess, rows: int, *, is_wanted: bool = True
) -> Mapping[str, float]:
    """Let the daemon catch up, from an empty state and through ten plugins.

    Args:
        site: The site.
        rows: How many rows it has.
        is_wanted: Whether the plugins want any of them.
    """
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(Path(folder) / "studio", site.url)
        if is_wanted:
            studio.install_ten_plugins()
        else:
            studio.install_unwilling_plugins()
        result = studio.run_drained()
    assert result["calls"] == (round(rows * MATCHING) if is_wanted else 0), result
    return result


def measure_catching_up(run_scale: Scale) -> list[Figure]:
    """Benchmark 1: catch up with a log that the site gives at once."""
    with running_lean_site(run_scale.row_count) as site:
        measurements = measure_in_turns(
            run_scale.repeat_count,
            {
                "stock": lambda: read_with_stock_client(site, run_scale.row_count),
                "daemon": lambda: drain_with_daemon(site, run_scale.row_count),
            },
        )
    compared = measurements["stock"], measurements["daemon"]
    daemon_costs = tuple(
        measurement["processor"] / run_scale.row_count * 1e6
        for measurement in measurements["daemon"]
    )
    own_costs = tuple(
        measurement["daemon"] / run_scale.row_count * 1e6 for measurement in measurements["daemon"]
    )
    stock_costs = tuple(
        measurement["processor"] / run_scale.row_count * 1e6
        for measurement in measurements["stock"]
    )
    return [
        ratio_figure(
            1, "stock reading / catching up, by the clock", *compared, of="clock", goal=">= 3.5"
        ),
        ratio_figure(1, "stock reading / catching up, processor time", *compared, of="processor"),
        median_figure(1, "catching up, per event", daemon_costs, "us of processor time"),
        median_figure(1, "of that, in the daemon itself", own_costs, "us of processor time"),
        median_figure(1, "stock reading, per event", stock_costs, "us of processor time"),
    ]


def measure_slow_site(run_scale: Scale) -> list[Figure]:
    """Benchmark 2: catch up where the site needs 200 ms for a page."""
    rows = max(run_scale.row_count // 2, 600)
    with running_lean_site(rows, delay=_SLOW) as site:
        measurements = measure_in_turns(
            run_scale.repeat_count,
            {
                "stock": lambda: read_with_stock_client(site, rows),
                "daemon": lambda: drain_with_daemon(site, rows),
            },
        )
    name = f"stock reading / catching up, {_SLOW * 1000:.0f} ms a page, by the clock"
    return [
        ratio_figure(
            2, name, measurements["stock"], measurements["daemon"], of="clock", goal=">= 3.5"
        )
    ]


def measure_gaps(run_scale: Scale) -> list[Figure]:
    """Benchmark 3: catch up with logs that have gaps, against one that has none."""
    rows = max(run_scale.row_count // 2, 600)
    with (
        running_lean_site(rows) as whole_site,
        running_lean_site(rows, gap_every=_GAP_EVERY) as gapped_site,
        running_lean_site(rows, hole=_HOLE) as holed_site,
    ):
        measurements = measure_in_turns(
            run_scale.repeat_count,
            {
                "whole": lambda: drain_with_daemon(whole_site, rows),
                "gaps": lambda: drain_with_daemon(gapped_site, rows),
                "hole": lambda: drain_with_daemon(holed_site, rows),
            },
        )
    whole_takes, name = measurements["whole"], "without gaps / with"
    gaps_name = f"{name} one every {_GAP_EVERY} ids, processor time"
    hole_name = f"{name} a hole of {_HOLE:,} ids, processor time"
    return [
        ratio_figure(
            3, gaps_name, whole_takes, measurements["gaps"], of="processor", goal=">= 0.9"
        ),
        ratio_figure(
            3, hole_name, whole_takes, measurements["hole"], of="processor", goal=">= 0.95"
        ),
    ]
