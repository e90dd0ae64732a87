"""Runs random schedules on all cores, for a time or a number of them: `nox -s soak`.

Odd turns are the feed alone, even ones the whole daemon. A seed that failed fails again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from daemon_schedules import run_schedule
from random_schedules import Schedule, check

PROGRESS_EVERY = 5.0
BEGIN = 1_000_000
"""The first seed: above those of the tests, which are run often enough."""
MOST_SHOWN = 10


class Job(NamedTuple):
    """One schedule: `feed` or `daemon`, and its seed."""

    kind: str
    seed: int


@dataclass
class Tally:
    """What schedules amount to; `failed` holds the jobs that failed, with what was wrong."""

    schedules: int = 0
    hours: float = 0.0
    rows: int = 0
    calls: int = 0
    crashes: int = 0
    failed: tuple[tuple[Job, str], ...] = ()

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.schedules + other.schedules,
            self.hours + other.hours,
            self.rows + other.rows,
            self.calls + other.calls,
            self.crashes + other.crashes,
            self.failed + other.failed,
        )

    def __str__(self) -> str:
        return (
            f"{self.schedules:,} schedules, {self.hours:,.0f} simulated hours, {self.rows:,} rows,"
            f" {self.calls:,} calls, {self.crashes:,} crashes, {len(self.failed)} failed"
        )


def run_job(job: Job) -> Tally:
    """Run one schedule, whatever comes of it."""
    try:
        return _run_daemon(job) if job.kind == "daemon" else _run_feed(job)
    except Exception:
        return Tally(1, failed=((job, traceback.format_exc()),))


def _run_daemon(job: Job) -> Tally:
    verdict = run_schedule(job.seed)
    wrong = "\n".join(f"{kind}: {text}" for kind, text in verdict.wrong)
    failed = ((job, wrong),) if wrong else ()
    return Tally(1, verdict.hours, verdict.rows, verdict.calls, verdict.crashes, failed)


def _run_feed(job: Job) -> Tally:
    kind = job.seed % 5
    schedule = Schedule(job.seed, settle=5.0 if kind == 3 else 0.0)
    feed = schedule.run_back_and_forth() if kind == 4 else schedule.run(hiding=kind == 2)
    check(feed)
    return Tally(1, feed.site.now / 3600, len(feed.journal.rows), 0, feed.crashes)


def _jobs(options: argparse.Namespace, room: threading.Semaphore) -> Iterator[Job]:
    until = time.monotonic() + options.minutes * 60 if options.minutes else None
    seed, made = options.begin, 0
    while (made < options.schedules) if until is None else (time.monotonic() < until):
        room.acquire()  # the pool takes all it is given, however long that takes it
        yield Job("daemon" if made % 2 else "feed", seed + made // 2)
        made += 1


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, help="for how long, instead of how many")
    parser.add_argument("--schedules", type=int, default=100_000, help="how many (100,000)")
    parser.add_argument("--begin", type=int, default=BEGIN, help="the first seed")
    parser.add_argument("--seed", type=int, help="run the schedules of this one seed")
    return parser.parse_args(arguments)


def _tell(tally: Tally, began: float) -> None:
    print(f"{time.monotonic() - began:7.0f} s  {tally}", flush=True)  # noqa: T201 - a chore


def _run_all(options: argparse.Namespace) -> Tally:
    began = told = time.monotonic()
    tally = Tally()
    if options.seed is not None:
        return run_job(Job("feed", options.seed)) + run_job(Job("daemon", options.seed))
    processes = os.cpu_count() or 1
    room = threading.Semaphore(2 * processes)
    with multiprocessing.Pool(processes) as pool:
        for one in pool.imap_unordered(run_job, _jobs(options, room)):
            room.release()
            tally += one
            for job, wrong in one.failed:
                print(f"{job.kind} schedule {job.seed} failed:\n{wrong[:2000]}")  # noqa: T201 - its output
            if time.monotonic() - told > PROGRESS_EVERY:
                told = time.monotonic()
                _tell(tally, began)
    return tally


def main(arguments: list[str]) -> int:
    """Run schedules as the arguments say; 1 if one failed.

    Args:
        arguments: As on the command line.
    """
    began = time.monotonic()
    tally = _run_all(_options(arguments))
    _tell(tally, began)
    for job, wrong in tally.failed[:MOST_SHOWN]:
        print(f"{job.kind} schedule {job.seed}: {wrong[:4000]}")  # noqa: T201 - its output
    for seed in sorted({job.seed for job, _ in tally.failed}):
        print(f"To see it again: python3 noxfile.py -s soak -- --seed {seed}")  # noqa: T201 - its output
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
