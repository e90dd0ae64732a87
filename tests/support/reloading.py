"""A reload as a person asks for it, and a callback that can be kept in hand meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys

from running_daemon import RunningDaemon
from waiting import PATIENCE

SLOW = """
    import pathlib, time
    from sgevents_core import hookimpl

    FOLDER = pathlib.Path({folder!r})

    @hookimpl
    def on_event(event, ctx):
        with (FOLDER / "slow.txt").open("a") as file:
            file.write(f"{{event.id}}\\n")
        until = time.monotonic() + 20
        while not (FOLDER / "go").exists() and time.monotonic() < until:
            time.sleep(0.01)
"""


def reload(daemon: RunningDaemon) -> subprocess.CompletedProcess[str]:
    """Ask the daemon to reload, as a person does."""
    command = [sys.executable, "-m", "sgevents_core", "reload", "-c", str(daemon.config)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=environment
    )
