"""Benchmark 8, first half: recorded callbacks a second, on one host and on several."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from host_group import HostGroup, new_group
from lean_site import running_lean_site
from measuring import Figure, Scale, measure_in_turns, median_figure, ratio_figure
from nats_server import NatsServer
from waiting import wait_until

_PLUGIN: Final = """
    import os, time
    from pathlib import Path
    from sgevents_core import hookimpl, match

    folder = Path({folder!r})
    file = os.open(folder / "ends.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @hookimpl(specname="on_event")
    @match(event_type={gate_types})
    def wait_for_gate(event, ctx):
        while not (folder / event.event_type).exists():
            time.sleep(0.001)

    @hookimpl(specname="on_event")
    @match(event_type={work_types})
    def work(event, ctx):
        pass

    @hookimpl(specname="on_event")
    @match(event_type="Bench_End_*")
    def note_end(event, ctx):
        os.write(file, f"{{event.event_type}} {{time.time():f}}\\n".encode())
"""
"""Waits at the first event of a run until the journal has all of it, and notes when it is done."""


class Setting(NamedTuple):
    """Where and how calls are recorded.

    Args:
        host_count: How many hosts.
        note: The key `note`; empty for SQLite.
    """

    host_count: int
    note: str = ""

    def __str__(self) -> str:
        """Return it for people."""
        if not self.note:
            return "SQLite"
        hosts = "1 host" if self.host_count == 1 else f"{self.host_count} hosts"
        return f'`note = "{self.note}"`, {hosts}'

    @property
    def is_quick(self) -> bool:
        """Whether a call is recorded without waiting for a server."""
        return self.note != "call"


_SQLITE: Final = Setting(1)


def measure_recorded_calls(run_scale: Scale, server: NatsServer) -> list[Figure]:
    """Return how many callbacks a second are called and recorded, and the memory of a host."""
    settings = [
        _SQLITE,
        *(Setting(count, note) for count in run_scale.host_counts for note in ("call", "20ms")),
    ]
    measurements = measure_in_turns(
        run_scale.repeat_count,
        {
            str(setting): partial(measure_setting, run_scale, server, setting)
            for setting in settings
        },
    )
    figures = []
    for count in run_scale.lane_counts:
        lanes = "1 lane" if count == 1 else f"{count} lanes"
        for setting in settings:
            name = f"recorded callbacks, {lanes}, {setting}"
            measured = measurements[str(setting)]
            rates = tuple(measurement[str(count)] for measurement in measured)
            figures.append(median_figure(8, name, rates, "a second"))
            if setting != _SQLITE:
                sqlite = measurements[str(_SQLITE)]
                figures.append(ratio_figure(8, f"{name} / SQLite", measured, sqlite, of=str(count)))
    return figures + [
        median_figure(
            8,
            f"memory of a host, {max(run_scale.lane_counts)} lanes, {setting}",
            tuple(measurement["memory"] for measurement in measurements[str(setting)]),
            "MB",
        )
        for setting in settings
    ]


def measure_setting(run_scale: Scale, server: NatsServer, setting: Setting) -> Mapping[str, float]:
    """Return the calls a second by the number of lanes, and the largest `memory` of a host."""
    with tempfile.TemporaryDirectory() as name, running_lean_site(1) as site:
        folder, lane_counts = Path(name), run_scale.lane_counts
        group = new_group(folder, site, setting.host_count, max(lane_counts))
        for number in range(len(group.lanes)):
            group.install(number, _plugin_text(folder, number, lane_counts))
        if setting.note:
            group.pin_lanes()
            group.share_state(server.url, f'note = "{setting.note}"\n')
        calls = run_scale.quick_calls if setting.is_quick else run_scale.noted_calls
        with group.running():
            if setting.note:
                group.await_pinned()
            rates = {
                str(count): measure_rate(group, folder, count, calls // count)
                for count in lane_counts
            }
            memory = max(host.largest_memory() for host in group.hosts)
    return {**rates, "memory": memory}


def measure_rate(group: HostGroup, folder: Path, lane_count: int, rows: int) -> float:
    """Return how many calls a second some lanes make and record, once the journal has the events.

    Args:
        group: The hosts, which run.
        folder: Where the plugins meet.
        lane_count: How many of the lanes make calls; for the others, no event matches.
        rows: How many calls each of them makes.
    """
    gate_type, end_type = f"Bench_Gate_{lane_count}", f"Bench_End_{lane_count}"
    work_types = [f"Bench_Work_{lane_count}"] * rows
    group.add_events([gate_type, *work_types, end_type])

    def count_ends() -> int:
        return len(read_ends(folder, end_type))

    idle_count = len(group.lanes) - lane_count
    wait_until(
        lambda: (
            count_ends() == idle_count
            and all(host.end_of_journal() == group.event_count for host in group.hosts)
        )
    )
    began_at = time.time()
    (folder / gate_type).touch()
    wait_until(lambda: count_ends() == len(group.lanes))
    return lane_count * rows / (max(read_ends(folder, end_type)) - began_at)


def read_ends(folder: Path, end_type: str) -> list[float]:
    """Return when lanes came to the end of a run."""
    file = folder / "ends.txt"
    lines = file.read_text().splitlines() if file.exists() else []
    return [float(line.split()[1]) for line in lines if line.split()[0] == end_type]


def _plugin_text(folder: Path, number: int, lane_counts: tuple[int, ...]) -> str:
    own_counts = [count for count in lane_counts if number < count]
    return _PLUGIN.format(
        folder=str(folder),
        gate_types=json.dumps([f"Bench_Gate_{count}" for count in own_counts]),
        work_types=json.dumps([f"Bench_Work_{count}" for count in own_counts]),
    )
