"""A daemon told to stop: it finishes the callback in hand, notes it, and ends well."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_daemon import RunningDaemon
from waiting import PATIENCE, wait_until

from sgevents_core.sandbox import Sandbox

SLOW = """
    import os, pathlib, time
    from sgevents_core import hookimpl

    _file = os.open({calls!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def _note(event, ctx, callback):
        line = f"{{event.id}} {{ctx.plugin}} {{callback}} {{ctx.attempt}}\\n"
        os.write(_file, line.encode())

    @hookimpl
    def on_event(event, ctx):
        _note(event, ctx, "begun")
        while not pathlib.Path({go!r}).exists():
            time.sleep(0.005)
        ctx.store["n"] = ctx.store.get("n", 0) + 1
        _note(event, ctx, "returned")

    @hookimpl(specname="on_event")
    def second(event, ctx):
        _note(event, ctx, "second")
"""
CONTAINER = ("unshare", "--pid", "--fork", "--kill-child")
"""Runs a command as the first process of its own."""
HAS_CONTAINERS = (
    shutil.which("unshare") is not None
    and subprocess.run([*CONTAINER, "true"], check=False, capture_output=True).returncode == 0
)
IMPORTING = """
    import pathlib, time

    pathlib.Path({seen!r}).touch()
    while not pathlib.Path({go!r}).exists():
        time.sleep(0.005)
"""


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site without records and events."""
    with Sandbox(project=False) as running:
        yield running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_callback_in_hand_is_finished_and_noted(
    tmp_path: Path, site: Sandbox, number: signal.Signals
) -> None:
    """Exit code 0; the next start goes on behind that callback: nothing repeated, nothing lost."""
    daemon, go = RunningDaemon(tmp_path, site), tmp_path / "go"
    daemon.install("slow", SLOW.format(calls=str(daemon.calls), go=str(go)))
    ids = [site.event("Shotgun_Task_Change") for _ in range(2)]
    with daemon.running() as process:
        wait_until(daemon.noted)
        process.send_signal(number)
        wait_until(lambda: daemon.tells("daemon.stopping"))
        assert process.poll() is None
        go.touch()
        assert process.wait(PATIENCE) == 0
    assert [(n.event_id, n.callback) for n in daemon.noted()] == [
        (ids[0], "begun"), (ids[0], "returned")
    ]  # fmt: skip
    assert daemon.drain() == 0
    steps = ("begun", "returned", "second")
    assert [(n.event_id, n.callback) for n in daemon.noted()] == [
        (event, step) for event in ids for step in steps
    ]
    assert {n.attempt for n in daemon.noted()} == {1}
    assert "Traceback" not in daemon.output.read_text()


def test_second_signal_ends_it_at_once(tmp_path: Path, site: Sandbox) -> None:
    """Who cannot wait for a callback says so twice; that call is made again."""
    daemon, go = RunningDaemon(tmp_path, site), tmp_path / "go"
    daemon.install("slow", SLOW.format(calls=str(daemon.calls), go=str(go)))
    event = site.event("Shotgun_Task_Change")
    with daemon.running() as process:
        wait_until(daemon.noted)

        def ended() -> bool:
            process.send_signal(signal.SIGTERM)
            return process.poll() is not None

        wait_until(ended)
        assert process.returncode == -signal.SIGTERM
    go.touch()
    assert daemon.drain() == 0
    assert [(n.event_id, n.callback, n.attempt) for n in daemon.noted()] == [
        (event, "begun", 1), (event, "begun", 2), (event, "returned", 2), (event, "second", 1)
    ]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_before_it_has_read_its_configuration(
    tmp_path: Path, site: Sandbox, number: signal.Signals
) -> None:
    """However early, it ends well, and says so; the next start has nothing to mend."""
    daemon = RunningDaemon(tmp_path, site)
    daemon.install_writer("alpha")
    event = site.event("Studio_A")
    daemon.write_config()
    gate = gate_before_the_configuration(daemon)
    with daemon.started() as process:
        pipe = opened_as_read(gate)
        process.send_signal(number)
        os.close(pipe)
        assert process.wait(PATIENCE) == 0
    gate.unlink()
    assert daemon.tells("daemon.stopped")
    assert "Traceback" not in daemon.output.read_text()
    assert daemon.drain() == 0
    assert daemon.events_of("alpha") == [event]


@pytest.mark.skipif(not HAS_CONTAINERS, reason="this user cannot make a namespace of processes")
def test_first_process_of_a_container(tmp_path: Path, site: Sandbox) -> None:
    """There, signals do nothing by default: one that comes early is heard, a second one too."""
    daemon, go = RunningDaemon(tmp_path, site), tmp_path / "go"
    daemon.under = CONTAINER
    daemon.install("slow", SLOW.format(calls=str(daemon.calls), go=str(go)))
    site.event("Shotgun_Task_Change")
    with daemon.running() as process:
        wait_until(daemon.noted)
        first = child_of(process.pid)

        def ended() -> bool:
            with contextlib.suppress(ProcessLookupError):
                os.kill(first, signal.SIGTERM)
            return process.poll() is not None

        wait_until(ended)
        assert process.returncode == 128 + signal.SIGTERM
    gate = gate_before_the_configuration(daemon)
    with daemon.started() as process:
        pipe = opened_as_read(gate)
        os.kill(child_of(process.pid), signal.SIGTERM)
        go.touch()
        os.close(pipe)
        assert process.wait(PATIENCE) == 0


WAITS = """
import os, sys

class Gate:
    def find_spec(self, name, path=None, target=None):
        if name == "sgevents_core.settings" and os.path.exists({gate!r}):
            open({gate!r}).read()

sys.meta_path.insert(0, Gate())
"""


def gate_before_the_configuration(daemon: RunningDaemon) -> Path:
    """Let the next process stand still before it can read its configuration.

    Returns the pipe at which it waits, until that was opened for writing and closed.
    """
    gate = daemon.folder / "gate"
    os.mkfifo(gate)
    text = WAITS.format(gate=str(gate))
    (daemon.packages.folder / "sitecustomize.py").write_text(text, encoding="utf-8")
    return gate


def child_of(process: int) -> int:
    """Return the only child of a process."""
    return int(Path(f"/proc/{process}/task/{process}/children").read_text())


def opened_as_read(pipe: Path) -> int:
    """Open a pipe for writing as soon as somebody waits for what is written to it."""
    opened: list[int] = []

    def is_open() -> bool:
        with contextlib.suppress(OSError):  # nobody reads yet
            opened.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        return bool(opened)

    wait_until(is_open)
    return opened[0]


def test_told_to_stop_while_it_loads_plugins(tmp_path: Path, site: Sandbox) -> None:
    """Ctrl-C does not wait for an import, is no fault of the plugin's, and ends the run well."""
    daemon, go, seen = RunningDaemon(tmp_path, site), tmp_path / "go", tmp_path / "seen"
    daemon.install("slow", IMPORTING.format(seen=str(seen), go=str(go)))
    with daemon.running() as process:
        wait_until(seen.exists)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    assert daemon.tells("daemon.stopped")
    assert not daemon.tells("plugin.broken")
