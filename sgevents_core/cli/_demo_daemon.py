"""The demo's daemon: a separate process, and the calls read from its log."""

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

RETURNED_ACTION: Final = "callback.returned"
FAILED_ACTIONS: Final = frozenset({"callback.held", "callback.dead_lettered", "callback.skipped"})
PLUGIN_LOGGER: Final = "sgevents.plugin."
_END_WITHIN: Final = 60.0
"""Seconds within which a command or the daemon ends, also on a busy machine."""


@dataclass(frozen=True, slots=True)
class DemoCall:
    """One call of a callback, read from the daemon\'s log once it is over.

    Args:
        event_id: The event's id.
        plugin: The callback's plugin.
        raised: The exception it raised, in one line; None if it returned.
    """

    event_id: int
    plugin: str
    raised: str | None = None


@dataclass(frozen=True, slots=True)
class PluginMessage:
    """A message that a plugin logged."""

    plugin: str
    text: str


class DemoDaemon:
    """A process of `sgevents run` to start, kill and stop, whose log the demo reads.

    Args:
        config: The daemon's configuration file.
        extra_path: A folder with one more installed package.
    """

    def __init__(self, config: Path, extra_path: Path) -> None:
        self.config = config
        self.plugin_news: queue.SimpleQueue[DemoCall | PluginMessage] = queue.SimpleQueue()
        self.complaints: list[str] = []
        self._process_environment = {**os.environ, "PYTHONPATH": str(extra_path)}
        self._daemon_process: subprocess.Popen[str] | None = None
        self._log_reader: threading.Thread | None = None

    def command_line(self, *arguments: str) -> list[str]:
        """Return the command line of an `sgevents` command with this configuration."""
        return [sys.executable, "-m", "sgevents_core", *arguments, "--config", str(self.config)]

    def start(self) -> None:
        """Start the daemon, and return at once."""
        self._daemon_process = subprocess.Popen(
            self.command_line("run"),
            cwd=self.config.parent,
            env=self._process_environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self._log_reader = threading.Thread(
            target=self._read_log, args=(self._daemon_process,), daemon=True
        )
        self._log_reader.start()

    @property
    def is_running(self) -> bool:
        """Return whether the daemon still runs, or its log is not fully read."""
        return self._log_reader is not None and self._log_reader.is_alive()

    def kill(self) -> None:
        """Kill the daemon, whatever it is doing."""
        self._end_process(signal.SIGKILL)

    def stop(self) -> int:
        """Ask the daemon to stop after the running callback, and return its exit code."""
        return self._end_process(signal.SIGTERM)

    def status_when_caught_up(self, seconds: float) -> dict[str, Any]:
        """Return the output of `status --json` once no plugin is behind, or after `seconds`.

        Args:
            seconds: The longest wait; the daemon records its progress once a second.
        """
        deadline = time.monotonic() + seconds
        while True:
            status = self._read_status()
            plugins_behind = [plugin for plugin in status.get("plugins", ()) if plugin["behind"]]
            if not plugins_behind or time.monotonic() > deadline:
                return status

    def _read_status(self) -> dict[str, Any]:
        completed = subprocess.run(
            self.command_line("status", "--json"),
            cwd=self.config.parent,
            env=self._process_environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=_END_WITHIN,
        )
        if completed.returncode:
            self.complaints.append(completed.stderr.strip())
            return {}
        return dict(json.loads(completed.stdout))

    def _end_process(self, end_signal: signal.Signals) -> int:
        if self._daemon_process is None or self._log_reader is None:
            return 0
        if self._daemon_process.poll() is None:
            self._daemon_process.send_signal(end_signal)
        exit_code = self._daemon_process.wait(timeout=_END_WITHIN)
        self._log_reader.join(timeout=_END_WITHIN)
        return exit_code

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None  # noqa: S101 - it was opened as a pipe
        with process.stdout as lines:
            for line in lines:
                self._take_log_line(line)

    def _take_log_line(self, line: str) -> None:
        try:
            record = json.loads(line)
        except ValueError:
            self.complaints.append(line.rstrip())
            return
        news = plugin_news(record)
        if news is not None:
            self.plugin_news.put(news)
        elif record.get("level") in {"error", "critical"}:
            self.complaints.append(str(record.get("message")))


def plugin_news(record: dict[str, Any]) -> DemoCall | PluginMessage | None:
    """Return the call or message of a plugin that a log record reports, None if there is none."""
    action, plugin = record.get("action"), str(record.get("plugin"))
    if action == RETURNED_ACTION:
        return DemoCall(record["event_id"], plugin)
    if action in FAILED_ACTIONS:
        raised = record["traceback"].rstrip().rpartition("\n")[2]
        return DemoCall(record["event_id"], plugin, raised)
    logger_name = str(record.get("logger"))
    if logger_name.startswith(PLUGIN_LOGGER):
        return PluginMessage(logger_name.removeprefix(PLUGIN_LOGGER), str(record.get("message")))
    return None
