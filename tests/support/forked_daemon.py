"""`sgevents run` forked from a process that has imported it: for tests that start it often."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from running_daemon import RunningDaemon

LAUNCHER = """
import json, os, sys
import sgevents_core.cli.run, sgevents_core.daemon, sgevents_core.observe.logs
from sgevents_core.cli import main

output = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.argv = json.loads(line)
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

    def start(self) -> int:
        """Start the daemon; return its process id."""
        self._daemon.write_config()
        assert self._process.stdin is not None
        command = ["sgevents", "run", "-c", str(self._daemon.config)]
        self._process.stdin.write(f"{json.dumps(command)}\n")
        self._process.stdin.flush()
        return self._answer()

    def kill(self, daemon: int) -> None:
        """End the daemon the hard way, and wait for its end."""
        os.kill(daemon, signal.SIGKILL)
        assert self._answer() == -signal.SIGKILL

    def _answer(self) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the launcher has ended"
        return int(line)


@contextmanager
def launching(daemon: RunningDaemon) -> Iterator[Launcher]:
    """Keep a launcher while the block lasts; what it runs is killed before the end."""
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(daemon.output)],
        env=daemon.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Launcher(daemon, process)
