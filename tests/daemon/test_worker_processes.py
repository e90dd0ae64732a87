"""The real daemon with a lane of worker processes: what a plugin does to its process is its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from running_daemon import WRITER, RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox
from sgevents_core.state.opening import open_state

LANE = """
[[groups]]
name = "apart"
lane = "apart"
[lanes.apart]
executor = "process"
timeout = "3s"
max_rss = 400_000_000
"""

POISON = """
    import ctypes, os, sys, time
    from pathlib import Path
    from sgevents_core import hookimpl

    FOLDER = Path({folder!r})
    kept = []

    def segfault():
        ctypes.string_at(0)

    def leak():
        kept.append(b"x" * 500_000_000)

    def fork():
        if os.fork() == 0:
            return

    def fail():
        raise ValueError("a failure")

    ACTS = {{
        "Studio_Segfault": segfault,
        "Studio_Exit": lambda: os._exit(0),
        "Studio_Hang": lambda: time.sleep(1000),
        "Studio_Leak": leak,
        "Studio_Fork": fork,
        "Studio_Fail": fail,
        "Studio_SysExit": lambda: sys.exit(1),
    }}

    @hookimpl
    def on_event(event, ctx):
        with (FOLDER / "tried").open("a") as file:
            file.write(f"{{event.id}} {{ctx.attempt}} {{os.getpid()}}\\n")
        ctx.store["calls"] = ctx.store.get("calls", 0) + 1
        act = ACTS.get(event.event_type)
        if act is not None:
            act()

    @hookimpl
    def startup(ctx):
        ctx.store["starts"] = ctx.store.get("starts", 0) + 1
        ctx.logger.info("started in %d", os.getpid())
        print("printed in startup")

    @hookimpl
    def shutdown(ctx):
        ctx.store["ends"] = ctx.store.get("ends", 0) + 1

    @hookimpl
    def dead_lettered(details, ctx):
        with (FOLDER / "alerts").open("a") as file:
            file.write(f"{{details.event.id}} {{details.plugin}}\\n")
"""


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[RunningDaemon]:
    """A daemon with a lane of worker processes, and no plugins."""
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.log = LANE
        yield daemon


@pytest.fixture
def daemon(bare: RunningDaemon) -> RunningDaemon:
    """A daemon with a plugin in a worker process, and one in the lane beside it."""
    bare.install("poison", POISON.format(folder=str(bare.folder)), "apart")
    bare.install_writer("writes")
    return bare


def tried(daemon: RunningDaemon) -> list[tuple[int, int, int]]:
    """Return event, attempt and process of the calls of `poison` so far."""
    path = daemon.folder / "tried"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(event), int(attempt), int(pid)) for event, attempt, pid in map(str.split, lines)]


def letters(daemon: RunningDaemon) -> list[tuple[int, str]]:
    """Return event and error of the dead letters."""
    found = daemon_command(daemon, "dead-letters", "list", "--json")
    return [(one["event_id"], one["error"]) for one in json.loads(found)["dead_letters"]]


def daemon_status(daemon: RunningDaemon) -> dict[str, Any]:
    """Return what `status` says of the daemon."""
    shown: dict[str, Any] = json.loads(daemon_command(daemon, "status", "--json"))["daemon"]
    return shown


def workers_of(daemon: RunningDaemon) -> list[dict[str, Any]]:
    """Return what `status` says of the workers of the lane."""
    (lane,) = daemon_status(daemon)["lanes"]
    workers: list[dict[str, Any]] = lane["workers"]
    return workers


def daemon_command(daemon: RunningDaemon, *words: str) -> str:
    """Run a command beside the daemon; return what it prints."""
    command = [sys.executable, "-m", "sgevents_core", *words, "-c", str(daemon.config)]
    done = subprocess.run(
        command, env=daemon.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def stored(daemon: RunningDaemon, plugin: str) -> dict[str, Any]:
    """Return what a plugin's store holds."""
    with closing(open_state(daemon.folder / "state").reader()) as state:
        return state.store(plugin)


def lives(pid: int) -> bool:
    """Return whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_each_poison_costs_its_call_alone(daemon: RunningDaemon) -> None:
    """Deaths and hangs become dead letters, everything else goes on, and nobody else notices."""
    kinds = ["Segfault", "Exit", "Hang", "Leak", "Fork", "Fail", "SysExit", "Fine"]
    ids = {kind: daemon.site.event(f"Studio_{kind}") for kind in kinds}
    everything = sorted(ids.values())
    with daemon.running() as process:
        daemon.wait_for(everything, "writes")
        wait_until(lambda: {event for event, _, _ in tried(daemon)} == set(everything))
        wait_until(lambda: len(letters(daemon)) == 5)
        assert daemon.stop(process) == 0
    assert daemon.events_of("writes") == everything
    calls = [(event, attempt) for event, attempt, _ in tried(daemon)]
    twice = {ids["Segfault"], ids["Exit"]}
    assert calls == [(one, n) for one in everything for n in ((1, 2) if one in twice else (1,))]
    by_kind = dict(letters(daemon))
    assert "Segmentation fault" in by_kind[ids["Segfault"]]
    assert "it called os._exit(0)" in by_kind[ids["Exit"]]
    assert by_kind[ids["Hang"]].startswith("CallbackTimeout")
    assert by_kind[ids["Fail"]] == "ValueError: a failure"
    pids = {event: pid for event, _, pid in tried(daemon)}
    assert pids[ids["Leak"]] != pids[ids["Fork"]] == pids[ids["Fine"]]
    assert not any(lives(pid) for pid in pids.values())
    alerts = (daemon.folder / "alerts").read_text().splitlines()
    assert sorted(alerts) == sorted(f"{event} poison" for event in by_kind)
    assert any(r["message"] == "printed in startup" for r in daemon.told())
    assert daemon.tells("plugin.slowed_down")


def test_plugin_that_keeps_dying_waits_alone(daemon: RunningDaemon) -> None:
    """Its waits are those of all its strands together; its neighbour in the lane goes on."""
    daemon.log = LANE.replace("executor", 'workers = 4\norder_by = "none"\nexecutor')
    daemon.install("zeal", WRITER.format(calls=str(daemon.calls)), "apart")
    with daemon.running() as process:
        ids = [daemon.site.event("Studio_Segfault") for _ in range(40)]
        daemon.wait_for(ids, "zeal")
        deaths = len(tried(daemon))
        assert daemon.stop(process) == 0
    assert 3 <= deaths < len(ids) / 2  # each event has killed two, in each strand at once


def test_status_shows_the_workers_and_what_they_call(daemon: RunningDaemon) -> None:
    """Process, state, call and since when, memory, restarts; and a plugin that is slowed down."""
    hang = daemon.site.event("Studio_Hang")
    with daemon.running() as process:
        wait_until(lambda: tried(daemon))
        wait_until(lambda: daemon_status(daemon)["lanes"], what="the pulse names the lane")
        wait_until(lambda: workers_of(daemon)[0]["state"] == "calling")
        (worker,) = workers_of(daemon)
        shown = daemon_command(daemon, "status")
        pids = [pid for *_, pid in tried(daemon)]  # of two processes if commands take seconds
        assert pids.index(worker["pid"]) == worker["restarts"]
        assert (worker["plugin"], worker["event_id"]) == ("poison", hang)
        assert worker["memory_bytes"] > 1_000_000
        assert f"poison poison:on_event, event {hang}" in shown
        for _ in range(2):
            daemon.site.event("Studio_Segfault")
        wait_until(lambda: daemon_status(daemon)["slow"])
        (slow,) = daemon_status(daemon)["slow"]
        assert (slow["lane"], slow["plugin"]) == ("apart", "poison")
        assert "poison: called more slowly" in daemon_command(daemon, "status")
        assert workers_of(daemon)[0]["restarts"] >= 2
        assert daemon.stop(process) == 0


KILLED = """
    import os, pathlib, subprocess, time
    from sgevents_core import hookimpl

    if not pathlib.Path({gate!r}).exists():
        subprocess.run(["sh", "-c", f"kill -9 {{os.getpid()}}"])
        time.sleep(1000)

    @hookimpl
    def on_event(event, ctx):
        ctx.store["calls"] = ctx.store.get("calls", 0) + 1
"""


def test_lane_that_cannot_be_started_starts_by_itself_later(daemon: RunningDaemon) -> None:
    """Its plugins are not left out until a reload, and get all events of the time between."""
    gate = daemon.folder / "gate"
    daemon.install("killed", KILLED.format(gate=str(gate)), "apart")
    with daemon.running() as process:
        daemon.wait_for([daemon.site.event("Studio_Fine")], "writes")
        wait_until(lambda: daemon_status(daemon)["lanes"])
        (lane,) = daemon_status(daemon)["lanes"]
        assert "killed by SIGKILL" in lane["trouble"]
        assert lane["retry_at"] is not None
        assert "its plugins could not be loaded, and are tried again" in daemon_command(
            daemon, "status"
        )
        gate.touch()
        wait_until(lambda: stored(daemon, "killed") == {"calls": 1})
        wait_until(lambda: daemon_status(daemon)["lanes"][0]["trouble"] is None)
        wait_until(lambda: stored(daemon, "poison").get("calls") == 1)
        assert daemon.stop(process) == 0


def test_a_daemon_that_is_killed_leaves_no_worker_behind(daemon: RunningDaemon) -> None:
    """Not even one in the middle of a call; the call is made again by the next daemon."""
    hang = daemon.site.event("Studio_Hang")
    with daemon.running() as process:
        wait_until(lambda: tried(daemon))
        (_, _, pid) = tried(daemon)[0]
        assert lives(pid)
        process.kill()
        process.wait()
    wait_until(lambda: not lives(pid))
    with daemon.running() as process:
        wait_until(lambda: len(letters(daemon)) == 1)
        assert daemon.stop(process) == 0
    assert [(event, attempt) for event, attempt, _ in tried(daemon)] == [(hang, 1), (hang, 2)]


def test_stop_waits_for_the_running_call_and_ends_the_workers(daemon: RunningDaemon) -> None:
    """A call is never cut short by a stop; store changes of hooks are kept once."""
    daemon.site.event("Studio_Fine")
    with daemon.running() as process:
        wait_until(lambda: tried(daemon))
        (pid,) = {pid for _, _, pid in tried(daemon)}
        assert daemon.stop(process, signal.SIGINT) == 0
        assert not lives(pid)
    assert stored(daemon, "poison") == {"calls": 1, "starts": 1, "ends": 1}


def test_reload_starts_new_workers(daemon: RunningDaemon) -> None:
    """The new daemon has new processes, and the old ones are gone."""
    first = daemon.site.event("Studio_Fine")
    with daemon.running() as process:
        wait_until(lambda: tried(daemon))
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: daemon.output.read_text().count('"daemon.started"') == 2)
        second = daemon.site.event("Studio_Fine")
        wait_until(lambda: len(tried(daemon)) == 2)
        assert daemon.stop(process) == 0
    calls = tried(daemon)
    assert [event for event, _, _ in calls] == [first, second]
    assert len({pid for _, _, pid in calls}) == 2
    assert not any(lives(pid) for _, _, pid in calls)


def test_the_daemon_imports_no_plugin_of_such_a_lane(daemon: RunningDaemon) -> None:
    """Its plugin knows that it never ran in the daemon's process."""
    daemon.site.event("Studio_Fine")
    with daemon.running() as process:
        wait_until(lambda: tried(daemon))
        assert process.pid not in {pid for _, _, pid in tried(daemon)}
        listed = json.loads(daemon_command(daemon, "plugins", "list", "--json"))
        (shown,) = [one for one in listed["plugins"] if one["name"] == "poison"]
        assert (shown["status"], shown["lane"], shown["callbacks"]) == ("enabled", "apart", 1)
        assert daemon.stop(process) == 0
    started = [r["message"] for r in daemon.told() if r["message"].startswith("started in")]
    assert started
    assert f"started in {os.getpid()}" not in started
    assert f"started in {process.pid}" not in started


def test_drain_ends_with_worker_processes(daemon: RunningDaemon) -> None:
    """`--drain` handles everything, ends the processes, and exits with 0."""
    ids = [daemon.site.event("Studio_Fine") for _ in range(3)]
    assert daemon.drain() == 0
    assert [event for event, _, _ in tried(daemon)] == ids
    assert not any(lives(pid) for _, _, pid in tried(daemon))


def test_several_workers_keep_the_order_of_each_entity(daemon: RunningDaemon) -> None:
    """Two processes share the events; those of one entity come in order, and none is lost."""
    daemon.log = LANE.replace("max_rss", 'workers = 2\norder_by = "entity"\nmax_rss')
    shots = [daemon.site.create("Shot", {"code": f"{number:03}"})["id"] for number in range(6)]
    for status in ("wtg", "ip", "fin"):
        for shot in shots:
            daemon.site.update("Shot", shot, {"sg_status_list": status})
    exits = daemon.site.event("Studio_Exit")
    everything = set(range(1, exits + 1))
    with daemon.running() as process:
        daemon.wait_for(sorted(everything), "writes")
        wait_until(lambda: {event for event, _, _ in tried(daemon)} == everything)
        wait_until(lambda: len(letters(daemon)) == 1)
        assert daemon.stop(process) == 0
    entities = {row["id"]: row["entity"] or {} for row in daemon.site.event_rows(*everything)}
    for shot in shots:
        own = [one for one, _, _ in tried(daemon) if entities[one].get("id") == shot]
        assert own == sorted(own)
        assert len(own) >= 4
    assert len({pid for _, _, pid in tried(daemon)}) >= 2
    assert not any(lives(pid) for _, _, pid in tried(daemon))


COUNTS = """
    import os, time
    from pathlib import Path
    from sgevents_core import hookimpl

    FOLDER = Path({folder!r})

    @hookimpl
    def on_event(event, ctx):
        with (FOLDER / "tried").open("a") as file:
            file.write(f"{{event.id}} {{ctx.attempt}} {{os.getpid()}}\\n")
        ctx.store[str(event.id)] = ctx.store.get(str(event.id), 0) + 1
        time.sleep(0.01)
"""


def test_kills_lose_nothing_and_repeat_only_the_running_call(bare: RunningDaemon) -> None:
    """`kill -9` of workers and of the daemon, again and again: stores count each event once."""
    daemon = bare
    daemon.install("counts", COUNTS.format(folder=str(daemon.folder)), "apart")
    daemon.log = LANE.replace("max_rss", 'workers = 2\norder_by = "none"\nmax_rss')
    ids = [daemon.site.event("Studio_Tick") for _ in range(120)]
    kills = 3 * (3 + 2)  # both workers end with the daemon
    for _ in range(3):
        with daemon.running() as process:
            for _ in range(3):
                wait_until(partial(_has_tried, daemon, len(tried(daemon)) + 8))
                with suppress(OSError):
                    os.kill(tried(daemon)[-1][2], signal.SIGKILL)
            process.kill()
            process.wait()
    with daemon.running() as process:
        wait_until(lambda: len(stored(daemon, "counts")) == len(ids))
        assert daemon.stop(process) == 0
    assert stored(daemon, "counts") == {str(event): 1 for event in ids}
    assert len(tried(daemon)) <= len(ids) + kills
    assert not any(lives(pid) for _, _, pid in tried(daemon))


def _has_tried(daemon: RunningDaemon, calls: int) -> bool:
    return len(tried(daemon)) >= calls
