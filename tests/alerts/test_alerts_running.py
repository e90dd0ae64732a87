"""A daemon with `[[alerts]]`: what people get while it fails, dies and is mended."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from reloading import reload
from running_daemon import RunningDaemon
from waiting import PATIENCE, wait_until
from web_hooks import WebHooks

from sgevents_core.sandbox import Sandbox

TOKEN = "tok3n-of-a-chat"
FAILING = """
    import pathlib
    from sgevents_core import hookimpl

    @hookimpl
    def on_event(event, ctx):
        raise ValueError(f"no {{event.id}}, and {token}")

    @hookimpl
    def dead_lettered(details, ctx):
        with pathlib.Path({noted!r}).open("a") as file:
            file.write("x")
"""


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site without records and events."""
    with Sandbox(project=False, api_key="only-a-demo-key") as running:
        yield running


@pytest.fixture
def hooks() -> Iterator[WebHooks]:
    """A web server that takes messages."""
    with WebHooks() as server:
        yield server


@pytest.fixture
def daemon(tmp_path: Path, site: Sandbox, hooks: WebHooks) -> RunningDaemon:
    """A daemon that tells a web hook everything, and has a heartbeat."""
    daemon = RunningDaemon(tmp_path, site)
    daemon.log = (
        f'[log]\nlevel = "debug"\n[[alerts]]\nurls = ["json://127.0.0.1:{hooks.port}/all/{TOKEN}"]\n'
        f'[[alerts]]\nurls = ["json://127.0.0.1:{hooks.port}/disk"]\non = ["disk"]\n'
        f'heartbeat = "http://127.0.0.1:{hooks.port}/ping/{TOKEN}"\nheartbeat_every = "1s"\n'
    )
    return daemon


def command(daemon: RunningDaemon, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command on the configuration of a daemon."""
    return subprocess.run(
        [sys.executable, "-m", "sgevents_core", *words, "-c", str(daemon.config)],
        env=daemon.environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_a_day_with_failures_and_a_kill(
    daemon: RunningDaemon, site: Sandbox, hooks: WebHooks
) -> None:
    """Many equal failures are one message, also over a `kill -9`, and one when they are over.

    The kill is told as well. The plugin's own hook is called for each failure, the heartbeat goes
    on, and no address is in the log, the files of the state or a message.
    """
    noted = daemon.folder / "noted"
    text = FAILING.format(token=TOKEN, noted=str(noted))
    daemon.install("failing", text, keys="max_attempts = 1\npause_after = 1000")
    ids = [site.event("Shotgun_Task_Change") for _ in range(200)]
    with daemon.running() as process:
        wait_until(lambda: noted.exists() and noted.stat().st_size == len(ids))
        wait_until(lambda: len(hooks.messages("/all/")) == 1, what="the failures are told")
        wait_until((daemon.folder / "state" / "alerts.json").exists)
        wait_until(lambda: any(one.path.startswith("/ping/") for one in hooks.received))
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
    with daemon.running() as process:
        wait_until(lambda: len(hooks.messages("/all/")) == 2, what="the kill is told")
        dismissed = command(daemon, "dead-letters", "dismiss", "--all")
        assert dismissed.returncode == 0, dismissed.stderr
        wait_until(lambda: len(hooks.messages("/all/")) == 3, what="the failures are over")
        assert daemon.stop(process) == 0
    failures, crash, over = hooks.messages("/all/")
    assert failures.startswith("sgevents 127.0.0.1: dead letter\n")
    assert (
        "failing:on_event of plugin failing failed for good: ValueError: no #, and ***" in failures
    )
    assert crash.startswith("sgevents 127.0.0.1: crash\nThe daemon ended without being stopped")
    assert "failing" not in crash
    assert over.startswith("sgevents 127.0.0.1: 1 problem is over\nOver: failing:on_event")
    assert hooks.messages("/disk") == []
    assert TOKEN not in daemon.output.read_text()
    for path in (daemon.folder / "state").iterdir():
        assert TOKEN.encode() not in path.read_bytes(), path


def test_alerts_are_tried_out_by_a_command(daemon: RunningDaemon, hooks: WebHooks) -> None:
    """`alerts test` tells which address works, and shows none; it ends with 1 if one does not."""
    daemon.write_config()
    tried = command(daemon, "alerts", "test")
    assert (tried.returncode, tried.stderr) == (0, "")
    assert tried.stdout.splitlines() == [
        "alerts[0].urls[0] (json://***): ok",
        "alerts[1].urls[0] (json://***): ok",
        "alerts[1].heartbeat (http://***): ok",
    ]
    assert hooks.messages() == ["sgevents 127.0.0.1: a test\nThis is a test: nothing is wrong."] * 2
    hooks.status = 500
    tried = command(daemon, "alerts", "test")
    assert tried.returncode == 1
    assert tried.stdout.count("failed: ") == 3
    assert TOKEN not in tried.stdout + tried.stderr


def test_addresses_that_cannot_be_used_are_refused(
    daemon: RunningDaemon, hooks: WebHooks, site: Sandbox
) -> None:
    """By `check`, at the start, and by a reload, after which all goes on; each names the key."""
    good = daemon.log
    bad = good.replace("json://", f"nosuch://{TOKEN}@", 1)
    with daemon.running() as process:
        wait_until(lambda: any(one.path.startswith("/ping/") for one in hooks.received))
        daemon.log = bad
        daemon.write_config()
        refused = reload(daemon)
        assert refused.returncode != 0
        assert "alerts[0].urls[0]: it is not an address of an alert" in refused.stderr
        assert process.poll() is None
        assert daemon.stop(process) == 0
    checked = command(daemon, "check")
    assert checked.returncode == 1
    assert "alerts[0].urls[0]" in checked.stdout
    with daemon.started() as process:
        assert process.wait(PATIENCE) == 2
    assert "alerts[0].urls[0]: it is not an address of an alert" in daemon.output.read_text()
    for text in (refused.stderr, checked.stdout, daemon.output.read_text()):
        assert TOKEN not in text


def test_what_needs_a_person_is_told_as_it_comes_and_goes(
    daemon: RunningDaemon, site: Sandbox, hooks: WebHooks
) -> None:
    """A paused plugin, one that does not load, an outage and its end, and a log that went back."""
    text = FAILING.format(token="no reason", noted=str(daemon.folder / "noted"))
    daemon.install("stops", text, keys='on_error = "pause"\nmax_attempts = 1')
    daemon.install("broken", "raise RuntimeError('it does not load')")
    daemon.log = (
        f'[[alerts]]\nurls = ["json://127.0.0.1:{hooks.port}/all"]\nafter = "0s"\n'
        f'[[alerts]]\nurls = ["json://127.0.0.1:{hooks.port}/other"]\nplugins = ["other"]\n'
        'on = ["paused", "broken", "dead_letter"]\n'
    )
    for _ in range(3):
        site.event("Shotgun_Task_Change")

    def is_told(text: str) -> bool:
        return any(text in message for message in hooks.messages("/all"))

    with daemon.running() as process:
        wait_until(lambda: is_told("Plugin stops is paused"))
        assert is_told("Plugin broken does not run: ")
        with site.outage():
            wait_until(lambda: is_told(": outage\n"), what="the outage is told")
        wait_until(lambda: is_told("problem is over\nOver: The site "), what="its end is told")
        site.rewind(0)
        wait_until(lambda: is_told("The event log went backwards"))
        assert daemon.stop(process) == 0
    assert hooks.messages("/other") == []
