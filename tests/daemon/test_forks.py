"""The real daemon with a callback that forks: there is one daemon, whatever the children do."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox

FORKS = """
    import os, sys, time
    from sgevents_core import hookimpl

    @hookimpl
    def startup(ctx):
        if os.fork() == 0:
            raise ValueError("a child")

    @hookimpl
    def on_event(event, ctx):
        if os.fork() == 0:
            sys.exit(0)
        if os.fork() == 0:
            return
        if event.id == 1 and (child := os.fork()) == 0:
            time.sleep(600)
        elif event.id == 1:
            open({child!r}, "w").write(str(child))

    @hookimpl
    def shutdown(ctx):
        if os.fork() == 0:
            return
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    """A daemon with a plugin that forks at every turn; the child that stays is ended."""
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.install("forks", FORKS.format(child=str(tmp_path / "child")))
        daemon.install_writer("writes")
        yield daemon
    with suppress(OSError):
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_there_is_one_daemon(daemon: RunningDaemon) -> None:
    """Each event is handled once; SIGTERM ends it, and another starts beside a child that stays."""
    ids = [daemon.site.event("Studio_Tick") for _ in range(5)]
    with daemon.running() as process:
        wait_until(lambda: daemon.events_of("writes") == ids)
        assert daemon.stop(process) == 0
    actions = [record["action"] for record in daemon.told()]
    assert actions.count("daemon.started") == actions.count("daemon.stopped") == 1
    child = int((daemon.folder / "child").read_text())
    os.kill(child, 0)
    ids.append(daemon.site.event("Studio_Tick"))
    assert daemon.drain() == 0
    assert daemon.events_of("writes") == ids
    assert {noted.attempt for noted in daemon.noted()} == {1}
    os.kill(child, signal.SIGTERM)  # it heeds signals as any process does
    wait_until(lambda: has_ended(child))


def has_ended(process: int) -> bool:
    """Whether there is no such process, or only what is left of one."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"
