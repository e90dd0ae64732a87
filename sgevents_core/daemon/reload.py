"""Reloading: the new configuration and packages are tried in a separate process first.

Only if they load does the daemon stop between two callbacks and execute itself again. Packages are
never reloaded in place: imported code stays as it is until the process is replaced.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from sgevents_core import __version__
from sgevents_core.daemon.rehearsal import USABLE_STATUSES, Rehearsal
from sgevents_core.daemon.restarting import CommandLine, restart_obstacle
from sgevents_core.errors import ListenError, StateError
from sgevents_core.hosts.host_files import HostFiles
from sgevents_core.hosts.opening import shared_host_name
from sgevents_core.metrics.opening import check_new_address
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.loading import Loaded, LoadedPlugin
from sgevents_core.settings import ListenAddress, Settings
from sgevents_core.state.running import Refusal, Running, write_running_daemon

logger = logging.getLogger("sgevents.daemon")

REHEARSAL_TIMEOUT: Final = 60.0
"""Seconds the rehearsal may take."""
RETRY_INTERVAL: Final = 60.0
"""Seconds after which a daemon whose threads hang tries to restart again."""


class Reloader:
    """The part that handles requests to reload, up to the point where the daemon has to stop.

    Args:
        settings: The running configuration.
        loaded: The running plugins.
        start_command: How the process was started; None if it cannot be started again.
        refusal_text: Why the last attempt to restart failed; empty if it did not fail.

    `can_restart` says whether the process can be restarted.
    """

    def __init__(
        self,
        settings: Settings,
        loaded: Loaded,
        start_command: CommandLine | None,
        refusal_text: str = "",
    ) -> None:
        self._state_folder = settings.state.path
        self._shared_host = shared_host_name(settings)
        self._log_settings = settings.log
        self._config_path, self._listen = settings.path, settings.metrics.listen
        self._rehearsal_timeout = REHEARSAL_TIMEOUT + sum(
            plugin_table.load_timeout
            for plugin_table in settings.plugins.values()
            if plugin_table.enabled
        )
        self._next_attempt_at = 0.0
        self._note_descriptor: int | None = None
        self._unusable_plugins: set[tuple[str, str]] = {
            (plugin_status.name, plugin_status.status)
            for plugin_status in loaded.statuses
            if plugin_status.status not in USABLE_STATUSES
        }
        self._start_command = start_command
        self.can_restart = start_command is not None
        self._redact_secrets = Redactor.of(settings)
        self._is_requested = False
        self._rehearsal: Rehearsal | None = None
        self._refusal_reason = ""
        self.rehearsed_files: HostFiles | None = None
        """What the last trial has shown that a restart would run; None if it showed nothing."""
        self._running_note = Running(
            pid=os.getpid(),
            run=f"{os.getpid()}-{time.time_ns()}",
            version=__version__,
            plugins={loaded_plugin.name: loaded_plugin.version for loaded_plugin in loaded.plugins},
            reloads=start_command is not None,
        )
        if refusal_text:
            self._refuse_reload(refusal_text)
        else:
            self._write_note()

    def request_reload(self) -> None:
        """Accept a request to reload; a trial that is running is repeated with the newest state."""
        if self._start_command is not None:
            extra = {"action": "daemon.reload_asked"}
            logger.info("Asked to reload: the new state is tried first", extra=extra)
            self._is_requested = True

    def poll_rehearsal(self) -> bool:
        """Continue with a request; return True once the new state is known to load."""
        if self._rehearsal is not None:
            if not self._rehearsal.is_over():
                return False
            rehearsal, self._rehearsal = self._rehearsal, None
            self.rehearsed_files = None
            reason = self._redact_secrets(rehearsal.read_objection(self._find_objection))
            if not self._is_requested:
                return self._finish_rehearsal(reason)
        if self._is_requested and self._start_command is not None:
            self._is_requested = False
            return self._start_rehearsal(self._start_command)
        return False

    def leave_hung(self, current_time: float) -> bool:
        """Request a restart because threads of the daemon hang; after a refusal, wait a while.

        Args:
            current_time: The current monotonic time, in seconds.

        Returns:
            Whether it was requested now.
        """
        is_due = (
            self._rehearsal is None
            and not self._is_requested
            and current_time >= self._next_attempt_at
        )
        if is_due:
            self._is_requested, self._next_attempt_at = True, current_time + RETRY_INTERVAL
        return is_due

    def refuse(self, reason: str) -> None:
        """Continue as it was although the new state loads, and say why."""
        self._refuse_reload(self._redact_secrets(reason))

    def take_refusal(self) -> str:
        """Return why the last request was refused, once; empty if none was since."""
        reason, self._refusal_reason = self._refusal_reason, ""
        return reason

    def note_changes(self, names: Collection[str], plugins: Sequence[LoadedPlugin]) -> None:
        """Note which plugins run after a change, for commands that compare them with the files.

        Args:
            names: The plugins that have changed, come or gone.
            plugins: All plugins that run.
        """
        kept = {n: v for n, v in self._running_note.plugins.items() if n not in names}
        there = {plugin.name: plugin.version for plugin in plugins if plugin.name in names}
        self._running_note = replace(self._running_note, plugins={**kept, **there})
        self._write_note()

    def close(self) -> None:
        """End a running trial."""
        if self._rehearsal is not None:
            self._rehearsal.kill_process()
        if self._note_descriptor is not None:
            os.close(self._note_descriptor)
            self._note_descriptor = None

    def _find_objection(self, report: dict[str, Any]) -> str:
        """Return why a new state that loads is refused all the same; empty if it is not."""
        try:
            self.rehearsed_files = msgspec.convert(report["files"], HostFiles)
            listen = report["listen"] and ListenAddress(*report["listen"])
            check_new_address(self._listen, listen, self._config_path)
        except ListenError as error:
            return str(error)
        return _find_state_objection(
            report, self._state_folder, self._shared_host
        ) or _find_plugin_objection(report, self._unusable_plugins)

    def _start_rehearsal(self, start_command: CommandLine) -> bool:
        """Try the new state in a separate process, if one can be started at all."""
        try:
            self._rehearsal = Rehearsal(start_command, self._rehearsal_timeout)
        except OSError as error:
            return self._finish_rehearsal(f"a process to try it in cannot be started: {error}")
        return False

    def _finish_rehearsal(self, reason: str) -> bool:
        if not reason and self._start_command is not None:
            reason = restart_obstacle(self._start_command, self._state_folder, self._log_settings)
        if not reason:
            extra = {"action": "daemon.reloading"}
            logger.info("The new state loads: stopping to start with it", extra=extra)
            return True
        self._refuse_reload(reason)
        return False

    def _refuse_reload(self, reason: str) -> None:
        logger.error(
            "Not reloaded, the daemon continues as it was: %s",
            reason,
            extra={"action": "daemon.not_reloaded"},
        )
        self._refusal_reason = reason
        previous_refusal = self._running_note.refusal
        refusal = Refusal(1 if previous_refusal is None else previous_refusal.number + 1, reason)
        self._running_note = replace(self._running_note, refusal=refusal)
        self._write_note()

    def _write_note(self) -> None:
        try:
            self._note_descriptor = write_running_daemon(
                self._state_folder, self._running_note, self._note_descriptor
            )
        except StateError as error:  # a full disk: only `plugins list` and `reload` show less
            logger.warning("%s", error, extra={"action": "daemon.not_noted"})


def _find_state_objection(report: dict[str, Any], folder: Path, shared_host: str | None) -> str:
    """Return why a process that starts now would not go on with this state; empty if it would."""
    if report["state"] != str(folder):
        return (
            f"[state] path is now {report['state']}; for another state, stop and start the daemon"
        )
    if (report["host"] is None) != (shared_host is None):
        change = "gone" if report["host"] is None else "new"
        return f"[state] url is {change}; to move the state, stop the daemon: sgevents state move"
    if report["host"] != shared_host:
        return (
            f"[state] host is now {report['host']}; to give this host another name, stop and start"
            " the daemon"
        )
    return ""


def _find_plugin_objection(report: dict[str, Any], unusable: set[tuple[str, str]]) -> str:
    """Return which plugins a process that starts now could no longer use; empty if none."""
    worse_plugins = [
        plugin for plugin in report["unusable"] if (plugin[0], plugin[1]) not in unusable
    ]
    return " ".join(f"Plugin {summary_text}" for _, _, summary_text in worse_plugins)
