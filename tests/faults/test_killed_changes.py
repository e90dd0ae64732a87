"""The daemon killed at each step of replacing a lane whose classic files have changed."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from pathlib import Path

import pytest
from classic_files import ClassicStudio, paths_text
from forked_runs import Launcher, Run
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox

HASTY = """
import os, sys
sys.path.insert(0, {support!r})
import fail_points
from sgevents_core.classic import folder_watch
from sgevents_core.daemon import file_trials

vars(folder_watch).update(LOOK_EVERY=0.02, SETTLE_WITHIN=0.01)
file_trials.Trial = type("Passed", (), dict(
    __init__=lambda *_: None, start=lambda _: None, wait=lambda *_: True, close=lambda _: None,
    failures=lambda _: {{}}, deadly_failures=lambda _: {{}},
))
reach = fail_points._Points.reach
fail_points._Points.reach = lambda points, name: os.path.exists({flag!r}) and reach(points, name)
fail_points.arm(kill={kill!r}, trace={trace!r})
"""
"""Looks often, takes every file for one that loads, and counts points once files change."""
NOTING = """
import json, os

def registerCallbacks(reg):
    for callback in (first, second):
        reg.registerCallback("studio", "studio-demo-key", callback)

def note(event, name):
    calls = os.open({calls!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    line = json.dumps([{plugin!r}, name, event["id"]])
    os.write(calls, line.encode().ljust(63) + b"\\n")
    os.close(calls)

def first(sg, logger, event, args):
    note(event, "first")

def second(sg, logger, event, args):
    {deed}
    note(event, "second")
"""
FAILS = "if event['id'] == 2: raise ValueError('not yet')"


EXPECTED = Counter(
    (plugin, callback, event)
    for plugin, events in (("edited", 3), ("gone", 2), ("steady", 3))
    for event in range(1, events + 1)
    for callback in ("first", "second")
) + Counter([("comes", "first", 3), ("comes", "second", 3)])
"""All calls that return: each once. The plugin `gone` is not there for the third event."""
FIRST, BEFORE, MENDED = 6, 11, 12
"""How many of them there are before the second event, before files change, and before the third.

The plugin `edited` waits at the second event, of another entity than the others.
"""
WORKERS = {"one worker": 1, "three workers": 3}
LANE = '[lanes.default]\nworkers = {}\norder_by = "entity"\n'
ELSEWHERE = re.compile(
    r"ageing|inbox|feed|figure|(now|running).json|\.calls|connect|close$|wal_mode"
)
"""The points of what goes on beside the lanes, and of connections."""


class Scene:
    """A daemon whose files change: one that fails is corrected, one goes, one comes.

    Args:
        folder: Where everything lives.
        launcher: Starts daemons.
        site: The site, without events.
        workers: How many workers the lane has.
    """

    def __init__(self, folder: Path, launcher: Launcher, site: Sandbox, workers: int = 1) -> None:
        folder.mkdir()
        self._folder = folder
        self._launcher = launcher
        self._site = site
        self._studio = ClassicStudio(folder)
        self._daemon = RunningDaemon(folder, site)
        self._daemon.log = paths_text(["studio"])
        if workers > 1:
            self._daemon.log += LANE.format(workers)
        self._trace, self._flag = folder / "trace.txt", folder / "changing"

    def play(self, kill: str = "") -> tuple[int, list[str]]:
        """Play it, with a kill at a point; return the exit code, and the points of the change."""
        self._event(entity=1)
        for name in ("edited", "gone", "steady"):
            self._write(name, FAILS if name == "edited" else "pass")
        run = self._start(kill)
        wait_until(lambda: self.calls().total() == FIRST)
        self._event(entity=2)
        wait_until(lambda: self._paused() and self.calls().total() == BEFORE)
        self._flag.touch()
        self._write("edited", "pass")
        self._write("comes", "pass")
        (self._folder / "studio" / "gone.py").unlink()
        wait_until(lambda: self.calls().total() >= MENDED or not run.lives())
        points = self._trace.read_text().splitlines()
        self._event(entity=1)
        wait_until(lambda: self.calls().total() >= EXPECTED.total() or not run.lives())
        code = run.stop()
        if code == -signal.SIGKILL:
            assert self._launcher.start(self._daemon, "--drain").wait() == 0
        return code, [point for point in points if not ELSEWHERE.search(point)]

    def calls(self) -> Counter[tuple[str, str, int]]:
        """Return the calls made so far: plugin, callback, event."""
        path = self._daemon.calls
        lines = path.read_text().splitlines() if path.exists() else []
        return Counter(tuple(json.loads(line)) for line in lines)

    def _event(self, entity: int) -> None:
        self._site.event("Studio_A", meta={"entity_type": "Task", "entity_id": entity})

    def _paused(self) -> bool:
        return self._daemon.output.exists() and self._daemon.tells("plugin.paused")

    def _start(self, kill: str) -> Run:
        before = HASTY.format(
            support=str(Path(__file__).parent.parent / "support"),
            flag=str(self._flag),
            trace=str(self._trace),
            kill=kill,
        )
        return self._launcher.start(self._daemon, before=before)

    def _write(self, name: str, deed: str) -> None:
        calls = str(self._daemon.calls)
        self._studio.write(f"studio/{name}.py", NOTING.format(calls=calls, plugin=name, deed=deed))


@pytest.mark.parametrize("lane", WORKERS)
def test_kill_while_a_lane_is_replaced(lane: str, tmp_path: Path, launching: Launcher) -> None:
    """Killed behind each write of the change, the next start loses nothing.

    The corrected plugin continues at the callback that failed, the new one begins behind the events
    before it, and at most the call that each worker was making is made again.
    """
    workers = WORKERS[lane]
    with Sandbox(project=False) as site:
        scene = Scene(tmp_path / "whole", launching, site, workers)
        code, points = scene.play()
    assert (code, scene.calls()) == (0, EXPECTED)
    written = [point for point in dict.fromkeys(points) if point.startswith("after")]
    assert {"after recovering._resume_changed: COMMIT", "after recovering._take_lane: COMMIT"} <= {
        *written
    }
    for number, point in enumerate(written):
        with Sandbox(project=False) as site:
            scene = Scene(tmp_path / str(number), launching, site, workers)
            code, _ = scene.play(point)
        assert code in {0, -signal.SIGKILL}, point  # one that does not recur is no kill
        missing, repeated = EXPECTED - scene.calls(), scene.calls() - EXPECTED
        assert not missing, (point, missing)
        assert repeated.total() <= workers, (point, repeated)
