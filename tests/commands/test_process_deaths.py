"""Callbacks that end the process: known by what they leave behind, given up after two deaths."""

from __future__ import annotations

import signal
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.journal.letters import Letter, Letters
from sgevents_core.sandbox import Sandbox

KILLER = """
    import ctypes, os, signal
    from sgevents_core import hookimpl

    _file = os.open({calls!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @hookimpl
    def on_event(event, ctx):
        os.write(_file, f"{{event.id}} {{ctx.plugin}} every {{ctx.attempt}}\\n".encode())
        if event.event_type == "Studio_Deadly":
            {deed}
"""
DEEDS = {
    "exit": ("os._exit(3)", "os._exit(3)", 3),
    "segfault": ("ctypes.string_at(0)", "Segmentation fault", -signal.SIGSEGV),
    "suicide": ("os.kill(os.getpid(), signal.SIGKILL)", "os.kill", -signal.SIGKILL),
}


def _has_noted(daemon: RunningDaemon, calls: int) -> bool:
    return len(daemon.noted()) == calls


def letters(daemon: RunningDaemon) -> list[Letter]:
    """The dead letters there are."""
    with closing(Letters(daemon.folder / "state")) as found:
        return found.find()


@pytest.mark.parametrize("deed", DEEDS)
def test_callback_that_kills_the_process_is_dead_lettered(tmp_path: Path, deed: str) -> None:
    """Two starts die in it; the third keeps it as a dead letter that says how, and goes on.

    The plugins before and behind it get every event, the one behind only once the killer is out of
    the way.
    """
    code, told, ended = DEEDS[deed]
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.install_writer("alpha")
        daemon.install("killer", KILLER.format(calls=str(daemon.calls), deed=code))
        daemon.install_writer("zulu")
        ids = [site.event(kind) for kind in ("Studio_A", "Studio_Deadly", "Studio_B")]
        for _ in range(2):
            assert daemon.drain() == ended
        assert letters(daemon) == []
        assert daemon.drain() == 0
        (letter,) = letters(daemon)
    assert letter.failure.plugin == "killer"
    assert letter.failure.event_id == ids[1]
    assert told in letter.failure.error
    assert "on_event" in letter.failure.traceback
    assert b"Studio_Deadly" in letter.body
    assert daemon.events_of("killer") == [ids[0], ids[1], ids[1], ids[2]]
    assert daemon.events_of("alpha") == ids
    assert daemon.events_of("zulu") == ids


SLOW = """
    import os, pathlib, time
    from sgevents_core import hookimpl

    _file = os.open({calls!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @hookimpl
    def on_event(event, ctx):
        os.write(_file, f"{{event.id}} {{ctx.plugin}} every {{ctx.attempt}}\\n".encode())
        while not pathlib.Path({go!r}).exists():
            time.sleep(0.005)
"""


def test_kills_from_outside_make_no_dead_letter(tmp_path: Path) -> None:
    """Killed four times in the same slow callback, the call is made a fifth time, and succeeds."""
    go = tmp_path / "go"
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.install("slow", SLOW.format(calls=str(daemon.calls), go=str(go)))
        event = site.event("Studio_A")
        for turn in range(1, 5):
            with daemon.running() as process:
                wait_until(partial(_has_noted, daemon, turn))
                process.kill()
        go.touch()
        assert daemon.drain() == 0
        assert [note.attempt for note in daemon.noted()] == [1, 2, 3, 4, 5]
        assert daemon.events_of("slow") == [event] * 5
        assert letters(daemon) == []
        assert daemon.drain() == 0
    assert len(daemon.noted()) == 5
