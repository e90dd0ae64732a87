"""Three hosts as processes, with a real NATS server: work is spread, and survives a death."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from host_processes import Studio, studio_of_hosts
from nats_server import NatsServer

LANES = ["day", "night", "farm"]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """Three hosts that are not started, and a server of their own."""
    server = NatsServer(tmp_path / "nats")
    server.start()
    try:
        with studio_of_hosts(tmp_path, server.url, ["alpha", "beta", "gamma"], LANES) as made:
            yield made
    finally:
        server.kill()


def test_work_is_spread_and_goes_on_after_a_death(studio: Studio) -> None:
    """Every event reaches every plugin once; what a killed host had, others take over.

    Every host shows who has what, and takes people's requests, whoever carries them out. Only calls
    that it was making may be made again, one for each of its lanes. A host that stops
    in order gives everything to the others.
    """
    hosts = studio.hosts
    for host in hosts.values():
        host.start()
    studio.await_spread("alpha", "beta", "gamma")
    for host in hosts.values():
        shown = host.ask("status", "--json")["hosts"]
        has = {
            one["host"]: {lane["lane"] for lane in one["lanes"]}
            | ({"the feed"} if one["feed"] else set())
            for one in shown
        }
        assert has == {name: other.work() for name, other in hosts.items()}
    first = [studio.site.event("Studio_Ping") for _ in range(20)]
    studio.await_calls(first)
    hosts["beta"].command("pause", "plugin_day")
    hosts["gamma"].command("resume", "plugin_day")
    dead_work = hosts["alpha"].work()
    hosts["alpha"].kill()
    second = [studio.site.event("Studio_Ping") for _ in range(20)]
    studio.await_calls(second)
    studio.await_spread("beta", "gamma")
    counts = studio.call_counts()
    assert set(counts) == {
        (f"plugin_{lane}", number) for lane in LANES for number in first + second
    }
    assert counts.total() - len(counts) <= len(dead_work)
    assert hosts["beta"].stop() == 0
    studio.await_spread("gamma")
    third = [studio.site.event("Studio_Ping") for _ in range(5)]
    studio.await_calls(third)
    assert all(
        studio.call_counts()[f"plugin_{lane}", number] == 1 for lane in LANES for number in third
    )
    assert hosts["gamma"].stop() == 0
