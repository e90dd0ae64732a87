"""Classic plugins in the running daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from classic_files import ClassicStudio, paths_text
from running_daemon import RunningDaemon

from sgevents_core.sandbox import Sandbox

KEY = "only-a-demo-key"
UUID = "11111111-2222-3333-4444-555555555555"
SEEING = """
import logging

def registerCallbacks(reg):
    reg.logger.setLevel(logging.DEBUG)
    args = []
    reg.registerCallback({script!r}, {key!r}, first, {{"Shotgun_Task_Change": ["*"]}}, args)
    reg.registerCallback({script!r}, {key!r}, second, None, args)

def first(sg, logger, event, args):
    args.append((id(sg), event["id"]))
    shot = sg.create("Shot", {{"project": {{"type": "Project", "id": {project}}}, "code": "a"}})
    logger.debug("first saw %d in %s", event["id"], sg.config.session_uuid)

def second(sg, logger, event, args):
    logger.info("second has %s", [event_id for _, event_id in args])
    assert args[-1][0] != id(sg)
    event.clear()
"""


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site with a project."""
    with Sandbox(api_key=KEY) as running:
        yield running


@pytest.fixture
def daemon(tmp_path: Path, site: Sandbox) -> RunningDaemon:
    """A daemon for that site, without plugins yet."""
    return RunningDaemon(tmp_path, site)


def test_a_classic_plugin_gets_its_events(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """With its own connections and loggers, in the order of registration."""
    text = SEEING.format(script=site.script_name, key=KEY, project=site.find("Project")[0]["id"])
    studio.write("studio/sees.py", text)
    daemon.log = paths_text(["studio"])
    daemon.feed = 'poll_interval = "50ms"\nstart = "now"\n'
    assert daemon.drain() == 0
    event = site.event("Shotgun_Task_Change", session_uuid=UUID)
    assert daemon.drain() == 0
    said = [
        (one["logger"], one["message"]) for one in daemon.told() if one["action"] == "plugin.log"
    ]
    assert said[:2] == [
        ("plugin.sees.first", f"first saw {event} in {UUID}"),
        ("plugin.sees.second", f"second has [{event}]"),
    ]
    assert "Traceback" not in daemon.output.read_text()


MAIN_THREAD = "import signal; signal.signal(signal.SIGALRM, signal.SIG_IGN)"


def test_a_lane_with_worker_processes_runs_classic_plugins(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """The files are executed in the worker processes, in the main thread, and filtered before."""
    studio.write_noting("studio/pid.py", match='{"Shotgun_Task_New": None}', deed=MAIN_THREAD)
    daemon.log = '[[groups]]\nname = "studio"\nlane = "apart"\n'
    daemon.log += '[lanes.apart]\nexecutor = "process"\nworkers = 2\norder_by = "entity"\n'
    daemon.log += paths_text(["studio"])
    daemon.feed = 'poll_interval = "50ms"\nstart = "now"\n'
    assert daemon.drain() == 0
    events = [site.event("Shotgun_Task_New") for _ in range(3)]
    site.event("Shotgun_Task_Change")
    assert daemon.drain() == 0
    assert sorted(noted.event_id for noted in daemon.noted()) == events
    assert not daemon.tells("callback.failed")


@pytest.mark.parametrize("stops", [True, False])
def test_an_error_pauses_the_plugin_or_sets_the_event_aside(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox, stops: bool
) -> None:
    """As `stopOnError` says, at the first failure; the others go on."""
    studio.write_noting("studio/fails.py", stop=stops, deed="raise ValueError('no')")
    studio.write_noting("studio/works.py")
    daemon.log = paths_text(["studio"])
    daemon.feed = 'poll_interval = "50ms"\nstart = "now"\n'
    assert daemon.drain() == 0
    events = [site.event("Shotgun_Task_New") for _ in range(25)]
    assert daemon.drain() == 0
    got = [noted.event_id for noted in daemon.noted() if noted.plugin == "classic:studio/fails"]
    assert got == (events[:1] if stops else events)
    assert len([noted for noted in daemon.noted() if noted.plugin.endswith("works")]) == 25
    assert daemon.tells("plugin.paused") is stops
    assert daemon.tells("callback.dead_lettered") is not stops
    failed = next(one for one in daemon.told() if "traceback" in one)
    assert "fails.py" in failed["traceback"]
    assert "sgevents_core" not in failed["traceback"]
