"""The daemon killed at each step of taking up a lane whose worker processes came late."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections import Counter
from pathlib import Path

from forked_runs import Launcher, Run
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox

LATE_START = """
import sys
sys.path.insert(0, {support!r})
import fail_points
from sgevents_core.calling.outcome import RaisedError
from sgevents_core.children import failed_lanes
from sgevents_core.children.lane_workers import LaneWorkers

starts, start, reach = [], LaneWorkers.start, fail_points._Points.reach

def start_late(workers):
    starts.append(workers)
    return start(workers) if len(starts) > 1 else RaisedError("OSError", "no process could start")

LaneWorkers.start = start_late
failed_lanes.FIRST_PAUSE = 0.01
fail_points._Points.reach = lambda points, name: len(starts) > 1 and reach(points, name)
fail_points.arm(kill={kill!r}, trace={trace!r})
"""
"""Lets the first start of the lane's processes fail, and counts points from the second on."""
WORKERS = 2
ELSEWHERE = re.compile(r"ageing|inbox|feed|figure|json|\.calls|connect|close$|wal_mode")
"""The points of what goes on beside the lanes, and of connections."""
EVENTS = 4


class Scene:
    """A daemon with a lane that runs from the start, and one that comes late.

    Args:
        folder: Where everything lives.
        launcher: Starts daemons.
        site: The site, without events.
    """

    def __init__(self, folder: Path, launcher: Launcher, site: Sandbox) -> None:
        folder.mkdir()
        self._launcher = launcher
        self._site = site
        self._daemon = RunningDaemon(folder, site)
        self._trace = folder / "trace.txt"
        self._daemon.install_writer("early", "day")
        self._daemon.install_writer("late", "night")
        self._daemon.log = (
            '[[groups]]\nname = "day"\n[[groups]]\nname = "night"\nlane = "night"\n'
            f'[lanes.night]\nexecutor = "process"\nworkers = {WORKERS}\norder_by = "entity"\n'
        )

    def play(self, kill: str = "") -> tuple[int, list[str]]:
        """Play it, with a kill at a point; return the exit code, and the points of the change."""
        for _ in range(EVENTS // 2):
            self._event()
        run = self._start(kill)
        wait_until(lambda: self.calls().total() >= EVENTS or not run.lives())
        for _ in range(EVENTS // 2):
            self._event()
        wait_until(lambda: self.calls().total() >= 2 * EVENTS or not run.lives())
        points = self._trace.read_text().splitlines()
        code = run.stop()
        if code == -signal.SIGKILL:
            assert self._start_again() == 0
        return code, [point for point in points if not ELSEWHERE.search(point)]

    def calls(self) -> Counter[tuple[str, int]]:
        """Return the calls made so far: plugin and event."""
        return Counter((note.plugin, note.event_id) for note in self._daemon.noted())

    def _event(self) -> None:
        entity_id = len(self._site.event_rows()) % 2
        self._site.event("Studio_A", meta={"entity_type": "Task", "entity_id": entity_id})

    def _start(self, kill: str) -> Run:
        support = str(Path(__file__).parent.parent / "support")
        before = LATE_START.format(support=support, trace=str(self._trace), kill=kill)
        return self._launcher.start(self._daemon, before=before, PYTHONPATH=self._path())

    def _start_again(self) -> int:
        return self._launcher.start(self._daemon, "--drain", PYTHONPATH=self._path()).wait()

    def _path(self) -> str:
        return os.pathsep.join([str(self._daemon.packages.folder), *filter(None, sys.path)])


EXPECTED = Counter(
    (plugin, event_id) for plugin in ("early", "late") for event_id in range(1, EVENTS + 1)
)


def test_kill_while_a_late_lane_starts(tmp_path: Path, launching: Launcher) -> None:
    """Killed behind each write, the next start loses nothing.

    The plugins of the late lane get the events from before their processes could be started, and at
    most the call that each worker was making is made again.
    """
    with Sandbox(project=False) as site:
        scene = Scene(tmp_path / "whole", launching, site)
        code, points = scene.play()
    assert (code, scene.calls()) == (0, EXPECTED)
    written = [point for point in dict.fromkeys(points) if point.startswith("after")]
    assert {"after recovering._record_start: COMMIT", "after recovering._take_lane: COMMIT"} <= {
        *written
    }
    for number, point in enumerate(written):
        with Sandbox(project=False) as site:
            scene = Scene(tmp_path / str(number), launching, site)
            code, _ = scene.play(point)
        assert code in {0, -signal.SIGKILL}, point  # one that does not recur is no kill
        missing, repeated = EXPECTED - scene.calls(), scene.calls() - EXPECTED
        assert not missing, (point, missing)
        assert repeated.total() <= WORKERS + 1, (point, repeated)  # the other lane has one too
