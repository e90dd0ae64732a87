"""What only loading the plugins tells, read by a command in a process of its own, and kept.

The console itself never imports a plugin.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

PATIENCE: Final = 4.0
"""Seconds for which a reader waits for the first result."""
_FRESH_FOR: Final = 60.0
"""Seconds after which a result is read anew, in the background."""
_LONGEST_RUN: Final = 300.0
"""Seconds after which a command is ended."""
_MOST_KEPT: Final = 200
MOST_AT_ONCE: Final = 4
"""The most commands of one site at a time: any reader can ask for many events."""
_PROBLEM_LENGTH: Final = 2000


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a command found.

    Args:
        result: Its JSON; None before the first success.
        read_at: When it was read, in seconds since 1970; 0 before the first success.
        problem: Why the last attempt failed; empty if it succeeded.
        is_running: Whether it is being read now, or waits for others to end.
    """

    result: Any = None
    read_at: float = 0.0
    problem: str = ""
    is_running: bool = False


class _Inspected(NamedTuple):
    """What a command is asked: the command, and what it is about."""

    command: tuple[str, ...]
    subject: str


class _CommandRecord:
    """The last inspection of one kind, and whether one is running."""

    def __init__(self) -> None:
        self.last = Inspection()
        self.mark: Hashable = None
        self.is_outdated = False
        """Whether the last result was read before something changed."""
        self.is_waiting = False
        """Whether it is due, and too many others are running."""
        self.tried_at = float("-inf")
        self.running: threading.Thread | None = None


class Inspections:
    """The inspections of one site's plugins.

    Args:
        config_path: The site's configuration file.
        find_mark: Returns what changes when they have to be read again at once.
    """

    def __init__(self, config_path: Path, find_mark: Callable[[], Hashable]) -> None:
        self._config_path = config_path
        self._find_mark = find_mark
        self._command_records: dict[_Inspected, _CommandRecord] = {}
        self._running_count = 0
        self._lock = threading.Lock()

    def read(
        self,
        *command: str,
        subject: str = "",
        patience: float = PATIENCE,
        fresh_for: float = _FRESH_FOR,
        mark: Hashable = None,
    ) -> Inspection:
        """Return what a command found last; a new one begins if that is old.

        Args:
            command: The command, such as `plugins`, `list`.
            subject: What it is about, such as a plugin's name, which is never an option.
            patience: Seconds to wait for the first result, or the first with this mark.
            fresh_for: Seconds after which a result is read anew, in the background.
            mark: What changes when the result has to be read again at once.
        """
        command_record = self._start_if_due(_Inspected(command, subject), fresh_for, mark)
        running = command_record.running
        if running is not None and (
            command_record.last.result is None or command_record.is_outdated
        ):
            running.join(patience)
        with self._lock:
            last = command_record.last
            is_running = command_record.running is not None or command_record.is_waiting
            return Inspection(last.result, last.read_at, last.problem, is_running)

    def _start_if_due(
        self, inspected: _Inspected, fresh_for: float, own_mark: Hashable
    ) -> _CommandRecord:
        mark = (self._find_mark(), own_mark)
        with self._lock:
            command_record = self._command_records.setdefault(inspected, _CommandRecord())
            is_due = (
                mark != command_record.mark
                or time.monotonic() - command_record.tried_at > fresh_for
            )
            command_record.is_waiting = is_due and self._running_count >= MOST_AT_ONCE
            if is_due and command_record.running is None and not command_record.is_waiting:
                self._running_count += 1
                command_record.is_outdated = mark != command_record.mark
                command_record.mark, command_record.tried_at = mark, time.monotonic()
                command_record.running = threading.Thread(
                    target=self._run_inspection,
                    args=(inspected, command_record),
                    name="inspection",
                    daemon=True,
                )
                command_record.running.start()
            while len(self._command_records) > _MOST_KEPT:
                del self._command_records[next(iter(self._command_records))]
            return command_record

    def _run_inspection(self, inspected: _Inspected, command_record: _CommandRecord) -> None:
        result, problem = _run_command(inspected, self._config_path)
        with self._lock:
            self._running_count -= 1
            command_record.running, command_record.is_outdated = None, False
            command_record.last = (
                Inspection(command_record.last.result, command_record.last.read_at, problem)
                if problem
                else Inspection(result, time.time())
            )


def _run_command(inspected: _Inspected, config_path: Path) -> tuple[Any, str]:
    """Return the JSON that a command prints, and why it failed; one of them is empty."""
    command_options = ["--json", f"--config={config_path}"]
    command_subjects = ["--", inspected.subject] if inspected.subject else []
    command = [*inspected.command, *command_options, *command_subjects]
    try:
        completed_process = subprocess.run(
            [sys.executable, "-m", "sgevents_core", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LONGEST_RUN,
            check=False,
            env={**os.environ, "NO_COLOR": "1"},
        )
    except subprocess.TimeoutExpired:
        return None, f"Loading the plugins took longer than {_LONGEST_RUN:.0f} s."
    except (OSError, ValueError) as error:
        return None, str(error)
    try:
        return json.loads(completed_process.stdout), ""
    except ValueError:
        return None, completed_process.stderr.strip()[
            -_PROBLEM_LENGTH:
        ] or "The command printed nothing."
