"""Benchmark 7: memory, starting, commands with many distributions, and pruning."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from call_costs import fill_journal
from catching_up import drain_with_daemon
from lane_house import opened_house
from lean_site import running_lean_site
from measuring import Figure, Scale, measure_in_turns, median_figure, ratio_figure
from studio import Studio
from waiting import wait_until

from sgevents_core.daemon.run import DRAIN_TICK_SECONDS
from sgevents_core.state.opening import open_state
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import Writer
from sgevents_core.state.steps import Step

_SIZES: Final = (10_000, 100_000, 1_000_000)
_COMMANDS: Final = (("--version",), ("plugins", "list"), ("status",))
_FIRST: Final = """
    import time
    from pathlib import Path
    from sgevents_core import hookimpl

    @hookimpl
    def on_event(event, ctx):
        Path({file!r}).touch()
"""


def measure_footprint(run_scale: Scale) -> list[Figure]:
    """Benchmark 7: memory, start to first event, commands, pruning."""
    return [
        *measure_memory(run_scale),
        *measure_start(run_scale),
        *measure_commands(run_scale),
        *measure_pruning(run_scale),
    ]


def measure_memory(run_scale: Scale) -> list[Figure]:
    """Return the daemon's largest memory after so many events."""
    log_sizes = [log_size for log_size in _SIZES if log_size <= run_scale.largest_log] or [
        run_scale.largest_log // 2,
        run_scale.largest_log,
    ]
    found = []
    for log_size in log_sizes:
        with running_lean_site(log_size) as site:
            found.append(drain_with_daemon(site, log_size)["memory"])
    figures = [
        median_figure(7, f"memory after {log_size:,} events", (used,), "MB")
        for log_size, used in zip(log_sizes, found, strict=True)
    ]
    memory_difference = (max(found) - min(found),)
    return [
        *figures,
        median_figure(7, "difference between these", memory_difference, "MB", "<= 10"),
    ]


def measure_start(run_scale: Scale) -> list[Figure]:
    """Return how long it is from the command to the first callback."""
    measurements = measure_in_turns(
        run_scale.repeat_count, {"start": start_to_first_event, "python": start_bare_python}
    )
    seconds = tuple(measurement["clock"] for measurement in measurements["start"])
    compared = measurements["start"], measurements["python"]
    return [
        median_figure(7, "`sgevents run` to first callback", seconds, "s"),
        ratio_figure(
            7, "`sgevents run` to first callback / `python -c pass`", *compared, of="clock"
        ),
    ]


def start_to_first_event() -> Mapping[str, float]:
    """Start the daemon where a row waits; return when its callback is called."""
    with tempfile.TemporaryDirectory() as name, running_lean_site(1) as site:
        studio = Studio(Path(name) / "studio", site.url)
        first_call_file = studio.folder / "first"
        studio.install({"bench_first.py": _FIRST.format(file=str(first_call_file))})
        with studio.running("--drain") as process:
            process.wait()  # compiles the modules
        first_call_file.unlink()
        studio.remove_state()
        begin = time.time()
        with studio.running("--drain") as process:
            process.wait()
        return {"clock": first_call_file.stat().st_mtime - begin}


def start_bare_python() -> Mapping[str, float]:
    """Start Python for nothing."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return {"clock": time.perf_counter() - begin}


def measure_commands(run_scale: Scale) -> list[Figure]:
    """Return how long commands take beside many distributions, and how many bare starts that is."""
    with tempfile.TemporaryDirectory() as name, running_lean_site(1) as site:
        studio = Studio(Path(name) / "studio", site.url)
        studio.install_ten_plugins()
        for number in range(run_scale.distribution_count):
            studio.packages.install(f"other-{number}", {}, {f"other_{number}.py": ""})
        studio.run_drained()
        measured_actions = {
            " ".join(words): partial(studio.time_command, *words) for words in _COMMANDS
        }
        measurements = measure_in_turns(
            run_scale.repeat_count, {**measured_actions, "python": start_bare_python}
        )
    python_starts = measurements.pop("python")
    assert all(
        measurement["code"] == 0 for measured in measurements.values() for measurement in measured
    ), measurements
    beside = f"beside {run_scale.distribution_count} distributions / `python -c pass`"
    return [
        ratio_figure(7, f"`sgevents {command}` {beside}", measured, python_starts, of="clock")
        for command, measured in measurements.items()
    ]


def measure_pruning(run_scale: Scale) -> list[Figure]:
    """Return how long others wait at most to write while a state is pruned."""
    with tempfile.TemporaryDirectory() as name, opened_house(Path(name)) as house:
        fill_journal(house, run_scale.row_count)
        write_seconds: list[float] = []
        is_pruned = threading.Event()
        writer = threading.Thread(target=_write_until, args=(Path(name), is_pruned, write_seconds))
        writer.start()
        wait_until(lambda: write_seconds)
        begin = time.perf_counter()
        prune_in_portions(house.state)
        pruning_seconds = time.perf_counter() - begin
        is_pruned.set()
        writer.join()
    return [
        median_figure(7, f"pruning {run_scale.row_count:,} events", (pruning_seconds,), "s"),
        median_figure(
            7, "longest wait of a writer meanwhile", (max(write_seconds) * 1000,), "ms", "<= 50"
        ),
    ]


def prune_in_portions(state: Writer) -> None:
    """Remove all events but the last, as the daemon does: a portion at each of its turns."""
    while state.prune(int(time.time()), state.end()):
        time.sleep(DRAIN_TICK_SECONDS)


def _write_until(folder: Path, is_pruned: threading.Event, write_seconds: list[float]) -> None:
    """Write small steps as a lane does, over a connection of its own; note how long each took."""
    state = open_state(folder).writer()
    fence = state.take_lane("other")
    seq = 0
    while not is_pruned.is_set():
        seq += 1
        begin = time.perf_counter()
        state.record("other", fence, Step(progress=Progress(seq)))
        write_seconds.append(time.perf_counter() - begin)
        time.sleep(0.001)
    state.close()
