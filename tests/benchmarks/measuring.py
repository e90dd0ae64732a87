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
        row_count: The rows that are caught up with; other amounts follow from it.
        repeat_count: How often each figure is taken; the median counts.
        watched_seconds: How long what goes by the clock is watched.
        largest_log: The most events for which the memory is measured.
        distribution_count: How many are installed beside the plugins.
        event_rates: Events a second that a running daemon is watched with.
        slow_plugin_count: How many plugins take 50 ms for each event.
        worker_counts: Numbers of workers that are compared with one.
        calls_per_worker: How many calls of 50 ms a worker makes.
        lane_counts: Numbers of lanes whose recorded calls are counted, ascending.
        host_counts: Numbers of hosts that they are spread over.
        noted_calls: How many calls are made where each is confirmed before the next.
        quick_calls: How many are made otherwise.
        leases: How long leases last where hosts die, in seconds.
        take_over_count: How often a host dies in each way.
    """

    row_count: int = 100_000
    repeat_count: int = 3
    watched_seconds: float = 20.0
    largest_log: int = 100_000
    distribution_count: int = 300
    event_rates: tuple[int, ...] = (1, 10, 100)
    slow_plugin_count: int = 20
    worker_counts: tuple[int, ...] = (2, 8, 32)
    calls_per_worker: int = 80
    lane_counts: tuple[int, ...] = (1, 4, 16)
    host_counts: tuple[int, ...] = (1, 3)
    noted_calls: int = 1_600
    quick_calls: int = 16_000
    leases: tuple[int, ...] = (5, 2)
    take_over_count: int = 4


TINY = Scale(
    row_count=600,
    repeat_count=1,
    watched_seconds=0.3,
    largest_log=800,
    distribution_count=3,
    event_rates=(100,),
    slow_plugin_count=2,
    worker_counts=(2,),
    calls_per_worker=3,
    lane_counts=(2,),
    host_counts=(2,),
    noted_calls=20,
    quick_calls=20,
    leases=(2,),
    take_over_count=1,
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
        measurements: All values of the run, of which `value` is the median.
    """

    benchmark: int
    name: str
    value: float
    unit: str = ""
    goal: str = ""
    measurements: tuple[float, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def measure_in_turns(
    repeats: int, measured_actions: Mapping[str, Callable[[], Mapping[str, float]]]
) -> dict[str, list[Mapping[str, float]]]:
    """Take all measures in turns, so that a busy minute of the machine is shared by all of them.

    Args:
        repeats: How often.
        measured_actions: What to measure, by name.
    """
    results_by_name: dict[str, list[Mapping[str, float]]] = {name: [] for name in measured_actions}
    for number in range(repeats):
        for name in list(measured_actions)[:: -1 if number % 2 else 1]:
            results_by_name[name].append(measured_actions[name]())
    return results_by_name


def ratio_figure(
    benchmark: int,
    name: str,
    numerators: list[Mapping[str, float]],
    denominators: list[Mapping[str, float]],
    *,
    of: str,
    goal: str = "",
) -> Figure:
    """Return the median of how many times larger a value is, turn by turn."""
    measurements = tuple(
        one[of] / other[of] for one, other in zip(numerators, denominators, strict=True)
    )
    return median_figure(benchmark, name, measurements, goal=goal)


def median_figure(
    benchmark: int, name: str, measurements: tuple[float, ...], unit: str = "", goal: str = ""
) -> Figure:
    """Return the figure of some takes."""
    rounded_values = tuple(round(measurement, _ROUNDED) for measurement in measurements)
    return Figure(
        benchmark,
        name,
        round(statistics.median(measurements), _ROUNDED),
        unit,
        goal,
        rounded_values,
    )


def describe_machine() -> dict[str, str]:
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
