"""The trial before a reload: the new configuration and packages, loaded in a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import IO, Any, Final

import msgspec

from sgevents_core.alerts.opening import check_addresses
from sgevents_core.daemon.restarting import CommandLine
from sgevents_core.hosts.host_files import describe_host_files, read_classic_contents
from sgevents_core.hosts.opening import shared_host_name
from sgevents_core.metrics.opening import check_extra
from sgevents_core.plugins.loading import Loaded
from sgevents_core.settings import Settings

REHEARSE_OPTION: Final = "--rehearse"
"""The option with which `sgevents run` only prints, as JSON, what it would run."""
USABLE_STATUSES: Final = ("enabled", "disabled")
_MAX_ERROR_LENGTH: Final = 2000


class Rehearsal:
    """A process that loads the new state and reports the result."""

    def __init__(self, start_command: CommandLine, rehearsal_timeout: float) -> None:
        self._rehearsal_timeout = rehearsal_timeout
        self._deadline = time.monotonic() + rehearsal_timeout
        self._timed_out = False
        with ExitStack() as opened_files:  # in memory: there may be no folder to write to
            self._output_file = opened_files.enter_context(_memory_file())
            self._error_file = opened_files.enter_context(_memory_file())
            self._process = subprocess.Popen(
                [*start_command.command_words, REHEARSE_OPTION],
                cwd=start_command.usable_folder(),
                env=start_command.environment,
                stdin=subprocess.DEVNULL,
                stdout=self._output_file,
                stderr=self._error_file,
            )
            opened_files.pop_all()

    def is_over(self) -> bool:
        """Return whether it has ended; end it if it takes too long."""
        if self._process.poll() is None and time.monotonic() > self._deadline:
            self._timed_out = True
            self._process.kill()
            self._process.wait()
        return self._process.poll() is not None

    def kill_process(self) -> None:
        """Kill the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        self._close_files()

    def read_objection(self, find_objection: Callable[[dict[str, Any]], str]) -> str:
        """Return why the new state is refused; empty if it is accepted.

        Args:
            find_objection: Returns that for the report of a state that loads.
        """
        output_text = _read_text(self._output_file)
        error_text = _read_text(self._error_file)[-_MAX_ERROR_LENGTH:]
        exit_code = self._process.returncode
        self._close_files()
        if self._timed_out:
            return f"loading it took more than {self._rehearsal_timeout:.0f} s"
        if exit_code:
            return (
                error_text.removeprefix("sgevents: ")
                or f"loading it ended with exit code {exit_code}"
            )
        try:
            report = json.loads(output_text.splitlines()[-1])
        except (ValueError, IndexError):
            return f"loading it ended the process before it could report more. {error_text}".strip()
        return find_objection(report)

    def _close_files(self) -> None:
        self._output_file.close()
        self._error_file.close()


def describe_loaded(settings: Settings, loaded: Loaded) -> str:
    """Return the facts about a loaded state that `Reloader` needs, as one line of JSON.

    Raises:
        ExtraMissingError: The packages of an extra that is in use are not installed.
        ConfigError: An address of an alert cannot be used.
    """
    unusable_statuses = [
        plugin_status
        for plugin_status in loaded.statuses
        if plugin_status.status not in USABLE_STATUSES
    ]
    check_extra(settings)
    check_addresses(settings)
    files = describe_host_files(settings, loaded, read_classic_contents(settings))
    report = {
        "files": msgspec.to_builtins(files),
        "state": str(settings.state.path),
        "host": shared_host_name(settings),
        "listen": settings.metrics.listen,
        "unusable": [
            [plugin_status.name, plugin_status.status, plugin_status.summary()]
            for plugin_status in unusable_statuses
        ],
    }
    return json.dumps(report)


def _memory_file() -> IO[bytes]:
    return os.fdopen(os.memfd_create("sgevents-rehearsal", os.MFD_CLOEXEC), "w+b", buffering=0)


def _read_text(memory_file: IO[bytes]) -> str:
    memory_file.seek(0)
    return memory_file.read().decode("utf-8", "replace").strip()
