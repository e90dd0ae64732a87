"""`sgevents status` while a daemon runs: who is at what, what is wrong, and exit codes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from commanding import installed_here
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core import __version__
from sgevents_core.sandbox import Sandbox

SLOW = """
    import pathlib, time
    from sgevents_core import hookimpl

    @hookimpl
    def on_other(event):
        while event.event_type == "Studio_Slow" and not pathlib.Path({done!r}).exists():
            time.sleep(0.01)
"""
ALERTS = """
    import pathlib
    from sgevents_core import hookimpl

    @hookimpl
    def attention_needed(details, ctx):
        with pathlib.Path({told!r}).open("a") as file:
            file.write(f"{{details.kind}} {{details.over}}\\n")
"""


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A sandbox."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def daemon(tmp_path: Path, site: Sandbox) -> RunningDaemon:
    """A daemon with a plugin that waits for a file."""
    made = RunningDaemon(tmp_path, site)
    made.install("slow", SLOW.format(done=str(tmp_path / "done")))
    made.write_config()
    return made


def test_check_without_a_daemon(daemon: RunningDaemon) -> None:
    """It is neither live nor ready; the plain status is no judgement, and exits with 0."""
    with installed_here(daemon) as sgevents:
        for kind in ("live", "ready"):
            told = sgevents("status", "--check", kind)
            assert (told.code, told.text) == (1, "not live: no daemon runs\n")
        assert sgevents("status").code == 0


def test_running_call_is_named(daemon: RunningDaemon, site: Sandbox, tmp_path: Path) -> None:
    """With its plugin, its event and since when; and what runs, in which version."""
    with daemon.running() as process, installed_here(daemon) as sgevents:
        event = site.event("Studio_Slow")
        wait_until(lambda: "slow:on_other" in sgevents("status").text)
        told = sgevents("status", "--json").json
        (call,) = told["daemon"]["calls"]
        assert (call["plugin"], call["callback"], call["event_id"]) == (
            *("slow", "slow:on_other"), event
        )  # fmt: skip
        assert call["since"] >= told["daemon"]["started"]
        assert told["daemon"]["pid"] == process.pid
        text = sgevents("status").text
        assert f"sgevents {__version__}" in text
        assert f"lane default: slow:on_other of plugin slow has been at event {event} for" in text
        assert sgevents("status", "--check", "ready").code == 0
        (tmp_path / "done").touch()
        wait_until(lambda: not sgevents("status", "--json").json["daemon"]["calls"])


def test_daemon_that_does_not_move_is_not_live(daemon: RunningDaemon) -> None:
    """It holds its state and says nothing: that shows within half a minute of its silence."""
    pulse = daemon.folder / "state" / "now.json"
    with daemon.running() as process, installed_here(daemon) as sgevents:
        wait_until(lambda: sgevents("status", "--check", "live").code == 0)
        os.kill(process.pid, signal.SIGSTOP)
        try:
            content = pulse.read_text("utf-8")
            at = float(content.partition('"at":')[2].partition(",")[0].rstrip("}"))
            pulse.write_text(content.replace(f'"at":{at}', f'"at":{at - 60}'), "utf-8")
            told = sgevents("status", "--check", "live")
            assert told.code == 1
            assert told.text.startswith("not live: the daemon has not moved for ")
            assert "it has not moved for" in sgevents("status").text
        finally:
            os.kill(process.pid, signal.SIGCONT)
        wait_until(lambda: sgevents("status", "--check", "live").code == 0)
        process.terminate()
        process.wait()
    assert not pulse.exists()


def test_what_needs_a_person_is_shown_and_told(
    daemon: RunningDaemon, site: Sandbox, tmp_path: Path
) -> None:
    """A log that goes backwards: in the status with the commands, and to plugins that listen."""
    told = tmp_path / "told"
    daemon.install("alerts", ALERTS.format(told=str(told)))
    with daemon.running(), installed_here(daemon) as sgevents:
        wait_until(lambda: sgevents("status", "--check", "ready").code == 0)
        for _ in range(3):
            last = site.event("Studio_A")
        wait_until(lambda: sgevents("status", "--json").json["feed"]["newest_id"] == last)
        site.rewind(last - 1000)
        wait_until(lambda: told.exists() and "rewound False" in told.read_text())
        (need,) = sgevents("status", "--json").json["needs"]
        assert need["kind"] == "rewound"
        assert "sgevents feed reset --from" in need["fix"]
        assert "What needs a person:" in sgevents("status").text
        ready = sgevents("status", "--check", "ready")
        assert (ready.code, ready.text.partition(":")[0]) == (1, "not ready")
        assert sgevents("status", "--check", "live").code == 0
        assert sgevents("feed", "reset", "--from", "now").code == 0
        wait_until(lambda: "rewound True" in told.read_text())
        assert "Nothing needs a person." in sgevents("status").text
