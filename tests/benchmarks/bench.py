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

from call_costs import measure_call_costs
from catching_up import measure_catching_up, measure_gaps, measure_slow_site
from footprint import measure_footprint
from measuring import TINY, Figure, Scale, describe_machine
from reaction import measure_reaction
from report import format_table, store_figures, update_page
from several_hosts import measure_several_hosts
from slow_plugins import measure_slow_plugins

MILLION: Final = 1_000_000


class Benchmark(NamedTuple):
    """A benchmark: what it is about, and what takes its figures."""

    title: str
    run: Callable[[Scale], list[Figure]]


BENCHMARKS: Final = {
    1: Benchmark("Catching up", measure_catching_up),
    2: Benchmark("Catching up behind a slow site", measure_slow_site),
    3: Benchmark("Catching up over gaps", measure_gaps),
    4: Benchmark("The cost of a callback and of an event", measure_call_costs),
    5: Benchmark("Slow plugins", measure_slow_plugins),
    6: Benchmark("From the row to the callback", measure_reaction),
    7: Benchmark("Memory, starting, commands, pruning", measure_footprint),
    8: Benchmark("Several hosts", measure_several_hosts),
}
TITLES: Final = {number: benchmark.title for number, benchmark in BENCHMARKS.items()}


def main() -> None:
    """Run the benchmarks that are asked for, and write their figures down."""
    options = _arguments()
    logging.disable(logging.CRITICAL)  # what is measured in this process logs too
    for number in options.only or sorted(BENCHMARKS):
        benchmark, begin = BENCHMARKS[number], time.monotonic()
        date = datetime.now(timezone.utc).strftime("%Y-%m-%d")
        measured = {"date": date, "load": f"{os.getloadavg()[0]:.1f}", **describe_machine()}
        figures = benchmark.run(options.scale)
        took = time.monotonic() - begin
        sys.stdout.write(f"\n{number}. {benchmark.title} ({took:.0f} s)\n{format_table(figures)}\n")
        sys.stdout.flush()
        if options.scale is not TINY:
            store_figures(number, measured, figures)
            update_page(TITLES)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", type=int, action="append", choices=sorted(BENCHMARKS))
    parser.add_argument("--rows", type=int, default=100_000, help="a multiple of 1,000")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--million", action="store_true", help="measure memory at 1,000,000 events")
    parser.add_argument("--tiny", action="store_true", help="see that all work; write nothing")
    options = parser.parse_args()
    largest = MILLION if options.million else 100_000
    run_scale = Scale(row_count=options.rows, repeat_count=options.repeats, largest_log=largest)
    options.scale = TINY if options.tiny else run_scale
    return options


if __name__ == "__main__":
    main()
