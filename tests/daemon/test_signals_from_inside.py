"""Signals that plugins send to the daemon: only people and the system stop it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.daemon.signals import stopped_by_signals
from sgevents_core.errors import SignalInDoubt
from sgevents_core.observe.signal_mask import release_signals
from sgevents_core.sandbox import Sandbox

NOTING = """
    import _thread, ctypes, multiprocessing, os, signal, subprocess, sys, threading, time
    from sgevents_core import hookimpl

    _file = os.open({calls!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @hookimpl
    def startup(ctx):
        {startup}

    @hookimpl
    def on_event(event, ctx):
        found = {act}
        os.write(_file, f"{{event.id}} {{ctx.plugin}} {{found}} {{ctx.attempt}}\\n".encode())
"""
TIMER = "[(t := threading.Timer(0, _thread.interrupt_main)), t.start(), t.join()]"
SELF = {
    "kills": ("os.kill(os.getpid(), signal.SIGTERM)", "os.kill(SIGTERM)"),
    "interrupts": ("_thread.interrupt_main()", "_thread.interrupt_main(SIGINT)"),
    "times": (TIMER + " and None", "_thread.interrupt_main(SIGINT)"),
    "raises": ("signal.raise_signal(signal.SIGINT)", "signal.raise_signal(SIGINT)"),
    "main": (
        "signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)",
        "signal.pthread_kill(SIGTERM)",
    ),
    "stops": ("os.kill(os.getpid(), signal.SIGSTOP)", "os.kill(SIGSTOP)"),
    "hangsup": ("os.kill(os.getpid(), signal.SIGHUP)", "os.kill(SIGHUP)"),
    "group": ("os.killpg(0, signal.SIGTERM)", "SIGTERM"),
    "everyone": ("os.kill(0, signal.SIGINT)", "SIGINT"),
    "library": ("ctypes.CDLL(None).kill(os.getpid(), signal.SIGTERM) or None", "SIGTERM"),
}
"""Plugin -> what it does to its own process, and the signal that is told of."""
BY_PYTHON = {name: what for name, (_, what) in SELF.items() if "." in what}
"""Those told of at each call, by the name of the function; of others the system makes two one."""
CHILD = "subprocess.run(['/bin/sh', '-c', {!r}], input=b'go\\n').returncode"
CHILDREN = {
    "child": CHILD.format("read go; kill -TERM $PPID; exit 5"),
    "together": CHILD.format("trap 'exit 5' TERM; read go; kill -TERM 0; exit 6"),
    "system": "os.system('kill -INT $PPID; exit 5') // 256",
}
"""Plugin -> how it lets a child do so; what comes of it is noted, 5."""
ALARMS = {
    "alarm": "signal.setitimer(signal.ITIMER_REAL, 0.001) and None",
    "user": "signal.raise_signal(signal.SIGUSR1)",
    "power": "os.kill(os.getpid(), signal.SIGPWR)",
    "real_time": "os.kill(os.getpid(), signal.SIGRTMIN + 3)",
}
MASK = "signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ())"
MASKING = {
    "tracker": f"[multiprocessing.get_context('spawn').Lock(), {MASK}][1]",
    "unblocks": f"[signal.pthread_sigmask(signal.SIG_UNBLOCK, [15]), {MASK}][1]",
    "sets": f"[signal.pthread_sigmask(signal.SIG_SETMASK, []), {MASK}][1]",
}
"""Plugin -> how it would let a signal come to its own thread, where nobody hears who sent it."""
USUAL = {
    "ends": "subprocess.call(['/bin/sh', '-c', 'kill -TERM $$; exit 5'])",
    "popen": "[(p := subprocess.Popen(['sleep', '60'])), p.terminate(), p.wait()][2]",
    "forked": "[(p := multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,)))"
    ", p.start(), p.terminate(), p.join(), p.exitcode][4]",
    "raw": "[(p := os.fork()) or time.sleep(60), os.kill(p, 15), -os.waitpid(p, 0)[1]][2]",
    "run": "-(os.system('kill -TERM $$'))",
}
"""Plugin -> how it ends a child by a signal; what comes of it is noted, -15."""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    """A daemon that has no plugins yet, in a group of processes of its own."""
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.under = ("setsid",)
        yield daemon


def install(daemon: RunningDaemon, name: str, act: str, startup: str = "pass") -> None:
    """Install a plugin that does something for each event, and notes what came of it."""
    daemon.install(name, NOTING.format(calls=str(daemon.calls), act=act, startup=startup))


def results(daemon: RunningDaemon, event: int) -> dict[str, str]:
    """What each plugin noted for an event."""
    return {n.plugin: n.callback for n in daemon.noted() if n.event_id == event}


def has_all(daemon: RunningDaemon, event: int, plugins: list[str]) -> bool:
    """Whether all plugins noted something for an event."""
    return results(daemon, event).keys() == {*plugins}


def ignored(daemon: RunningDaemon) -> list[dict[str, Any]]:
    """The records of signals that were ignored."""
    return [record for record in daemon.told() if record["action"] == "signal.ignored"]


def untold(daemon: RunningDaemon) -> set[str]:
    """The signals of which nothing is in the log: the system hands them over at some time."""
    return {what for _, what in SELF.values()} - {r["signal"] for r in ignored(daemon)}


def test_signal_from_inside_is_no_persons(daemon: RunningDaemon) -> None:
    """By whatever function, alone or in a group, from a callback, a thread, a child: told, and all
    goes on; a person's SIGTERM stops it in order.
    """
    for name, (act, _) in SELF.items():
        install(daemon, name, act)
    for name, act in {**CHILDREN, **ALARMS, **MASKING, **USUAL}.items():
        install(daemon, name, act)
    plugins = [*SELF, *CHILDREN, *ALARMS, *MASKING, *USUAL]
    with daemon.running() as process:
        for _ in range(2):
            event = daemon.site.event("Studio_Tick")
            wait_until(partial(has_all, daemon, event, plugins))
        told = results(daemon, event)
        assert {name: told[name] for name in SELF} == dict.fromkeys(SELF, "None")
        assert {name: told[name] for name in CHILDREN} == dict.fromkeys(CHILDREN, "5")
        assert {name: told[name] for name in USUAL} == dict.fromkeys(USUAL, "-15")
        assert {name: told[name] for name in MASKING} == dict.fromkeys(MASKING, "True")
        wait_until(lambda: not untold(daemon), what="all signals are told of")
        for name, what in BY_PYTHON.items():
            own = [r["signal"] for r in ignored(daemon) if r["plugin"] == name]
            assert [signal for signal in own if "." in signal] == [what] * 2, name
        assert process.poll() is None
        assert daemon.stop(process) == 0
    assert daemon.tells("daemon.stopped")
    assert {n.attempt for n in daemon.noted()} == {1}


def test_signal_from_startup_is_no_persons(daemon: RunningDaemon) -> None:
    """Neither from the main thread, before any event is handed out."""
    install(daemon, "starts", "1", startup="os.killpg(0, signal.SIGTERM)")
    install(daemon, "waits", "1", startup="_thread.interrupt_main()")
    with daemon.running() as process:
        event = daemon.site.event("Studio_Tick")
        wait_until(lambda: results(daemon, event) == {"starts": "1", "waits": "1"})
        assert daemon.stop(process, signal.SIGINT) == 0


class Daemon:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def stop(self) -> None:
        """Stop."""
        self.told.append("stop")

    def reload(self) -> None:
        """Reload."""
        self.told.append("reload")


def test_signal_of_which_nobody_knows_who_sent_it() -> None:
    """One that comes in the moment in which a process is started stops it, for a new start."""
    daemon = Daemon()
    try:
        with (
            pytest.raises(SignalInDoubt, match="stopped by SIGTERM"),
            stopped_by_signals(daemon) as ears,
        ):
            ears.receive_while_starting(signal.SIGTERM, None)
    finally:
        release_signals()
    assert daemon.told == ["stop"]
