"""The worker processes in `sgevents status`, and the plugins that end them too often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sgevents_core.cli.printing import cell, echo, echo_line
from sgevents_core.cli.tables import new_table, print_table
from sgevents_core.printable import counted

if TYPE_CHECKING:
    from sgevents_core.state.pulse import ProcessLane, Pulse, RunningWorker, SlowPlugin


def print_workers(pulse: Pulse | None, now: float) -> None:
    """Print a table of the worker processes, and what is wrong with them; nothing without any.

    Args:
        pulse: The daemon's pulse; None if no daemon runs.
        now: The time, in seconds since 1970.
    """
    if pulse is None or not pulse.process_lanes:
        return
    echo()
    table = new_table("lane", "worker", "process", "state", "since", "memory", "restarts")
    for lane in pulse.process_lanes:
        for worker in lane.workers:
            table.add_row(*(cell(value) for value in _worker_cells(lane, worker, now)))
    print_table(table)
    for lane in pulse.process_lanes:
        for line in _trouble_lines(lane, now):
            echo_line(line)
    for slow_plugin in pulse.slow:
        echo_line(_slow_text(slow_plugin, now))


def _worker_cells(lane: ProcessLane, worker: RunningWorker, now: float) -> list[str]:
    call = worker.call
    state_text: str = worker.state
    if call is not None:
        state_text = f"{call.plugin} {call.callback}, event {call.event_id}"
    return [
        lane.lane,
        str(worker.number),
        str(worker.pid or "-"),
        state_text,
        duration_text(max(now - call.since, 0.0)) if call else "-",
        f"{worker.memory // 1_000_000} MB" if worker.memory else "-",
        str(worker.restarts or "-"),
    ]


def _trouble_lines(lane: ProcessLane, now: float) -> list[str]:
    """Return why a lane, or a worker of one, has no process."""
    if lane.trouble:
        wait_text = duration_text(max(lane.retry_at - now, 0.0))
        return [
            f"lane {lane.lane}: its plugins could not be loaded, and are tried again in "
            f"{wait_text}: {lane.trouble}"
        ]
    return [
        f"lane {lane.lane}: worker {worker.number} has no process: {worker.trouble}"
        for worker in lane.workers
        if worker.trouble
    ]


def _slow_text(slow_plugin: SlowPlugin, now: float) -> str:
    wait_seconds = slow_plugin.retry_at - now
    wait_text = f", again in {duration_text(wait_seconds)}" if wait_seconds > 0 else ""
    ended_text = counted(slow_plugin.ended_workers, "process", "processes")
    return (
        f"{slow_plugin.plugin}: called more slowly{wait_text}: it has ended {ended_text} of lane "
        f"{slow_plugin.lane}"
    )


def duration_text(seconds: float) -> str:
    """Return a duration for people, in its largest fitting unit."""
    for unit_seconds, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit_seconds:
            return f"{seconds / unit_seconds:.0f} {unit}"
    return f"{seconds:.0f} s"
