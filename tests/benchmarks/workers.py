"""Benchmark 5, second half: workers of one lane, threads that wait and processes that compute."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from lean_site import running_lean_site
from measuring import Figure, Scale, measure_in_turns, median_figure
from studio import Studio

_WAITS: Final = "time.sleep(0.05)"
"""A callback of 50 ms that asks another machine and waits for the answer."""
_COMPUTES: Final = "sum(number * number for number in range(100_000))"
_PLUGIN: Final = """
    import os, time
    from sgevents_core import hookimpl

    file = os.open({file!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @hookimpl
    def on_event(event, ctx):
        begin = time.monotonic()
        {work}
        key = f"{{event.entity_type}}-{{event.entity_id}}"
        end = time.monotonic()
        line = f"{{key}} {{event.id}} {{begin:f}} {{end:f}} {{os.getpid()}}\\n"
        os.write(file, line.encode())
"""


class WorkedCall(NamedTuple):
    """One call: the record its event is about, the event, begin and end in seconds, the process."""

    key: str
    event_id: int
    begin: float
    end: float
    pid: int


def measure_workers(run_scale: Scale) -> list[Figure]:
    """Return how much faster several workers are than one."""
    return [*measure_waiting_threads(run_scale), *measure_computing_processes(run_scale)]


def measure_waiting_threads(run_scale: Scale) -> list[Figure]:
    """Return the share of linear that threads reach on callbacks that wait."""
    measured_actions = {
        str(worker_count): partial(
            measure_call_rate,
            run_scale.calls_per_worker * worker_count,
            worker_count,
            "thread",
            _WAITS,
        )
        for worker_count in (1, *run_scale.worker_counts)
    }
    measurements = measure_in_turns(run_scale.repeat_count, measured_actions)
    figures = []
    for worker_count in run_scale.worker_counts:
        linear_shares = tuple(
            measurement["rate"] / worker_count / single_worker["rate"]
            for measurement, single_worker in zip(
                measurements[str(worker_count)], measurements["1"], strict=True
            )
        )
        waiting = f"{worker_count} workers on callbacks of 50 ms, by entity"
        name = f"{waiting}, share of {worker_count} times one"
        figures.append(
            median_figure(5, name, linear_shares, goal=">= 0.8" if worker_count > 8 else ">= 0.9")
        )
    return figures


def measure_computing_processes(run_scale: Scale) -> list[Figure]:
    """Return how much faster two processes are than one on callbacks that compute."""
    calls = run_scale.calls_per_worker * 8
    measurements = measure_in_turns(
        run_scale.repeat_count,
        {
            "one": partial(measure_call_rate, calls, 1, "process", _COMPUTES),
            "two": partial(measure_call_rate, calls, 2, "process", _COMPUTES),
        },
    )
    process_gains = tuple(
        two["rate"] / one["rate"]
        for two, one in zip(measurements["two"], measurements["one"], strict=True)
    )
    name = "two process workers on callbacks that compute / one"
    return [median_figure(5, name, process_gains, goal=">= 1.7 on two cores")]


def measure_call_rate(
    rows: int, worker_count: int, executor: str, work: str
) -> Mapping[str, float]:
    """Let workers handle an event log; return how many calls they made a second once all worked.

    Args:
        rows: How many events there are.
        worker_count: How many workers.
        executor: Where they run.
        work: What each callback does.
    """
    with tempfile.TemporaryDirectory() as name, running_lean_site(rows) as site:
        studio = Studio(Path(name) / "studio", site.url)
        file = studio.folder / "worked"
        studio.install({"bench_work.py": _PLUGIN.format(file=str(file), work=work)})
        studio.groups += f'[lanes.default]\nworkers = {worker_count}\norder_by = "entity"\n'
        studio.groups += f'executor = "{executor}"\n'
        with studio.running("--drain", "--strict") as process:
            assert process.wait() == 0, studio.output
        calls = [_read(line) for line in file.read_text().splitlines()]
    assert sorted(call.event_id for call in calls) == list(range(1, rows + 1))
    check_record_order(calls)
    all_work_since = max(
        min(call.begin for call in calls if call.pid == pid) for pid in _pids(calls)
    )
    counted_calls = [call for call in calls if call.begin >= all_work_since]
    return {"rate": len(counted_calls) / (max(call.end for call in counted_calls) - all_work_since)}


def check_record_order(calls: list[WorkedCall]) -> None:
    """Check that the calls for each record came one after another, in the order of their events."""
    ordered = sorted(calls, key=lambda call: (call.key, call.event_id))
    for one, other in pairwise(ordered):
        assert one.key != other.key or one.end <= other.begin, (one, other)


def _read(line: str) -> WorkedCall:
    key, event_id, begin, end, pid = line.split()
    return WorkedCall(key, int(event_id), float(begin), float(end), int(pid))


def _pids(calls: list[WorkedCall]) -> set[int]:
    return {call.pid for call in calls}
