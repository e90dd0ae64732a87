"""The daemon of the demo: a separate process, and the calls seen in its log."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

RETURNED: Final = "callback.returned"
FAILED: Final = frozenset({"callback.held", "callback.dead_lettered", "callback.skipped"})
PLUGIN_LOGGER: Final = "sgevents.plugin."


@dataclass(frozen=True, slots=True)
class DemoCall:
    """One call of a callback, seen in the daemon's log once it is over.

    Args:
        event_id: The event's id.
        plugin: The callback's plugin.
        raised: What it raised, for people; None if it returned.
    """

    event_id: int
    plugin: str
    raised: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence that a plugin wrote to its log."""

    plugin: str
    text: str


class DemoDaemon:
    """A process of `sgevents run`: it can be started, killed and stopped, and its log is followed.

    Args:
        config: Its configuration file.
        extra_path: A folder with one more installed package.
    """

    def __init__(self, config: Path, extra_path: Path) -> None:
        self.config = config
        self.news: queue.SimpleQueue[DemoCall | Said] = queue.SimpleQueue()
        self.complaints: list[str] = []
        self._environment = {**os.environ, "PYTHONPATH": str(extra_path)}
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def command(self, *words: str) -> list[str]:
        """Return the command line of an `sgevents` command with this configuration."""
        return [sys.executable, "-m", "sgevents_core", *words, "--config", str(self.config)]

    def start(self) -> None:
        """Start it, and return at once."""
        self._process = subprocess.Popen(
            self.command("run"),
            cwd=self.config.parent,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    @property
    def running(self) -> bool:
        """Return whether its process runs or its log is not fully read."""
        return self._reader is not None and self._reader.is_alive()

    def kill(self) -> None:
        """Kill it, in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to stop, and return its exit code; it finishes the running callback."""
        return self._end(signal.SIGTERM)

    def status_when_caught_up(self, seconds: float) -> dict[str, Any]:
        """Return the output of `status --json` once no plugin is behind, or after `seconds`.

        Args:
            seconds: The longest wait; the daemon records its progress once a second.
        """
        until = time.monotonic() + seconds
        while True:
            status = self._status()
            behind = [plugin for plugin in status.get("plugins", ()) if plugin["behind"]]
            if not behind or time.monotonic() > until:
                return status

    def _status(self) -> dict[str, Any]:
        run = subprocess.run(
            self.command("status", "--json"),
            cwd=self.config.parent,
            env=self._environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=10,
        )
        if run.returncode:
            self.complaints.append(run.stderr.strip())
            return {}
        return dict(json.loads(run.stdout))

    def _end(self, how: signal.Signals) -> int:
        if self._process is None or self._reader is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(how)
        code = self._process.wait(timeout=10)
        self._reader.join(timeout=10)
        return code

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None  # noqa: S101 - it was opened as a pipe
        with process.stdout as lines:
            for line in lines:
                self._take(line)

    def _take(self, line: str) -> None:
        try:
            record = json.loads(line)
        except ValueError:
            self.complaints.append(line.rstrip())
            return
        item = understood(record)
        if item is not None:
            self.news.put(item)
        elif record.get("level") in {"error", "critical"}:
            self.complaints.append(str(record.get("message")))


def understood(record: dict[str, Any]) -> DemoCall | Said | None:
    """Return what a log record says about a plugin, if anything."""
    action, plugin = record.get("action"), str(record.get("plugin"))
    if action == RETURNED:
        return DemoCall(record["event_id"], plugin)
    if action in FAILED:
        return DemoCall(
            record["event_id"], plugin, record["traceback"].rstrip().rpartition("\n")[2]
        )
    name = str(record.get("logger"))
    if name.startswith(PLUGIN_LOGGER):
        return Said(name.removeprefix(PLUGIN_LOGGER), str(record.get("message")))
    return None
