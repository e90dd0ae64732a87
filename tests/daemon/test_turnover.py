"""A daemon that takes and gives up lanes and the feed while it runs, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from forked_runs import Launcher, Run, launcher
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox
from sgevents_core.state.opening import open_state

CHANGING_WORK = """
import pathlib
import sgevents_core.daemon.resources as resources
from sgevents_core.hosts.work import Everything

wanted_file = pathlib.Path({wanted!r})

class ChangingWork(Everything):
    is_shared = True

    def wanted(self):
        return wanted_file.read_text().split()

    def right_to(self, work_name):
        return lambda: True

    def leave(self):
        wanted_file.write_text("")

resources.open_work = lambda state, settings, lane_names, files: ChangingWork(lane_names)
"""
"""Lets a file say what the process is to work at."""
FAILING_ONCE = """
import sys
from sgevents_core.errors import StateError
from sgevents_core.requests.inbox import Inbox

fails_file = pathlib.Path({fails!r})
poll = Inbox.poll

def fail_once(inbox):
    if sys._getframe(1).f_code.co_name == "_begin_lane" and fails_file.exists():
        fails_file.unlink()
        raise StateError(path="nats://nowhere", reason="it does not answer")
    poll(inbox)

Inbox.poll = fail_once
"""
"""Lets the state be away in the moment in which a lane has been taken, if a file says so."""
STARTED = """
    from sgevents_core import hookimpl

    @hookimpl
    def startup(ctx):
        ctx.logger.info("it starts")
        ctx.store["starts"] = ctx.store.get("starts", 0) + 1

    @hookimpl
    def shutdown(ctx):
        ctx.store["ends"] = ctx.store.get("ends", 0) + 1

    @hookimpl
    def on_event(event, ctx):
        ctx.store["events"] = [*ctx.store.get("events", ()), event.id]
"""
PROCESSES = """
    import os
    from sgevents_core import hookimpl

    def _note(what):
        with open({notes!r}, "a") as file:
            file.write(f"{{what}} {{os.getpid()}}\\n")

    @hookimpl
    def startup(ctx):
        _note("starts")

    @hookimpl
    def shutdown(ctx):
        _note("ends")

    @hookimpl
    def on_event(event, ctx):
        pass
"""
"""A plugin that notes in which processes it is started and shut down."""


class Turnover:
    """A daemon of two lanes, and the file that says what it is to work at."""

    def __init__(self, folder: Path, site: Sandbox, launching: Launcher) -> None:
        self.site = site
        self.daemon = RunningDaemon(folder, site)
        self.daemon.install("day", STARTED, "first")
        self.daemon.install("night", STARTED, "second")
        self.daemon.log = (
            '[[groups]]\nname = "first"\n[[groups]]\nname = "second"\nlane = "other"\n'
            '[log]\nlevel = "info"\n'
        )
        self.state = folder / "state"
        self._wanted = folder / "wanted"
        self.fails = folder / "fails"
        self._launching = launching

    def want(self, *work_names: str) -> None:
        """Say what it is to work at."""
        new_file = self._wanted.with_suffix(".new")
        new_file.write_text(" ".join(work_names))
        new_file.replace(self._wanted)

    def start(self) -> Run:
        """Start it."""
        before = CHANGING_WORK.format(wanted=str(self._wanted))
        before += FAILING_ONCE.format(fails=str(self.fails))
        return self._launching.start(self.daemon, before=before)

    def event(self) -> None:
        """Let something happen on the site."""
        self.site.event("Studio_Ping")

    def store(self, plugin: str) -> dict[str, int | list[int]]:
        """Return what a plugin has counted."""
        with closing(open_state(self.state).reader()) as state:
            return state.store(plugin)

    def has(self, plugin: str, count: int, *, starts: int, ends: int = 0) -> bool:
        """Return whether a plugin has got events 1 to `count`, and was started so often."""
        store = self.store(plugin)
        return (store.get("events", []), store.get("starts", 0), store.get("ends", 0)) == (
            list(range(1, count + 1)),
            starts,
            ends,
        )

    def actions(self) -> list[str]:
        """Return what was logged so far."""
        return [record["action"] for record in self.daemon.told()]


@pytest.fixture(scope="module")
def launching() -> Iterator[Launcher]:
    """Starts daemons."""
    with launcher() as started:
        yield started


@pytest.fixture
def turnover(tmp_path: Path, launching: Launcher) -> Iterator[Turnover]:
    """A daemon that is to work at nothing yet."""
    with Sandbox(project=False) as site:
        made = Turnover(tmp_path, site, launching)
        made.want()
        made.daemon.output.touch()
        yield made


def test_lanes_and_the_feed_begin_and_end_while_the_daemon_runs(turnover: Turnover) -> None:
    """Each continues where it was, its plugins are started and shut down each time; no other stops.

    Requests about a plugin are carried out once its lane is here.
    """
    run = turnover.start()
    wait_until(lambda: "daemon.started" in turnover.actions())
    turnover.want("feed", "lane.default", "lane.other")
    wait_until(lambda: turnover.actions().count("lane.taken") == 2)
    turnover.event()
    wait_until(lambda: turnover.has("day", 1, starts=1) and turnover.has("night", 1, starts=1))
    turnover.want("feed", "lane.other")
    wait_until(lambda: turnover.has("day", 1, starts=1, ends=1))
    turnover.event()
    wait_until(lambda: turnover.has("night", 2, starts=1))
    assert turnover.has("day", 1, starts=1, ends=1)
    with closing(open_state(turnover.state).requests()) as requests:
        number = requests.ask("pause", "day", {}, "somebody")
        turnover.event()
        wait_until(lambda: turnover.has("night", 3, starts=1))
        assert requests.answer_of(number) is None
        turnover.want("lane.default", "lane.other")
        wait_until(lambda: requests.answer_of(number) is not None)
        turnover.event()
        number = requests.ask("resume", "day", {}, "somebody")
        wait_until(lambda: turnover.has("day", 3, starts=2, ends=1))
        assert turnover.has("night", 3, starts=1)  # nobody follows the site
    turnover.want("feed", "lane.default", "lane.other")
    wait_until(lambda: turnover.has("day", 4, starts=2, ends=1))
    wait_until(lambda: turnover.has("night", 4, starts=1))
    assert run.stop() == 0
    assert turnover.has("day", 4, starts=2, ends=2)
    assert turnover.has("night", 4, starts=1, ends=1)
    assert turnover.actions().count("lane.taken") == 3


def test_lane_that_somebody_else_has_taken_ends_alone(turnover: Turnover) -> None:
    """It records nothing more, the daemon goes on, and takes it again when it is to."""
    turnover.want("feed", "lane.default", "lane.other")
    run = turnover.start()
    wait_until(lambda: "daemon.started" in turnover.actions())
    turnover.event()
    wait_until(lambda: turnover.has("day", 1, starts=1) and turnover.has("night", 1, starts=1))
    with closing(open_state(turnover.state).lane_writer()) as state:
        state.take_lane("default")
    turnover.event()
    wait_until(lambda: "lane.given_up" in turnover.actions())
    wait_until(lambda: turnover.has("night", 2, starts=1))
    wait_until(lambda: turnover.has("day", 2, starts=2))  # its `shutdown` could write nothing
    (given_up,) = [one for one in turnover.daemon.told() if one["action"] == "lane.given_up"]
    assert (given_up["level"], given_up["lane"]) == ("warning", "default")
    assert run.stop() == 0
    assert turnover.has("day", 2, starts=2, ends=1)


def test_lane_that_cannot_be_begun_is_given_up_whole_and_tried_again(turnover: Turnover) -> None:
    """Its plugins are shut down; a stop right then finds nothing of it left."""
    turnover.want("feed", "lane.other")
    run = turnover.start()
    wait_until(lambda: "daemon.started" in turnover.actions())
    turnover.fails.touch()
    turnover.want("feed", "lane.default", "lane.other")
    wait_until(lambda: "hosts.not_taken" in turnover.actions())
    turnover.want("feed", "lane.other")
    turnover.event()
    wait_until(lambda: turnover.has("night", 1, starts=1))
    assert turnover.has("day", 0, starts=1, ends=1)
    assert run.stop() == 0
    turnover.fails.touch()
    turnover.want("feed", "lane.default", "lane.other")
    run = turnover.start()
    wait_until(lambda: turnover.has("day", 1, starts=2, ends=1))
    turnover.want("feed", "lane.other")
    wait_until(lambda: turnover.has("day", 1, starts=2, ends=2))
    turnover.want("feed", "lane.default", "lane.other")
    wait_until(lambda: turnover.actions().count("hosts.not_taken") == 2)
    turnover.event()
    wait_until(lambda: turnover.has("day", 2, starts=4, ends=3))
    assert run.stop() == 0
    assert turnover.has("day", 2, starts=4, ends=4)


def test_every_worker_process_of_a_lane_that_is_given_up_is_shut_down(turnover: Turnover) -> None:
    """And started again when the lane comes back: nothing in memory is older than the lane."""
    notes = turnover.state.with_name("notes")
    notes.touch()
    turnover.daemon.install("farm", PROCESSES.format(notes=str(notes)), "third")
    turnover.daemon.log += '[[groups]]\nname = "third"\nlane = "farm"\n'
    turnover.daemon.log += '[lanes.farm]\nworkers = 3\norder_by = "entity"\nexecutor = "process"\n'

    def pids_of(what: str) -> list[str]:
        lines = notes.read_text().splitlines()
        return [line.split()[1] for line in lines if line.startswith(what)]

    run = turnover.start()
    for round_number in (1, 2):
        turnover.want("lane.farm")
        wait_until(lambda: len(pids_of("starts")) == 3 * round_number)  # noqa: B023 - used at once
        turnover.want()
        wait_until(lambda: turnover.actions().count("lane.given_up") == round_number)  # noqa: B023
        assert sorted(pids_of("ends")) == sorted(pids_of("starts"))
    assert len(set(pids_of("starts"))) == 5  # the first process has loaded the plugin, and stays
    assert run.stop() == 0
