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

from call_costs import fill
from catching_up import daemon
from lane_house import opened_house
from lean_site import lean_site
from measuring import Figure, Scale, figure, in_turns, ratio
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


def footprint(scale: Scale) -> list[Figure]:
    """Benchmark 7: memory, start to first event, commands, pruning."""
    return [*memory(scale), *starting(scale), *commands(scale), *pruning(scale)]


def memory(scale: Scale) -> list[Figure]:
    """Return the daemon's largest memory after so many events."""
    sizes = [size for size in _SIZES if size <= scale.largest] or [
        scale.largest // 2,
        scale.largest,
    ]
    found = []
    for size in sizes:
        with lean_site(size) as site:
            found.append(daemon(site, size)["memory"])
    figures = [
        figure(7, f"memory after {size:,} events", (used,), "MB")
        for size, used in zip(sizes, found, strict=True)
    ]
    grown = (max(found) - min(found),)
    return [*figures, figure(7, "difference between these", grown, "MB", "<= 10")]


def starting(scale: Scale) -> list[Figure]:
    """Return how long it is from the command to the first callback."""
    takes = in_turns(scale.repeats, {"start": start_to_first_event, "python": bare_python})
    seconds = tuple(take["clock"] for take in takes["start"])
    pair = takes["start"], takes["python"]
    return [
        figure(7, "`sgevents run` to first callback", seconds, "s"),
        ratio(7, "`sgevents run` to first callback / `python -c pass`", *pair, of="clock"),
    ]


def start_to_first_event() -> Mapping[str, float]:
    """Start the daemon where a row waits; return when its callback is called."""
    with tempfile.TemporaryDirectory() as name, lean_site(1) as site:
        studio = Studio(Path(name) / "studio", site.url)
        first = studio.folder / "first"
        studio.install({"bench_first.py": _FIRST.format(file=str(first))})
        with studio.running("--drain") as process:
            process.wait()  # compiles the modules
        first.unlink()
        studio.forget()
        begin = time.time()
        with studio.running("--drain") as process:
            process.wait()
        return {"clock": first.stat().st_mtime - begin}


def bare_python() -> Mapping[str, float]:
    """Start Python for nothing."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return {"clock": time.perf_counter() - begin}


def commands(scale: Scale) -> list[Figure]:
    """Return how long commands take beside many distributions, and how many bare starts that is."""
    with tempfile.TemporaryDirectory() as name, lean_site(1) as site:
        studio = Studio(Path(name) / "studio", site.url)
        studio.install_ten()
        for number in range(scale.distributions):
            studio.packages.install(f"other-{number}", {}, {f"other_{number}.py": ""})
        studio.drain()
        measures = {" ".join(words): partial(studio.timed, *words) for words in _COMMANDS}
        takes = in_turns(scale.repeats, {**measures, "python": bare_python})
    starts = takes.pop("python")
    assert all(take["code"] == 0 for taken in takes.values() for take in taken), takes
    beside = f"beside {scale.distributions} distributions / `python -c pass`"
    return [
        ratio(7, f"`sgevents {command}` {beside}", taken, starts, of="clock")
        for command, taken in takes.items()
    ]


def pruning(scale: Scale) -> list[Figure]:
    """Return how long others wait at most to write while a state is pruned."""
    with tempfile.TemporaryDirectory() as name, opened_house(Path(name)) as house:
        fill(house, scale.rows)
        waits: list[float] = []
        done = threading.Event()
        writer = threading.Thread(target=_write_until, args=(Path(name), done, waits))
        writer.start()
        wait_until(lambda: waits)
        begin = time.perf_counter()
        prune(house.state)
        took = time.perf_counter() - begin
        done.set()
        writer.join()
    return [
        figure(7, f"pruning {scale.rows:,} events", (took,), "s"),
        figure(7, "longest wait of a writer meanwhile", (max(waits) * 1000,), "ms", "<= 50"),
    ]


def prune(state: Writer) -> None:
    """Remove all events but the last, as the daemon does: a portion at each of its turns."""
    while state.prune(int(time.time()), state.end()):
        time.sleep(DRAIN_TICK_SECONDS)


def _write_until(folder: Path, done: threading.Event, waits: list[float]) -> None:
    """Write small steps as a lane does, over a connection of its own; note how long each took."""
    state = open_state(folder).writer()
    fence = state.take_lane("other")
    seq = 0
    while not done.is_set():
        seq += 1
        begin = time.perf_counter()
        state.record("other", fence, Step(progress=Progress(seq)))
        waits.append(time.perf_counter() - begin)
        time.sleep(0.001)
    state.close()
