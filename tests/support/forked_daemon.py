"""`sgevents run` forked from a process that has imported it: for tests that start it often."""

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

LAUNCHER = """
import functools, gc, json, os, pathlib, sys
import email.policy, encodings.idna, encodings.utf_8_sig
import importlib_metadata, msgspec

# What does not change from one start to the next, and takes half the time of one.
importlib_metadata.entry_points = functools.cache(importlib_metadata.entry_points)
msgspec.structs.fields = functools.cache(msgspec.structs.fields)

import fail_points, sgevents_core.cli.run, sgevents_core.daemon, sgevents_core.observe.logs
import sgevents_core.journal.schema, sgevents_core.reload, sgevents_core.settings
import sgevents_core.signals
from sgevents_core.cli import main

sgevents_core.settings.load_settings(pathlib.Path(sys.argv[2]))
sgevents_core.daemon.discover()
sgevents_core.journal.schema.migrations()
gc.freeze()
output = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        order = json.loads(line)
        sys.argv = order["command"]
        if order["points"] is not None:
            fail_points.arm(**order["points"])
        main()
        sys.exit("main returned")
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Launcher:
    """A process that has imported all that `sgevents run` imports, and forks to run it.

    Args:
        daemon: What is run.
        process: The launching process.
    """

    def __init__(self, daemon: RunningDaemon, process: subprocess.Popen[str]) -> None:
        self._daemon = daemon
        self._process = process

    def start(self, *options: str, points: Mapping[str, Any] | None = None) -> int:
        """Start the daemon; return its process id.

        Args:
            options: Of `sgevents run`.
            points: What `fail_points.arm` is called with before it runs; not at all if None.
        """
        self._daemon.write_config()
        assert self._process.stdin is not None
        command = ["sgevents", "run", "-c", str(self._daemon.config), *options]
        order = json.dumps({"command": command, "points": points})
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        return self._answer()

    def drain(self, points: Mapping[str, Any] | None = None) -> int:
        """Run until everything is handled; return the exit code, negative for a signal."""
        self.start("--drain", points=points)
        return self._answer()

    def kill(self, daemon: int) -> None:
        """End the daemon the hard way, and wait for its end."""
        os.kill(daemon, signal.SIGKILL)
        assert self._answer() == -signal.SIGKILL

    def stop(self, daemon: int) -> int:
        """End the daemon in order; return its exit code."""
        os.kill(daemon, signal.SIGTERM)
        return self._answer()

    def _answer(self) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the launcher has ended"
        return int(line)


@contextmanager
def launching(daemon: RunningDaemon) -> Iterator[Launcher]:
    """Keep a launcher while the block lasts; what it runs is ended before the end."""
    daemon.write_config()
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(daemon.output), str(daemon.config)],
        env=daemon.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Launcher(daemon, process)
