"""Callbacks that end the process: known by what they leave behind, given up after two deaths."""

from __future__ import annotations

import signal
from contextlib import closing
from functools import partial
from pathlib import Path

from commanding import installed_here
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox
from sgevents_core.state.letters import Letter
from sgevents_core.state.opening import open_state

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
    "exits": ("os._exit(3)", "os._exit(3)", 3),
    "segfaults": ("ctypes.string_at(0)", "Segmentation fault", -signal.SIGSEGV),
    "kills_itself": ("os.kill(os.getpid(), signal.SIGKILL)", "os.kill", -signal.SIGKILL),
}
"""Name of a plugin -> what it does, what is told of that, and how the process ends."""


def letters(daemon: RunningDaemon) -> list[Letter]:
    """The dead letters there are."""
    with closing(open_state(daemon.folder / "state").letters()) as found:
        return found.find()


def test_callbacks_that_kill_the_process_are_dead_lettered(tmp_path: Path) -> None:
    """Two starts die in each; the next keeps it as a dead letter that says how, and goes on.

    The plugins before and behind get every event, once, and the killers all others.
    """
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.install_writer("alpha")
        for name, (code, _, _) in DEEDS.items():
            daemon.install(name, KILLER.format(calls=str(daemon.calls), deed=code))
        daemon.install_writer("zulu")
        ids = [site.event(kind) for kind in ("Studio_A", "Studio_Deadly", "Studio_B")]
        for place, (name, (_, _, ended)) in enumerate(sorted(DEEDS.items())):
            for _ in range(2):
                assert daemon.drain() == ended, name
                assert len(letters(daemon)) == place
        assert daemon.drain() == 0
    assert [one.failure.plugin for one in letters(daemon)] == sorted(DEEDS)
    for letter in letters(daemon):
        assert DEEDS[letter.failure.plugin][1] in letter.failure.error
        assert (letter.failure.event_id, letter.failure.attempt) == (ids[1], 2)
        assert "on_event" in letter.failure.traceback
        assert b"Studio_Deadly" in letter.body
        assert daemon.events_of(letter.failure.plugin) == [ids[0], ids[1], ids[1], ids[2]]
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


def _has_noted(daemon: RunningDaemon, calls: int) -> bool:
    return len(daemon.noted()) == calls


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
        with installed_here(daemon) as sgevents:
            for _ in range(2):
                assert sgevents("run", "--drain").code == 0
    assert [note.attempt for note in daemon.noted()] == [1, 2, 3, 4, 5]
    assert daemon.events_of("slow") == [event] * 5
    assert letters(daemon) == []
