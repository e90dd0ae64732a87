"""What plugins leave behind: the process ends all the same, soon, and with its exit code."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_daemon import RunningDaemon
from waiting import PATIENCE, wait_until

from sgevents_core.errors import StateGone
from sgevents_core.sandbox import Sandbox

LEAVES = """
    import atexit, concurrent.futures, logging, threading, time
    from sgevents_core import hookimpl

    pool = concurrent.futures.ThreadPoolExecutor(1)

    def wait():
        time.sleep(999)

    @hookimpl
    def on_event(event, ctx):
        {act}
"""
HANGS = (
    "threading.Thread(target=wait, name='waits').start(), pool.submit(wait), atexit.register(wait)"
)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    """A daemon that has one plugin, and shows when it is called."""
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.install_writer("writes")
        yield daemon


def run_with(daemon: RunningDaemon, act: str) -> int:
    """Run it until an event is handled, and stop it; return its exit code."""
    daemon.install("leaves", LEAVES.format(act=act))
    event = daemon.site.event("Studio_Tick")
    with daemon.running() as process:
        wait_until(lambda: daemon.events_of("writes") == [event])
        return daemon.stop(process, signal.SIGTERM)


def test_end_does_not_wait_for_ever(daemon: RunningDaemon) -> None:
    """A thread that is no daemon, a pool at work and an `atexit` function hang: they are named."""
    assert run_with(daemon, HANGS) == 0
    assert [r["action"] for r in daemon.told()][-2:] == ["daemon.stopped", "daemon.left_behind"]
    assert "waits, ThreadPoolExecutor-0_0" in daemon.told()[-1]["message"]


def test_lock_of_logging_that_nobody_gives_back(daemon: RunningDaemon) -> None:
    """Telling what was left behind needs that lock; the process ends without."""
    assert run_with(daemon, "logging._lock.acquire()") == 0
    assert daemon.tells("daemon.stopped")


def test_pool_that_has_nothing_to_do_costs_nothing(daemon: RunningDaemon) -> None:
    """Python ends its threads; nobody is named."""
    assert run_with(daemon, "pool.submit(int).result()") == 0
    assert daemon.told()[-1]["action"] == "daemon.stopped"


def test_exit_code_of_an_error_is_kept(daemon: RunningDaemon) -> None:
    """Also where the end is not waited for."""
    daemon.install("leaves", LEAVES.format(act=HANGS))
    event = daemon.site.event("Studio_Tick")
    with daemon.running() as process:
        wait_until(lambda: daemon.events_of("writes") == [event])
        (daemon.folder / "state" / "lock").rename(daemon.folder / "lock")
        for file in (daemon.folder / "state").iterdir():
            file.unlink()
        (daemon.folder / "state").rmdir()
        assert process.wait(PATIENCE) == StateGone.exit_code
    assert daemon.tells("daemon.left_behind")


def test_shutdown_that_does_not_return(daemon: RunningDaemon) -> None:
    """It is left when its time is over; those of the others are called, and the exit code is 0."""
    hangs = """
    import time
    from sgevents_core import hookimpl

    @hookimpl
    def shutdown(ctx):
        time.sleep(999)
"""
    daemon.install("hangs", hangs, keys='load_timeout = "300ms"')
    daemon.install("later", hangs.replace("time.sleep(999)", "ctx.logger.info('is shut down')"))
    event = daemon.site.event("Studio_Tick")
    with daemon.running() as process:
        wait_until(lambda: daemon.events_of("writes") == [event])
        assert daemon.stop(process, signal.SIGTERM) == 0
    messages = [record["message"] for record in daemon.told()]
    assert "is shut down" in messages
    assert daemon.told()[-1]["action"] == "daemon.stopped"
    assert any(r["action"] == "hook.failed" and r["plugin"] == "hangs" for r in daemon.told())
