"""A long run of a real daemon, for people: `python tests/support/promise_run.py --kills 30`.

Eight workers by entity are killed while rows come late, hidden or never and the site is down at
times; then a lane of worker processes gets all that ends or fills a process, and is killed too,
while a second lane is timed. It prints figures, and ends with 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from running_daemon import RunningDaemon
from waiting import PATIENCE, wait_until
from worker_kills import WORKERS, kill_workers

from sgevents_core.sandbox import Sandbox

LANE = """
[[groups]]
name = "apart"
lane = "apart"
[lanes.apart]
executor = "process"
workers = 4
order_by = "entity"
timeout = "2s"
max_rss = 400_000_000
"""
POISON = """
    import ctypes, os, time
    from sgevents_core import hookimpl

    kept = []

    def fork():
        if os.fork() == 0:
            return

    ACTS = {
        "Studio_Segfault": lambda: ctypes.string_at(0),
        "Studio_Exit": lambda: os._exit(0),
        "Studio_Hang": lambda: time.sleep(1000),
        "Studio_Leak": lambda: kept.append(b"x" * 500_000_000),
        "Studio_Fork": fork,
    }

    @hookimpl
    def on_event(event, ctx):
        ACTS.get(event.event_type, lambda: None)()
"""
TIMED = """
    import os, time
    from sgevents_core import hookimpl

    _file = os.open({calls!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @hookimpl
    def on_event(event, ctx):
        os.write(_file, f"{{event.id}} {{time.time()}}".encode().ljust(63) + b"\\n")
"""
KINDS = ("Segfault", "Exit", "Hang", "Leak", "Fork", *["Fine"] * 15)


def run_processes(folder: Path, events: int, kills: int, seed: int) -> list[str]:
    """Let a lane of processes get everything bad; return what is not as promised.

    Args:
        folder: Where everything lives.
        events: How many events there are.
        kills: How often a worker process is killed from outside.
        seed: Seeds everything random.
    """
    chance = random.Random(seed)
    created: dict[int, float] = {}
    with Sandbox(project=False, seed=seed) as site:
        daemon = RunningDaemon(folder, site)
        daemon.state += LANE
        daemon.install("poison", POISON, "apart")
        daemon.install("neighbour", TIMED.format(calls=str(folder / "neighbour")), "apart")
        daemon.install("second", TIMED.format(calls=str(folder / "second")))
        with daemon.running() as process:
            warm_up = {site.event("Studio_Fine"): 0.0}
            wait_until(partial(_has_all, folder / "neighbour", warm_up), seconds=5 * PATIENCE)
            for number in range(events):
                meta = {"entity_type": "Task", "entity_id": chance.randrange(40)}
                event = site.event(f"Studio_{chance.choice(KINDS)}", meta=meta)
                created[event] = time.time()
                if kills and number % max(events // kills, 1) == 0:
                    _kill_worker(daemon, chance)
                time.sleep(0.1)
            for name in ("second", "neighbour"):
                has_all = partial(_has_all, folder / name, created)
                wait_until(has_all, what=f"{name} has all", seconds=5 * PATIENCE)
            daemon.stop(process)
    return _judge(folder, created)


def _kill_worker(daemon: RunningDaemon, chance: random.Random) -> None:
    command = [sys.executable, "-m", "sgevents_core", "status", "--json", "-c", str(daemon.config)]
    shown = subprocess.run(command, env=daemon.environment(), capture_output=True, check=False)
    found: dict[str, Any] = json.loads(shown.stdout or b"{}").get("daemon") or {}
    pids = [one["pid"] for lane in found.get("lanes", []) for one in lane["workers"] if one["pid"]]
    if pids:
        with suppress(ProcessLookupError):
            os.kill(chance.choice(pids), signal.SIGKILL)


def _read_times(path: Path) -> list[tuple[int, float]]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(event), float(at)) for event, at in map(str.split, lines)]


def _has_all(path: Path, created: dict[int, float]) -> bool:
    return {event for event, _ in _read_times(path)} >= created.keys()


def _judge(folder: Path, created: dict[int, float]) -> list[str]:
    wrong = []
    for name in ("second", "neighbour"):
        calls = [one for one in _read_times(folder / name) if one[0] in created]
        times = Counter(event for event, _ in calls)
        waits = sorted(at - created[event] for event, at in dict(reversed(calls)).items())
        middle, high = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
        repeats = sum(times.values()) - len(times)
        print(  # noqa: T201 - a chore
            f"{name}: {len(times)} of {len(created)} events, {repeats} repeats; after the event "
            f"{middle:.3f} s at the median, {high:.3f} s at 99 %, {waits[-1]:.3f} s at most"
        )
        if times.keys() != created.keys():
            wrong.append(f"{name} has lost {len(created) - len(times)} events")
    return wrong


def main(arguments: list[str]) -> int:
    """Run everything; return 1 if something is not as promised.

    Args:
        arguments: As on the command line.
    """
    parser = argparse.ArgumentParser(prog="promise_run", description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="how often each part is killed")
    parser.add_argument("--events", type=int, default=300, help="for the lane of processes")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        wrong = run_processes(Path(folder), options.events, options.kills, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        result = kill_workers(Path(folder), options.kills, options.seed)
    print(  # noqa: T201 - a chore
        f"{WORKERS} workers, {options.kills} kills: {result.lost} calls lost, {result.repeated} "
        f"repeated"
    )
    wrong += result.wrong
    for one in wrong:
        print(one)  # noqa: T201 - a chore
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
