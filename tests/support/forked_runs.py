"""`sgevents run` as processes, forked from one that has imported it: a start takes no time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from running_daemon import RunningDaemon
from waiting import wait_until

LAUNCHER = """
import ctypes, functools, gc, json, os, pathlib, signal, sys, time
import email.policy, encodings.idna, encodings.utf_8_sig
import importlib_metadata, msgspec
import sgevents_core.cli.run, sgevents_core.daemon.daemon, sgevents_core.observe.logs
import sgevents_core.state.sqlite.schema, sgevents_core.daemon.reload, sgevents_core.settings
import sgevents_core.daemon.signals, sgevents_core.calling.policy, sgevents_core.plugins.discovery
from sgevents_core.cli import main

def end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

def settle_in(order):
    os.environ.update(order["environment"])
    time.tzset()
    sys.path.insert(0, order["packages"])

def prepare(order):
    # What does not change from one start to the next, and takes half the time of one.
    settle_in(order)
    importlib_metadata.entry_points = functools.cache(importlib_metadata.entry_points)
    msgspec.structs.fields = functools.cache(msgspec.structs.fields)
    sgevents_core.settings.load_settings(pathlib.Path(order["config"]))
    sgevents_core.plugins.discovery.discover()
    sgevents_core.state.sqlite.schema.migrations()
    gc.freeze()
    return 0

def run(order):
    end_with_parent()
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    settle_in(order)
    sys.argv = order["command"]
    exec(order["before"], {})
    main()

end_with_parent()
for line in sys.stdin:
    order = json.loads(line)
    if "ended" in order:
        ended, status = os.waitpid(order["ended"], os.WNOHANG)
        answer = os.waitstatus_to_exitcode(status) if ended else 1000
    elif "config" in order:
        answer = prepare(order)
    else:
        answer = os.fork()
        if not answer:
            run(order)
            sys.exit("main returned")
    print(answer, flush=True)
"""

STILL_RUNS = 1000
"""The launching process's answer for one that has not ended; no exit code is that high."""


class Run:
    """One daemon that was started.

    Args:
        launcher: Its parent.
        pid: Its process id.
    """

    def __init__(self, launcher: Launcher, pid: int) -> None:
        self.pid = pid
        self._launcher = launcher
        self._code: int | None = None

    def wait(self) -> int:
        """Wait for its end; return its exit code, or the negative number of a signal."""
        wait_until(self._ended, what="it ends")
        assert self._code is not None
        return self._code

    def _ended(self) -> bool:
        if self._code is None:
            answer = self._launcher.ask({"ended": self.pid})
            self._code = None if answer == STILL_RUNS else answer
        return self._code is not None

    def stop(self) -> int:
        """Ask it to stop; return its exit code."""
        if self._code is None:
            os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def kill(self) -> int:
        """Kill it, if it still runs; return its exit code."""
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def lives(self) -> bool:
        """Whether it has not ended."""
        return not self._ended()


class Launcher:
    """A process that has imported all that `sgevents run` imports, and forks to run it.

    Args:
        process: The launching process.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(
        self, daemon: RunningDaemon, *options: str, before: str = "", **environment: str
    ) -> Run:
        """Start a daemon.

        Args:
            daemon: Whose configuration and plugins it has.
            options: Options of `sgevents run`.
            before: Python that its process carries out first.
            environment: Variables that it has.
        """
        order = {
            **_surroundings(daemon, environment),
            "output": str(daemon.output),
            "before": before,
            "command": ["sgevents", "run", "-c", str(daemon.config), *options],
        }
        daemon.write_config()
        return Run(self, self.ask(order))

    def prepare(self, daemon: RunningDaemon) -> None:
        """Do once what every start of this daemon repeats; no other can be started afterwards."""
        daemon.write_config()
        self.ask({**_surroundings(daemon, {}), "config": str(daemon.config)})

    def ask(self, order: dict[str, Any]) -> int:
        """Send an order to the launching process; return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(order)}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the launcher has ended"
        return int(line)


def _surroundings(daemon: RunningDaemon, environment: Mapping[str, str]) -> dict[str, Any]:
    return {
        "packages": str(daemon.packages.folder),
        "environment": {"SGEVENTS_TEST_KEY": daemon.site.api_key, **environment},
    }


@contextmanager
def launcher() -> Iterator[Launcher]:
    """Keep a launcher while the block lasts."""
    path = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER],
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Launcher(process)
