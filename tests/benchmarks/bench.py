"""Runs the benchmarks and writes what they find into the documentation: `nox -s bench`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from call_costs import costs
from catching_up import catching_up, gaps, slow_site
from footprint import footprint
from measuring import TINY, Figure, Scale, machine
from reaction import reaction
from report import keep, table, write_page
from slow_plugins import slow_plugins

MILLION: Final = 1_000_000


class Benchmark(NamedTuple):
    """A benchmark: what it is about, and what takes its figures."""

    title: str
    run: Callable[[Scale], list[Figure]]


BENCHMARKS: Final = {
    1: Benchmark("Catching up", catching_up),
    2: Benchmark("Catching up behind a slow site", slow_site),
    3: Benchmark("Catching up over gaps", gaps),
    4: Benchmark("The cost of a callback and of an event", costs),
    5: Benchmark("Slow plugins", slow_plugins),
    6: Benchmark("From the row to the callback", reaction),
    7: Benchmark("Memory, starting, commands, pruning", footprint),
}
TITLES: Final = {number: benchmark.title for number, benchmark in BENCHMARKS.items()}


def main() -> None:
    """Run the benchmarks that are asked for, and write their figures down."""
    given = _arguments()
    logging.disable(logging.CRITICAL)  # what is measured in this process logs too
    for number in given.only or sorted(BENCHMARKS):
        benchmark, begin = BENCHMARKS[number], time.monotonic()
        date = datetime.now(timezone.utc).strftime("%Y-%m-%d")
        taken = {"date": date, "load": f"{os.getloadavg()[0]:.1f}", **machine()}
        figures = benchmark.run(given.scale)
        took = time.monotonic() - begin
        sys.stdout.write(f"\n{number}. {benchmark.title} ({took:.0f} s)\n{table(figures)}\n")
        sys.stdout.flush()
        if given.scale is not TINY:
            keep(number, taken, figures)
            write_page(TITLES)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", type=int, action="append", choices=sorted(BENCHMARKS))
    parser.add_argument("--rows", type=int, default=100_000, help="a multiple of 1,000")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--million", action="store_true", help="measure memory at 1,000,000 events")
    parser.add_argument("--tiny", action="store_true", help="see that all work; write nothing")
    given = parser.parse_args()
    largest = MILLION if given.million else 100_000
    scale = Scale(rows=given.rows, repeats=given.repeats, largest=largest)
    given.scale = TINY if given.tiny else scale
    return given


if __name__ == "__main__":
    main()
