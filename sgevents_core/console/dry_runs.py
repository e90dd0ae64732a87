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
        self._dry_runs: dict[tuple[int, str], DryRun] = {}

    def start(self, event_id: int, plugin_name: str, asked_by: str) -> bool:
        """Start a dry run, unless one like it or too many others are running.

        Returns:
            Whether it runs now.
        """
        run_key = (event_id, plugin_name)
        with self._lock:
            running_keys = [
                run_key for run_key, dry_run in self._dry_runs.items() if dry_run.exit_code is None
            ]
            if run_key not in running_keys and len(running_keys) >= MOST_AT_ONCE:
                return False
            if run_key not in running_keys:
                self._dry_runs.pop(run_key, None)
                self._dry_runs[run_key] = DryRun(event_id, plugin_name, asked_by, time.time())
                self._forget_oldest()
                threading.Thread(
                    target=self._run_replay, args=(run_key,), name="dry-run", daemon=True
                ).start()
        return True

    def of_event(self, event_id: int) -> Iterable[DryRun]:
        """Return the dry runs for an event, the newest first."""
        with self._lock:
            return [
                dry_run
                for dry_run in reversed(self._dry_runs.values())
                if dry_run.event_id == event_id
            ]

    def _forget_oldest(self) -> None:
        ended_keys = [
            run_key for run_key, dry_run in self._dry_runs.items() if dry_run.exit_code is not None
        ]
        for run_key in ended_keys[: max(len(self._dry_runs) - _MOST_KEPT, 0)]:
            del self._dry_runs[run_key]

    def _run_replay(self, run_key: tuple[int, str]) -> None:
        event_id, plugin_name = run_key
        output, exit_code = _run_command(
            ["replay", str(event_id), "--dry-run", f"--plugin={plugin_name}"], self._config_path
        )
        with self._lock:
            self._dry_runs[run_key] = replace(
                self._dry_runs[run_key], output=output, exit_code=exit_code
            )


def _run_command(command_arguments: list[str], config_path: Path) -> tuple[str, int]:
    """Return what a command prints, and its exit code."""
    command = [sys.executable, "-m", "sgevents_core", *command_arguments, f"--config={config_path}"]
    try:
        completed_process = subprocess.run(
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
    return completed_process.stdout[:_LONGEST_OUTPUT], completed_process.returncode
