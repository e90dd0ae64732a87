"""Real hosts that reload one after another, and that are upgraded by hand, while events come."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from host_processes import Host, Studio, studio_of_hosts
from nats_server import NatsServer
from running_daemon import WRITER
from waiting import wait_until

from sgevents_core.state.running import read_running_daemon

LANES = ["day", "night"]
NAMES = ["alpha", "beta", "gamma"]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, nats_server: NatsServer) -> Iterator[Studio]:
    """Three hosts that share the work; each test begins when it is spread over all."""
    folder = tmp_path_factory.mktemp("studio")
    with studio_of_hosts(folder, nats_server.url, NAMES, LANES) as made:
        for host in made.hosts.values():
            host.start()
        made.await_spread(*NAMES)
        yield made


def upgrade(host: Host, version: str, text: str = "") -> None:
    """Install another version of a plugin on a host, as pip does."""
    packages, name = host.daemon.packages, "plugin_day"
    for folder in packages.folder.glob(f"dist_{name}-*.dist-info"):
        shutil.rmtree(folder)
    plugin_text = text or WRITER.format(calls=str(host.daemon.calls))
    packages.install(f"dist-{name}", {name: name}, {f"{name}.py": plugin_text}, version=version)


def running_version(host: Host) -> str | None:
    """Return the version of the plugin that a host's daemon has loaded."""
    daemon = read_running_daemon(host.daemon.folder / "state")
    return None if daemon is None else daemon.plugins.get("plugin_day")


def restart(host: Host) -> None:
    """Restart a host's daemon, as systemd does."""
    assert host.stop() == 0
    host.start()


def shown_hosts(host: Host) -> dict[str, dict[str, Any]]:
    """Return what `status` shows of each host, as this one sees it."""
    return {shown["host"]: shown for shown in host.ask("status", "--json")["hosts"]}


def await_calls_once(studio: Studio, count: int) -> None:
    """Let events come, and wait until each has reached every plugin, once since the beginning."""
    studio.await_calls([studio.site.event("Studio_Ping") for _ in range(count)])
    assert set(studio.call_counts().values()) == {1}


def test_reload_on_one_host_rolls_through_all(studio: Studio) -> None:
    """Every event is handled once, one host is away at a time, and the command waits for all.

    A host where the new version does not load keeps the old one, and the reload stops there with
    the reason, which every host shows; once it is mended, the reload goes on from there.
    """
    alpha, beta, gamma = studio.hosts.values()
    await_calls_once(studio, 10)
    for host in (alpha, beta):
        upgrade(host, "2.0")
    upgrade(gamma, "2.0", "import nothing_of_that_name")
    stopped = beta.command("reload", codes=(1,))
    assert "plugin_day: 1.0 -> 2.0" in stopped
    assert "alpha has reloaded" in stopped
    assert [running_version(host) for host in (alpha, beta, gamma)] == ["2.0", "2.0", "1.0"]
    status = alpha.ask("status", "--json")
    assert (status["reload"]["asked_on"], status["reload"]["stopped_on"]) == ("beta", "gamma")
    assert "nothing_of_that_name" in status["reload"]["reason"]
    assert shown_hosts(alpha)["gamma"]["differs"] == (
        "plugin plugin_day: dist-plugin_day 1.0, and dist-plugin_day 2.0 is wanted"
    )
    studio.await_spread("alpha", "beta")
    assert gamma.work() == set()
    await_calls_once(studio, 10)
    upgrade(gamma, "2.0")
    assert "Reloaded" in gamma.command("reload")
    studio.await_spread(*NAMES)
    status = alpha.ask("status", "--json")
    assert (status["reload"], [need["kind"] for need in status["needs"]]) == (None, [])
    await_calls_once(studio, 10)


def test_hosts_upgraded_by_hand_wait_until_more_than_half_have_it(studio: Studio) -> None:
    """Nobody calls `reload`: each host is restarted after pip, and all is done meanwhile."""
    alpha, beta, gamma = studio.hosts.values()
    before = running_version(beta)
    for host in (alpha, beta, gamma):
        upgrade(host, "3.0")
    restart(alpha)
    wait_until(lambda: "alpha" in shown_hosts(beta))
    studio.await_spread("beta", "gamma")
    text = f"plugin plugin_day: dist-plugin_day 3.0, and dist-plugin_day {before} is wanted"
    assert shown_hosts(gamma)["alpha"]["differs"] == text
    assert f"alpha differs from what is wanted: {text}" in gamma.command("cluster", "status")
    needs = gamma.ask("status", "--json")["needs"]
    assert [need["kind"] for need in needs] == ["other_files"]
    await_calls_once(studio, 5)
    assert alpha.work() == set()
    restart(beta)
    studio.await_spread("alpha", "beta")
    assert gamma.work() == set()
    await_calls_once(studio, 5)
    restart(gamma)
    studio.await_spread(*NAMES)
    await_calls_once(studio, 5)


def test_plugin_moves_to_the_lane_of_another_host(studio: Studio) -> None:
    """It is called in one lane alone at any time, although another host has the one it leaves."""
    for host in studio.hosts.values():
        text = host.daemon.config.read_text()
        moved = text.replace('name = "night"\nlane = "night"', 'name = "night"\nlane = "day"')
        assert moved != text
        host.daemon.config.write_text(moved)
    holder = next(host for host in studio.hosts.values() if "day" in host.work())
    assert "night" not in holder.work()
    with events_all_the_time(studio) as event_ids:
        assert "Reloaded" in holder.command("reload")
        wait_until(lambda: lane_of_plugin(holder, "plugin_night") == "day")
        reached = len(event_ids)
        wait_until(lambda: len(event_ids) > reached + 10)
    studio.await_calls(event_ids)
    assert set(studio.call_counts().values()) == {1}
    firsts = [event_id for name, event_id in studio.noted_calls() if name == "plugin_night"]
    assert firsts == sorted(firsts)


@contextmanager
def events_all_the_time(studio: Studio) -> Iterator[list[int]]:
    """Let events come while the block lasts; their ids are in the list."""
    event_ids: list[int] = []
    ended = threading.Event()

    def make_events() -> None:
        while not ended.wait(0.02):
            event_ids.append(studio.site.event("Studio_Ping"))

    maker = threading.Thread(target=make_events)
    maker.start()
    try:
        yield event_ids
    finally:
        ended.set()
        maker.join()


def lane_of_plugin(host: Host, plugin_name: str) -> str:
    """Return the lane that a plugin is in, as a host's state says."""
    (lane,) = [
        plugin["lane"]
        for plugin in host.ask("status", "--json")["plugins"]
        if plugin["name"] == plugin_name
    ]
    return str(lane)
