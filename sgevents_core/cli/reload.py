"""`sgevents reload`: makes the running daemon use a changed configuration and packages."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from sgevents_core.cli.printing import echo, read_configuration
from sgevents_core.cli.reload_progress import ReloadProgress
from sgevents_core.cli.root import config_option
from sgevents_core.errors import (
    ConfigError,
    DaemonElsewhereError,
    NoDaemonError,
    NotReloadedError,
)
from sgevents_core.printable import one_line
from sgevents_core.settings.config_file import state_path
from sgevents_core.state import lock
from sgevents_core.state.opening import is_shared
from sgevents_core.state.running import Running, read_running_daemon

POLL_INTERVAL: Final = 0.05
_NOTICE_DELAY: Final = 5.0


@click.command()
@config_option
def reload(config: Path) -> None:
    """Make the daemon use changed settings and packages.

    A changed configuration and changed packages are tried in a separate process. If they load, the
    daemon finishes the running callbacks and restarts itself: nothing is lost or repeated. If not,
    it continues unchanged, and this command says why and exits with 1. Sending SIGHUP to the daemon
    does the same.

    If several hosts share the state, what this host has is wanted from then on: the other hosts
    reload after it, one at a time. The command waits for all of them; it ends with 1 at the first
    that cannot.
    """
    state_folder = _state_folder_of(config)
    progress = ReloadProgress(state_folder) if is_shared(state_folder) else None
    running_before = _request_reload(state_folder)
    running_now = _await_reload(state_folder, running_before, progress)
    _print_changes(running_before, running_now)
    if progress is not None:
        progress.follow()


def _await_reload(
    state_folder: Path, running_before: Running, progress: ReloadProgress | None
) -> Running:
    """Wait until the daemon of this host has reloaded; return its record."""
    polls = _poll_daemon()
    while True:
        is_long_wait = next(polls)
        running_now = read_running_daemon(state_folder)
        if (
            running_now is not None
            and running_now.refusal != running_before.refusal
            and running_now.refusal is not None
        ):
            raise NotReloadedError(reason=running_now.refusal.reason)
        if running_now is not None and running_now.run != running_before.run:
            return running_now
        if not _is_alive(running_before.pid):
            reason = "its process has ended; see its log"
            raise DaemonElsewhereError(path=state_folder, reason=reason)
        if progress is not None:
            progress.raise_if_stopped()
        if is_long_wait:
            echo("Waiting for the running callbacks ...", err=True)


def _state_folder_of(config: Path) -> Path:
    """Return the state's folder, even for a configuration that the daemon will refuse."""
    try:
        return read_configuration(config, secrets_required=False).state.path
    except ConfigError as error:
        state_folder = state_path(config)
        if state_folder is None:
            raise NotReloadedError(reason=str(error)) from None
        if lock.find_holder(state_folder) is None:
            raise
        return state_folder


def _request_reload(state_folder: Path) -> Running:
    """Ask the daemon to reload; return its record from before."""
    lock_holder = lock.find_holder(state_folder)
    if lock_holder is None or "command" in lock_holder:
        raise NoDaemonError(path=state_folder)
    if lock_holder.get("host") != socket.gethostname():
        reason = f"it runs on {lock_holder.get('host')}; run this there"
        raise DaemonElsewhereError(path=state_folder, reason=reason)
    running_before = read_running_daemon(state_folder)
    if running_before is None or not running_before.reloads:
        reason = "it is still starting, or was not started by `sgevents run`; stop it and start it"
        raise DaemonElsewhereError(path=state_folder, reason=reason)
    if not lock.is_held_by(state_folder, running_before.pid):
        reason = (
            f"it cannot be proved that process {running_before.pid} is the daemon;"
            " reload it by its service, or send it SIGHUP yourself"
        )
        raise DaemonElsewhereError(path=state_folder, reason=reason)
    try:
        os.kill(running_before.pid, signal.SIGHUP)
    except PermissionError:
        reason = "it belongs to another user; run this as that user"
        raise DaemonElsewhereError(path=state_folder, reason=reason) from None
    return running_before


def _poll_daemon() -> Iterator[bool]:
    """Yield after each short wait; yield True once, when the wait has become long."""
    started_at, was_noticed = time.monotonic(), False
    while True:
        is_late = not was_noticed and time.monotonic() - started_at > _NOTICE_DELAY
        was_noticed = was_noticed or is_late
        yield is_late
        time.sleep(POLL_INTERVAL)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _print_changes(running_before: Running, running_now: Running) -> None:
    """Print the changes."""
    change_lines = [
        f"{name}: {_version_of(running_before, name)} -> {_version_of(running_now, name)}"
        for name in sorted({*running_before.plugins, *running_now.plugins})
        if _version_of(running_before, name) != _version_of(running_now, name)
    ]
    if running_before.version != running_now.version:
        change_lines.insert(0, f"sgevents {running_before.version} -> {running_now.version}")
    echo("\n  ".join(["Reloaded.", *map(one_line, change_lines)]))


def _version_of(daemon: Running, plugin: str) -> str:
    return (daemon.plugins[plugin] or "loaded") if plugin in daemon.plugins else "not loaded"
