"""A process that ends in the middle: by what a callback does, by the system, by a person."""

from __future__ import annotations

import os
import resource
import signal

import pytest
from fault_scene import Scene
from reliability import GROUPS, Reliability

GROUP = GROUPS[4]
DEADLY = """if event.event_type == "Studio_Deadly":
            import ctypes, os, signal
            {deed}"""
WAITING = """import pathlib, time
        while not pathlib.Path({go!r}).exists():
            time.sleep(0.005)
        note(event, ctx, "returned")"""
DEATHS = [
    ("A callback segfaults", "ctypes.string_at(0)", -signal.SIGSEGV),
    ("A callback calls os._exit", "os._exit(3)", 3),
    ("A callback aborts the process", "os.abort()", -signal.SIGABRT),
    ("A callback kills the process", "os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
]


@pytest.mark.parametrize(("fault", "deed", "code"), DEATHS)
def test_callbacks_that_end_the_process(
    scene: Scene, reliability: Reliability, fault: str, deed: str, code: int
) -> None:
    """After two deaths that call is a dead letter; no other plugin is called twice."""
    scene.install("mike", DEADLY.format(deed=deed))
    owed = scene.events(3)
    deadly = scene.site.event("Studio_Deadly")
    owed += [deadly, *scene.events(3)]
    assert [scene.drain() for _ in range(2)] == [code, code]
    assert scene.drain() == 0
    measured = scene.finished(owed)
    assert [letter.failure.event_id for letter in scene.letters("mike")] == [deadly]
    assert scene.measured([*owed, deadly], ["mike"]) == (0, 0)
    reliability.row(GROUP, fault, f"`{deed}`, until it is given up", 2, *measured)


def test_memory_limit(scene: Scene, reliability: Reliability) -> None:
    """Where the process may have no more memory, a callback that takes it all fails alone."""
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (750 << 20, 750 << 20))\n"
    scene.install("mike", "hoard = [bytes(1 << 27) for _ in range(1000)]")
    owed = scene.events(3)
    assert scene.drain(before=limit) == 0
    measured = scene.finished(owed)
    failures = [letter.failure for letter in scene.letters("mike")]
    assert [failure.event_id for failure in failures] == owed
    assert {failure.error for failure in failures} == {"MemoryError"}
    reliability.row(
        GROUP,
        "Memory runs out in a callback",
        "takes 128 GB in a process that is limited to 750 MB",
        3,
        *measured,
    )


def test_kills(scene: Scene, reliability: Reliability) -> None:
    """A kill repeats at most the callback in hand."""
    scene.daemon.feed = 'poll_interval = "10ms"\nstart = 1\n'
    scene.install("mike", "import time; time.sleep(0.001)")
    owed = scene.events(400)
    kills = 5
    for turn in range(1, kills + 1):
        run = scene.start()
        scene.until(lambda: scene.daemon.calls_noted() > turn * 200, "it works")  # noqa: B023 - called within the loop
        run.kill()
        assert run.wait() == -signal.SIGKILL
        late = scene.site.late()
        owed += scene.events(5)
        owed += late.commit()
    run = scene.start()
    scene.wait_for(owed)
    scene.wait_for(owed, "mike")
    assert run.stop() == 0
    assert scene.drain() == 0
    lost, repeated = scene.measured(owed, ["alpha", "mike", "zulu"])
    reliability.row(
        GROUP,
        "kill -9 while callbacks run",
        "three plugins, 400 events, a kill after every 200 calls",
        kills,
        lost,
        repeated,
        allowed=kills,
        window="at most one call per kill",
    )


def test_kill_in_the_middle_of_a_callback(scene: Scene, reliability: Reliability) -> None:
    """The callback that had not returned is called again, and nobody else."""
    go = scene.daemon.folder / "go"
    scene.install("mike", WAITING.format(go=str(go)))
    owed = scene.events(2)
    for turn in range(1, 4):
        run = scene.start()
        scene.until(lambda: len(scene.daemon.events_of("mike")) == turn, "it is called")  # noqa: B023 - called within the loop
        run.kill()
    go.touch()
    measured = scene.finished(owed)
    lost, repeated = scene.measured(owed, ["mike"])
    assert (measured, repeated) == ((0, 0), 3)
    reliability.row(
        GROUP,
        "kill -9 during a callback",
        "the same call, killed before it returned",
        3,
        lost,
        repeated,
        allowed=3,
        window="that one call, once per kill",
    )


@pytest.mark.parametrize(
    ("fault", "number"),
    [("SIGTERM during a callback", signal.SIGTERM), ("Ctrl-C during a callback", signal.SIGINT)],
)
def test_stopped_within_a_callback(
    scene: Scene, reliability: Reliability, fault: str, number: signal.Signals
) -> None:
    """The callback in hand is finished and noted first."""
    go = scene.daemon.folder / "go"
    scene.install("mike", WAITING.format(go=str(go)))
    owed = scene.events(3)
    run = scene.start()
    scene.until(lambda: len(scene.daemon.events_of("mike")) == 1, "it is called")
    os.kill(run.pid, number)
    scene.wait_told("daemon.stopping")
    go.touch()
    assert run.wait() == 0
    assert scene.daemon.events_of("mike") == owed[:1]
    measured = scene.finished(owed)
    assert scene.measured(owed, ["mike"]) == (0, 0)
    reliability.row(GROUP, fault, "it returns after the signal", 1, *measured)


def test_full_disk(scene: Scene, reliability: Reliability) -> None:
    """Nothing goes on while nothing can be written, and everything does when it can."""
    scene.daemon.feed = 'poll_interval = "20ms"\nstart = 1\n'
    owed = list(scene.site.fill(2_500))
    run = scene.start()
    scene.wait_for(owed)
    noted = max(path.stat().st_size for path in (scene.daemon.calls, scene.daemon.output))
    limit = noted + 100_000
    assert (scene.daemon.folder / "state" / "sgevents.db-wal").stat().st_size > limit
    before = resource.prlimit(run.pid, resource.RLIMIT_FSIZE)
    for turn in range(1, 4):
        resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (limit, before[1]))
        owed += scene.events(3)
        scene.wait_told("feed.not_written", turn)
        assert run.lives()
        resource.prlimit(run.pid, resource.RLIMIT_FSIZE, before)
        scene.wait_told("feed.written", turn)
        scene.wait_for(owed)
    measured = scene.finish(run, owed)
    reliability.row(
        GROUP,
        "The disk is full",
        "no file of the process may grow, while rows are written",
        3,
        *measured,
    )


def test_full_disk_and_kill(scene: Scene, reliability: Reliability) -> None:
    """Killed while nothing can be written, it repeats at most the callback in hand."""
    scene.daemon.feed = 'poll_interval = "20ms"\nstart = 1\n'
    owed = list(scene.site.fill(2_500))
    run = scene.start()
    scene.wait_for(owed)
    noted = max(path.stat().st_size for path in (scene.daemon.calls, scene.daemon.output))
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (noted + 100_000, -1))
    owed += scene.events(3)
    scene.wait_told("feed.not_written")
    run.kill()
    lost, repeated = scene.finished(owed)
    reliability.row(
        GROUP,
        "kill -9 while the disk is full",
        "no file of the process may grow when it is killed",
        1,
        lost,
        repeated,
        allowed=1,
        window="at most one call per kill",
    )
