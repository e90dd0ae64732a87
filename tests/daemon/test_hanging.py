"""The real daemon with callbacks that do not return: each costs its own plugin, and no other."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_daemon import RunningDaemon
from waiting import PATIENCE, wait_until

from sgevents_core.calling.own_thread import LATE_LANE
from sgevents_core.crashes.evidence import read_death_evidence
from sgevents_core.sandbox import Sandbox

HANGS = """
    import os, pathlib, time
    from sgevents_core import hookimpl

    _file = os.open({calls!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    _inside = []

    @hookimpl
    def on_event(event, ctx):
        assert not _inside, "two callbacks at once"
        _inside.append(event.id)
        os.write(_file, f"{{event.id}} {{ctx.plugin}} begun {{ctx.attempt}}\\n".encode())
        while event.id in {on} and not pathlib.Path({go!r}).exists():
            time.sleep(0.005)
        {then}
        _inside.remove(event.id)
"""
RAISES = """
    import sys
    from sgevents_core import hookimpl

    @hookimpl
    def on_event(event, ctx):
        {}
"""
POOL = """
    import time
    from concurrent.futures import ThreadPoolExecutor
    from sgevents_core import hookimpl

    @hookimpl
    def on_event(event, ctx):
        ThreadPoolExecutor().submit(time.sleep, 9999).result()
"""
TIMEOUT = 'timeout = "500ms"'
WRITERS = [f"writer{number}" for number in range(7)]


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site without records and events."""
    with Sandbox(project=False) as running:
        yield running


@pytest.fixture
def daemon(tmp_path: Path, site: Sandbox) -> RunningDaemon:
    """A daemon that has no plugins yet."""
    return RunningDaemon(tmp_path, site)


def install_hanging(
    daemon: RunningDaemon, name: str, *on: int, go: Path, then: str = "pass"
) -> None:
    """Install a plugin that hangs on some events until a file is there."""
    text = HANGS.format(calls=str(daemon.calls), on=on, go=str(go), then=then)
    daemon.install(name, text, keys=TIMEOUT)


def ids_of(daemon: RunningDaemon, plugin: str) -> list[int]:
    """The events a plugin was called for, in order, each callback's call counted."""
    return [noted.event_id for noted in daemon.noted() if noted.plugin == plugin]


def test_ten_plugins_of_which_seven_are_sound(
    daemon: RunningDaemon, site: Sandbox, tmp_path: Path
) -> None:
    """Each of the seven gets every event in order; who hangs gets all others once it is back."""
    ids = [site.event("Studio_Tick") for _ in range(30)]
    never, go = tmp_path / "never", tmp_path / "go"
    install_hanging(daemon, "awhile", ids[4], go=go)
    install_hanging(daemon, "forever", ids[2], go=never)
    daemon.install("raises", RAISES.format("raise ValueError('no')"))
    daemon.install("exits", RAISES.format("sys.exit(3)"))
    for name in WRITERS:
        daemon.install_writer(name)
    with daemon.running() as process:
        wait_until(lambda: all(ids_of(daemon, name) == ids for name in WRITERS))
        assert ids_of(daemon, "awhile") == ids[:5]
        assert ids_of(daemon, "forever") == ids[:3]
        ids += [site.event("Studio_Tick") for _ in range(5)]
        go.touch()
        wait_until(lambda: ids_of(daemon, "awhile") == ids)
        wait_until(lambda: all(ids_of(daemon, name) == ids for name in WRITERS))
        assert daemon.tells("callback.returned_late")
        assert daemon.stop(process) == 0
    unended = [r["plugin"] for r in daemon.told() if r["action"] == "plugin.not_shut_down"]
    assert unended == ["forever"]
    assert daemon.drain() == 0  # the thread that hung is gone with its process
    assert ids_of(daemon, "forever") == ids
    assert all(ids_of(daemon, name) == ids for name in WRITERS)
    assert {noted.attempt for noted in daemon.noted()} == {1}
    dead = [r for r in daemon.told() if r["action"] == "callback.dead_lettered"]
    hung = [(r["plugin"], r["event_id"]) for r in dead if r["plugin"] in {"awhile", "forever"}]
    assert sorted(hung) == [("awhile", ids[4]), ("forever", ids[2])]


def test_four_threads_that_hang_make_it_start_anew(
    daemon: RunningDaemon, site: Sandbox, tmp_path: Path
) -> None:
    """The same process goes on without them; nothing is lost, nothing called twice."""
    ids = [site.event("Studio_Tick") for _ in range(5)]
    names = [f"hangs{number}" for number in range(4)]
    for name in names:
        install_hanging(daemon, name, ids[1], go=tmp_path / "never")
    daemon.install_writer("good")
    with daemon.running() as process:
        wait_until(lambda: all(ids_of(daemon, name) == ids for name in names))
        ids.append(site.event("Studio_Tick"))
        wait_until(lambda: all(ids_of(daemon, name) == ids for name in [*names, "good"]))
        assert daemon.stop(process) == 0
    actions = [record["action"] for record in daemon.told()]
    assert actions.count("daemon.worn") == 1
    assert actions.count("daemon.started") == 2
    assert "callback.in_doubt" not in actions
    assert {noted.attempt for noted in daemon.noted()} == {1}


def test_drain_does_not_wait_for_a_thread_that_hangs(daemon: RunningDaemon, site: Sandbox) -> None:
    """Not for a pool of the plugin's own either, whose threads Python waits for at the end."""
    ids = [site.event("Studio_Tick") for _ in range(3)]
    daemon.install("pool", POOL, keys=TIMEOUT)
    daemon.install_writer("good")
    assert daemon.drain() == 0
    assert ids_of(daemon, "good") == ids
    assert "plugin pool is held: " in daemon.output.read_text()


def test_kill_while_a_thread_hangs_blames_nobody(
    daemon: RunningDaemon, site: Sandbox, tmp_path: Path
) -> None:
    """The call was charged already, so the next start has no doubt about it, and goes on."""
    ids = [site.event("Studio_Tick") for _ in range(3)]
    install_hanging(daemon, "hangs", ids[0], go=tmp_path / "never")
    daemon.install_writer("good")
    with daemon.running() as process:
        wait_until(lambda: ids_of(daemon, "good") == ids)
        assert daemon.stop(process, signal.SIGKILL) == -signal.SIGKILL
    assert daemon.drain() == 0
    assert ids_of(daemon, "hangs") == ids_of(daemon, "good") == ids
    assert not daemon.tells("callback.in_doubt")


def test_late_call_that_ends_the_process_is_not_its_lanes(
    daemon: RunningDaemon, site: Sandbox, tmp_path: Path
) -> None:
    """The call that the lane was in meanwhile is made again, and no death is counted for it."""
    ids = [site.event("Studio_Tick")]
    go = tmp_path / "go"
    install_hanging(daemon, "hangs", ids[0], go=go, then=f"event.id == {ids[0]} and os._exit(7)")
    waits = f"""
    import pathlib, time
    from sgevents_core import hookimpl

    @hookimpl
    def on_event(event, ctx):
        pathlib.Path({str(go)!r}).touch()
        time.sleep(0 if ctx.attempt > 1 else 9999)
"""
    daemon.install("waits", waits)
    with daemon.running() as process:
        assert process.wait(PATIENCE) == 7
    words = read_death_evidence(daemon.folder / "state")
    assert words is not None
    assert (words.lane_name, "_exit" in words.cause_text) == (LATE_LANE, True)
    assert daemon.drain() == 0
    doubted = [r["plugin"] for r in daemon.told() if r["action"] == "callback.in_doubt"]
    assert doubted == ["waits"]
