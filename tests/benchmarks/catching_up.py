"""Benchmarks 1 to 3: the daemon catches up with a log, against the stock client only reading it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lean_site import SiteProcess, lean_site
from measuring import Figure, Scale, figure, in_turns, ratio
from studio import MATCHING, Studio

_READER: Final = Path(__file__).with_name("stock_reader.py")
_SLOW: Final = 0.2
"""Seconds that a slow site needs for a page."""
_GAP_EVERY: Final = 20
_HOLE: Final = 100_000


def stock(site: SiteProcess, rows: int) -> Mapping[str, float]:
    """Read the log with the stock client."""
    command = [sys.executable, str(_READER), site.url, str(rows)]
    found: dict[str, float] = json.loads(subprocess.check_output(command))
    assert found["rows"] == rows
    return found


def daemon(site: SiteProcess, rows: int, *, is_wanted: bool = True) -> Mapping[str, float]:
    """Let the daemon catch up, from an empty state and through ten plugins.

    Args:
        site: The site.
        rows: How many rows it has.
        is_wanted: Whether the plugins want any of them.
    """
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(Path(folder) / "studio", site.url)
        if is_wanted:
            studio.install_ten()
        else:
            studio.install_unwilling()
        found = studio.drain()
    assert found["calls"] == (round(rows * MATCHING) if is_wanted else 0), found
    return found


def catching_up(scale: Scale) -> list[Figure]:
    """Benchmark 1: catch up with a log that the site gives at once."""
    with lean_site(scale.rows) as site:
        takes = in_turns(
            scale.repeats,
            {
                "stock": lambda: stock(site, scale.rows),
                "daemon": lambda: daemon(site, scale.rows),
            },
        )
    pair = takes["stock"], takes["daemon"]
    per_row = tuple(take["processor"] / scale.rows * 1e6 for take in takes["daemon"])
    stock_per_row = tuple(take["processor"] / scale.rows * 1e6 for take in takes["stock"])
    return [
        ratio(1, "stock reading / catching up, by the clock", *pair, of="clock", goal=">= 3.5"),
        ratio(1, "stock reading / catching up, processor time", *pair, of="processor"),
        figure(1, "catching up, per event", per_row, "us of processor time"),
        figure(1, "stock reading, per event", stock_per_row, "us of processor time"),
    ]


def slow_site(scale: Scale) -> list[Figure]:
    """Benchmark 2: catch up where the site needs 200 ms for a page."""
    rows = max(scale.rows // 5, 600)
    with lean_site(rows, delay=_SLOW) as site:
        takes = in_turns(
            scale.repeats,
            {"stock": lambda: stock(site, rows), "daemon": lambda: daemon(site, rows)},
        )
    name = f"stock reading / catching up, {_SLOW * 1000:.0f} ms a page, by the clock"
    return [ratio(2, name, takes["stock"], takes["daemon"], of="clock", goal=">= 3.5")]


def gaps(scale: Scale) -> list[Figure]:
    """Benchmark 3: catch up with logs that have gaps, against one that has none."""
    rows = max(scale.rows // 2, 600)
    with (
        lean_site(rows) as whole,
        lean_site(rows, gap_every=_GAP_EVERY) as gapped,
        lean_site(rows, hole=_HOLE) as holed,
    ):
        takes = in_turns(
            scale.repeats,
            {
                "whole": lambda: daemon(whole, rows),
                "gaps": lambda: daemon(gapped, rows),
                "hole": lambda: daemon(holed, rows),
            },
        )
    whole_takes, name = takes["whole"], "without gaps / with"
    many = f"{name} one every {_GAP_EVERY} ids, processor time"
    one = f"{name} a hole of {_HOLE:,} ids, processor time"
    return [
        ratio(3, many, whole_takes, takes["gaps"], of="processor", goal=">= 0.9"),
        ratio(3, one, whole_takes, takes["hole"], of="processor", goal=">= 0.95"),
    ]
