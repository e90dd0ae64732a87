"""What a benchmark finds, and how: figures that are compared are taken in turns, in one run."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_ROUNDED = 3


@dataclass(frozen=True, slots=True)
class Scale:
    """How much a run of the benchmarks does.

    Args:
        rows: The rows that are caught up with; other amounts follow from it.
        repeats: How often each figure is taken; the median counts.
        seconds: How long what goes by the clock is watched.
        largest: The most events for which the memory is measured.
        distributions: How many are installed beside the plugins.
        rates: Events a second that a running daemon is watched with.
        slow_plugins: How many plugins take 50 ms for each event.
        workers: Numbers of workers that are compared with one.
        worked: How many calls of 50 ms a worker makes.
    """

    rows: int = 100_000
    repeats: int = 3
    seconds: float = 20.0
    largest: int = 100_000
    distributions: int = 300
    rates: tuple[int, ...] = (1, 10, 100)
    slow_plugins: int = 20
    workers: tuple[int, ...] = (2, 8, 32)
    worked: int = 80


TINY = Scale(
    rows=600,
    repeats=1,
    seconds=0.3,
    largest=800,
    distributions=3,
    rates=(100,),
    slow_plugins=2,
    workers=(2,),
    worked=3,
)
"""Enough to see that every benchmark works."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One result.

    Args:
        benchmark: The number of its benchmark.
        name: What it is.
        value: The median.
        unit: Its unit; empty for a ratio.
        goal: What it is held to, for people; empty for nothing.
        takes: All values of the run, of which `value` is the median.
    """

    benchmark: int
    name: str
    value: float
    unit: str = ""
    goal: str = ""
    takes: tuple[float, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def in_turns(
    takes: int, measures: Mapping[str, Callable[[], Mapping[str, float]]]
) -> dict[str, list[Mapping[str, float]]]:
    """Take all measures in turns, so that a busy minute of the machine is shared by all of them.

    Args:
        takes: How often.
        measures: What to measure, by name.
    """
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in measures}
    for number in range(takes):
        for name in list(measures)[:: -1 if number % 2 else 1]:
            found[name].append(measures[name]())
    return found


def median_of(takes: list[Mapping[str, float]], value: str) -> float:
    """Return the median of one value of all takes."""
    return statistics.median(take[value] for take in takes)


def ratio(
    benchmark: int,
    name: str,
    upper: list[Mapping[str, float]],
    lower: list[Mapping[str, float]],
    *,
    of: str,
    goal: str = "",
) -> Figure:
    """Return the median of how many times larger a value is, turn by turn."""
    takes = tuple(one[of] / other[of] for one, other in zip(upper, lower, strict=True))
    return figure(benchmark, name, takes, goal=goal)


def figure(
    benchmark: int, name: str, takes: tuple[float, ...], unit: str = "", goal: str = ""
) -> Figure:
    """Return the figure of some takes."""
    rounded = tuple(round(take, _ROUNDED) for take in takes)
    return Figure(benchmark, name, round(statistics.median(takes), _ROUNDED), unit, goal, rounded)


def machine() -> dict[str, str]:
    """Describe this machine, for people who compare figures."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
