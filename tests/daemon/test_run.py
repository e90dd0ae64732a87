"""`sgevents run` as people run it: what it hands out, what it survives, what it tells."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox

KEY = "only-a-demo-key"
FAILING = """
    import sys, time
    from sgevents_core import hookimpl

    @hookimpl
    def on_event(event, ctx):
        {deed}
"""
TRAP = """
    import pathlib
    pathlib.Path({trace!r}).touch()
"""


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site without records and events."""
    with Sandbox(project=False, api_key=KEY) as running:
        yield running


@pytest.fixture
def daemon(tmp_path: Path, site: Sandbox) -> RunningDaemon:
    """A daemon for that site, without plugins yet."""
    return RunningDaemon(tmp_path, site)


def test_drain_among_plugins_that_misbehave(daemon: RunningDaemon, site: Sandbox) -> None:
    """One of ten raises at each event with the key in its text, one exits, one takes its time.

    The others get every event in order; what is not enabled is not imported; the run ends by
    itself; warnings of the config are told; the api key is in no file and no output.
    """
    deeds = {
        "bad": "raise ValueError(ctx.sg.config.api_key)",
        "exits": "ctx.logger.error(ctx.sg.config.api_key); sys.exit(3)",
        "sleeps": "time.sleep(0.02)",
    }
    daemon.groups("second", "first")
    for name, deed in deeds.items():
        daemon.install(name, FAILING.format(deed=deed), "second", keys="pause_after = 1000")
    good = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf"]
    for name in reversed(good):
        daemon.install_writer(name, "first")
    trace = daemon.folder / "imported"
    daemon.packages.install_module("trap", TRAP.format(trace=str(trace)))
    daemon.packages.install_module("unnamed", TRAP.format(trace=str(trace)))
    daemon.log = (
        "[plugins.trap]\nenabled = false\n"
        '[log]\nfile = "logs/sgevents.log"\nper_plugin = true\nlevel = "debug"\n'
        '[log.levels]\nnobody = "info"\n'
    )
    ids = [site.event("Shotgun_Task_Change") for _ in range(12)]
    assert daemon.drain() == 0
    steps = [(name, callback) for name in good for callback in ("every", "changed")]
    assert [(n.event_id, n.plugin, n.callback) for n in daemon.noted()] == [
        (event, *step) for event in ids for step in steps
    ]
    assert not trace.exists()
    letters = [record for record in daemon.told() if record["action"] == "callback.dead_lettered"]
    assert [record["plugin"] for record in letters] == ["bad", "exits"] * len(ids)
    assert "ValueError: ***" in letters[0]["message"]
    assert [record["key"] for record in daemon.told() if record["action"] == "config.warning"] == [
        "log.levels.nobody"
    ]
    assert "0 ids still waited for" in daemon.output.read_text()
    said = [record for record in daemon.told() if record["action"] == "plugin.log"]
    assert [(record["plugin"], record["event_id"]) for record in said] == [
        ("exits", event) for event in ids
    ]
    assert (daemon.folder / "logs" / "sgevents.exits.log").read_text().count('"plugin.log"') == 12
    _check_no_key(daemon.folder)


def _check_no_key(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"sgevents.db", "output.txt", "sgevents.log"} <= {path.name for path in files}
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    state = folder / "state"
    assert all(path.stat().st_mode & 0o007 == 0 for path in (state, *state.iterdir()))


def test_site_that_is_not_there_is_tried_until_it_is(daemon: RunningDaemon, site: Sandbox) -> None:
    """A daemon started during an outage goes on trying, says so once, and then does its work."""
    daemon.install_writer("alpha")
    site.go_down()
    with daemon.running() as process:
        wait_until(lambda: daemon.output.exists() and daemon.tells("site.failed"))
        assert process.poll() is None
        site.come_back()
        event = site.event("Shotgun_Task_Change")
        daemon.wait_for([event], "alpha")
        wait_until(lambda: daemon.tells("site.answers"))
        assert daemon.stop(process) == 0
    assert [record["action"] for record in daemon.told()].count("site.failed") == 1
    assert "Traceback" not in daemon.output.read_text()


def test_full_disk_delays_and_loses_nothing(daemon: RunningDaemon, site: Sandbox) -> None:
    """While nothing can be written the daemon waits; then everything comes, once, in order."""
    daemon.install_writer("alpha")
    events = list(site.fill(2500))
    with daemon.running() as process:
        daemon.wait_for(events, "alpha")
        limit = max(path.stat().st_size for path in (daemon.calls, daemon.output)) + 100_000
        assert (daemon.folder / "state" / "sgevents.db-wal").stat().st_size > limit
        before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, before[1]))
        events += [site.event("Shotgun_Task_Change") for _ in range(3)]
        wait_until(lambda: daemon.tells("feed.not_written"), what="the daemon notices")
        assert process.poll() is None
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)
        daemon.wait_for(events, "alpha")
        assert daemon.stop(process) == 0
    assert daemon.events_of("alpha") == events
    assert os.WIFEXITED(process.returncode)


def test_drained_run_tells_of_a_plugin_that_has_not_started(daemon: RunningDaemon) -> None:
    """It remains to be done, as what is held or paused."""
    startup = "from sgevents_core import hookimpl\n@hookimpl\ndef startup(ctx): 1 / 0\n"
    daemon.install("alpha", f"{startup}@hookimpl\ndef on_event(event): ...\n")
    assert daemon.drain() == 0
    told = "plugin alpha is not started: its startup failed: ZeroDivisionError"
    assert told in daemon.output.read_text()
