"""Dry runs of a plugin for one event, each by a command in a process of its own; the last are kept.

A dry run changes nothing on the site and in the state, so it is no request. The console itself
never imports a plugin.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

MOST_AT_ONCE: Final = 2
_LONGEST_RUN: Final = 300.0
"""Seconds after which a dry run is ended."""
_MOST_KEPT: Final = 50
_LONGEST_OUTPUT: Final = 100_000
"""The most characters that are kept of what a dry run prints."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """One dry run.

    Args:
        event_id: The event.
        plugin: The plugin.
        asked_by: Who asked for it.
        started_at: When, in seconds since 1970.
        output: What it printed; empty while it runs.
        exit_code: How it ended; None while it runs.
    """

    event_id: int
    plugin: str
    asked_by: str
    started_at: float
    output: str = ""
    exit_code: int | None = None


class DryRuns:
    """The dry runs of one site; for any thread.

    Args:
        config_path: The site's configuration file.
    """

    def __init__(self, config_path: Path) -> None:
        self._config_path = config_path
        self._lock = threading.Lock()
        self._runs: dict[tuple[int, str], DryRun] = {}

    def start(self, event_id: int, plugin: str, asked_by: str) -> bool:
        """Start a dry run, unless one like it or too many others are running.

        Returns:
            Whether it runs now.
        """
        key = (event_id, plugin)
        with self._lock:
            running = [key for key, one in self._runs.items() if one.exit_code is None]
            if key not in running and len(running) >= MOST_AT_ONCE:
                return False
            if key not in running:
                self._runs.pop(key, None)
                self._runs[key] = DryRun(event_id, plugin, asked_by, time.time())
                self._forget_oldest()
                threading.Thread(target=self._run, args=(key,), name="dry-run", daemon=True).start()
        return True

    def of_event(self, event_id: int) -> Iterable[DryRun]:
        """Return the dry runs for an event, the newest first."""
        with self._lock:
            return [one for one in reversed(self._runs.values()) if one.event_id == event_id]

    def _forget_oldest(self) -> None:
        ended = [key for key, one in self._runs.items() if one.exit_code is not None]
        for key in ended[: max(len(self._runs) - _MOST_KEPT, 0)]:
            del self._runs[key]

    def _run(self, key: tuple[int, str]) -> None:
        event_id, plugin = key
        output, exit_code = _run_command(
            ["replay", str(event_id), "--dry-run", f"--plugin={plugin}"], self._config_path
        )
        with self._lock:
            self._runs[key] = replace(self._runs[key], output=output, exit_code=exit_code)


def _run_command(arguments: list[str], config_path: Path) -> tuple[str, int]:
    """Return what a command prints, and its exit code."""
    command = [sys.executable, "-m", "sgevents_core", *arguments, f"--config={config_path}"]
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_LONGEST_RUN,
            check=False,
            env={**os.environ, "NO_COLOR": "1"},
        )
    except subprocess.TimeoutExpired:
        return f"It did not end within {_LONGEST_RUN:.0f} s.", 1
    except (OSError, ValueError) as error:
        return f"It could not be started: {error}", 1
    return ended.stdout[:_LONGEST_OUTPUT], ended.returncode
