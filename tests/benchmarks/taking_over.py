"""Benchmark 8, second half: how long an event waits when the host that it needs is gone."""

from __future__ import annotations

import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from host_group import DEFAULT_LANE, FEED, GroupHost, HostGroup, new_group
from lean_site import running_lean_site
from measuring import Figure, Scale, median_figure
from nats_server import NatsServer
from waiting import wait_until

_PLUGIN: Final = """
    import os, time
    from sgevents_core import hookimpl

    file = os.open({file!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @hookimpl
    def on_event(event, ctx):
        now, shown = time.time(), event.session_uuid
        if "." in shown:
            os.write(file, f"{{shown}} {{now:f}}\\n".encode())
"""
_RATE: Final = 20
"""Events a second that become visible all the time."""
_LONGEST: Final = 20_000
"""Rows that are more than a run needs."""
_ENDS: Final = {
    "kill -9": signal.SIGKILL,
    "SIGSTOP": signal.SIGSTOP,
    "an orderly end": signal.SIGTERM,
}
_HOST_COUNT: Final = 3


class _Call(NamedTuple):
    """When its event became visible, and when it began."""

    visible_at: float
    began_at: float


def measure_taking_over(run_scale: Scale, server: NatsServer) -> list[Figure]:
    """Return how long an event waits at most for a callback when a host ends, by each way.

    The hosts of both leases run side by side: they wait most of the time.
    """
    with ThreadPoolExecutor() as pool:
        measure = partial(measure_lease, run_scale.take_over_count, server)
        waits_by_lease = dict(
            zip(run_scale.leases, pool.map(measure, run_scale.leases), strict=True)
        )
    return [
        median_figure(
            8,
            f"an event waits at most, after {way}, lease {lease} s",
            tuple(wait_seconds),
            "s",
            "<= 10",
        )
        for lease, waits in waits_by_lease.items()
        for way, wait_seconds in waits.items()
    ]


def measure_lease(take_over_count: int, server: NatsServer, lease: int) -> dict[str, list[float]]:
    """Return the waits by the way in which hosts end.

    Args:
        take_over_count: How often each: by turns the host of the lane and that of the feed.
        server: The NATS server.
        lease: How long leases last, in seconds.
    """
    waits: dict[str, list[float]] = {way: [] for way in _ENDS}
    with tempfile.TemporaryDirectory() as name, running_lean_site(1) as site:
        file = Path(name) / "calls.txt"
        group = new_group(Path(name), site, _HOST_COUNT, lane_count=1)
        group.install(0, _PLUGIN.format(file=str(file)))
        for host in group.hosts:
            host.studio.feed += 'poll_interval = "100ms"\n'
        group.share_state(server.url, f'lease = "{lease}s"\n')
        with group.running():
            site.add_rows(_LONGEST, _RATE)
            for number in range(take_over_count):
                work_name = FEED if number % 2 else DEFAULT_LANE
                for way, signal_number in _ENDS.items():
                    waits[way].append(measure_wait(group, file, work_name, signal_number))
    return waits


def measure_wait(group: HostGroup, file: Path, work_name: str, signal_number: int) -> float:
    """End the host that has the lane, or the feed; return how long an event waits at most.

    Args:
        group: The hosts, which run; the one that ends is there again at the end.
        file: Where the plugin notes its calls.
        work_name: The lane, or the feed.
        signal_number: What the host's daemon gets.
    """
    await_calls(file, time.time())
    holder = await_rest(group, work_name)
    began_at = time.time()
    holder.send(signal_number)
    others = [host for host in group.hosts if host is not holder]
    wait_until(lambda: any(work_name in host.held_work() for host in others))
    calls = await_calls(file, began_at, time.time())
    revive(holder, signal_number)
    return max(call.began_at - call.visible_at for call in calls)


def await_rest(group: HostGroup, work_name: str) -> GroupHost:
    """Wait until all hosts have begun, and the lane and the feed have a host; return who has one.

    Args:
        group: The hosts.
        work_name: The lane, or the feed.
    """
    wait_until(
        lambda: (
            all(host.has_begun() for host in group.hosts)
            and all(group.find_holder(name) for name in (DEFAULT_LANE, FEED))
        ),
        what="hosts of the lane and of the feed",
    )
    holder = group.find_holder(work_name)
    assert holder is not None
    return holder


def await_calls(file: Path, since: float, until: float | None = None) -> list[_Call]:
    """Wait for the call of an event that becomes visible after a moment.

    Args:
        file: Where the plugin notes its calls.
        since: The first moment.
        until: The moment, if it is another one.

    Returns:
        The calls of events that have become visible since the first moment.
    """
    calls: list[_Call] = []

    def has_come() -> bool:
        calls[:] = [call for call in read_calls(file) if call.visible_at >= since]
        return any(call.visible_at >= (until or since) for call in calls)

    wait_until(has_come)
    return calls


def read_calls(file: Path) -> list[_Call]:
    """Return the calls that a plugin has noted."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [_Call(*map(float, line.split())) for line in lines]


def revive(host: GroupHost, signal_number: int) -> None:
    """Let a host that has got a signal be there again."""
    if signal_number == signal.SIGSTOP:
        host.send(signal.SIGCONT)
        return
    assert host.process is not None
    host.process.wait()
    host.start()
