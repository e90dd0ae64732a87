"""Benchmark 5, second half: workers of one lane, threads that wait and processes that compute."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from lean_site import lean_site
from measuring import Figure, Scale, figure, in_turns
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


class Worked(NamedTuple):
    """One call: the record its event is about, the event, begin and end in seconds, the process."""

    key: str
    event_id: int
    begin: float
    end: float
    pid: int


def workers(scale: Scale) -> list[Figure]:
    """Return how much faster several workers are than one."""
    return [*waiting(scale), *computing(scale)]


def waiting(scale: Scale) -> list[Figure]:
    """Return the share of linear that threads reach on callbacks that wait."""
    measures = {
        str(count): partial(rate, scale.worked * count, count, "thread", _WAITS)
        for count in (1, *scale.workers)
    }
    takes = in_turns(scale.repeats, measures)
    found = []
    for count in scale.workers:
        shares = tuple(
            take["rate"] / count / alone["rate"]
            for take, alone in zip(takes[str(count)], takes["1"], strict=True)
        )
        name = f"{count} workers on callbacks of 50 ms, by entity, share of {count} times one"
        found.append(figure(5, name, shares, goal=">= 0.8" if count > 8 else ">= 0.9"))
    return found


def computing(scale: Scale) -> list[Figure]:
    """Return how much faster two processes are than one on callbacks that compute."""
    calls = scale.worked * 8
    takes = in_turns(
        scale.repeats,
        {
            "one": partial(rate, calls, 1, "process", _COMPUTES),
            "two": partial(rate, calls, 2, "process", _COMPUTES),
        },
    )
    gains = tuple(
        two["rate"] / one["rate"] for two, one in zip(takes["two"], takes["one"], strict=True)
    )
    name = "two process workers on callbacks that compute / one"
    return [figure(5, name, gains, goal=">= 1.7 on two cores")]


def rate(rows: int, count: int, executor: str, work: str) -> Mapping[str, float]:
    """Let workers handle an event log; return how many calls they made a second once all worked.

    Args:
        rows: How many events there are.
        count: How many workers.
        executor: Where they run.
        work: What each callback does.
    """
    with tempfile.TemporaryDirectory() as name, lean_site(rows) as site:
        studio = Studio(Path(name) / "studio", site.url)
        file = studio.folder / "worked"
        studio.install({"bench_work.py": _PLUGIN.format(file=str(file), work=work)})
        studio.groups += f'[lanes.default]\nworkers = {count}\norder_by = "entity"\n'
        studio.groups += f'executor = "{executor}"\n'
        with studio.running("--drain", "--strict") as process:
            assert process.wait() == 0, studio.output
        calls = [_read(line) for line in file.read_text().splitlines()]
    assert sorted(call.event_id for call in calls) == list(range(1, rows + 1))
    check_order(calls)
    since = max(min(call.begin for call in calls if call.pid == pid) for pid in _pids(calls))
    made = [call for call in calls if call.begin >= since]
    return {"rate": len(made) / (max(call.end for call in made) - since)}


def check_order(calls: list[Worked]) -> None:
    """Check that the calls for each record came one after another, in the order of their events."""
    ordered = sorted(calls, key=lambda call: (call.key, call.event_id))
    for one, other in pairwise(ordered):
        assert one.key != other.key or one.end <= other.begin, (one, other)


def _read(line: str) -> Worked:
    key, event_id, begin, end, pid = line.split()
    return Worked(key, int(event_id), float(begin), float(end), int(pid))


def _pids(calls: list[Worked]) -> set[int]:
    return {call.pid for call in calls}
