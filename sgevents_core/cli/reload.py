"""`sgevents reload`: makes the running daemon use what has changed."""

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
from sgevents_core.state.running import Running, running

EVERY: Final = 0.05
_SAY_AFTER: Final = 5.0


@click.command()
@config_option
def reload(config: Path) -> None:
    """Make the daemon use changed settings and packages.

    A changed configuration and changed packages are tried in a separate process. If they load, the
    daemon finishes the running callbacks and restarts itself: nothing is lost or repeated. If not,
    it continues unchanged, and this command says why and exits with 1. Sending SIGHUP to the daemon
    does the same.
    """
    folder = _state_of(config)
    before = _asked(folder)
    for waited in _waiting():
        now = running(folder)
        if now is not None and now.refusal != before.refusal and now.refusal is not None:
            raise NotReloadedError(reason=now.refusal.reason)
        if now is not None and now.run != before.run:
            _tell(before, now)
            return
        if not _is_alive(before.pid):
            reason = "its process has ended; see its log"
            raise DaemonElsewhereError(path=folder, reason=reason)
        if waited:
            echo("Waiting for the running callbacks ...", err=True)


def _state_of(config: Path) -> Path:
    """Return the state's folder, even of a configuration that the daemon will refuse."""
    try:
        return read_configuration(config, secrets=False).state.path
    except ConfigError as error:
        folder = state_path(config)
        if folder is None:
            raise NotReloadedError(reason=str(error)) from None
        if lock.holder(folder) is None:
            raise
        return folder


def _asked(folder: Path) -> Running:
    """Ask the daemon to reload; return what it ran before."""
    holder = lock.holder(folder)
    if holder is None or "command" in holder:
        raise NoDaemonError(path=folder)
    if holder.get("host") != socket.gethostname():
        reason = f"it runs on {holder.get('host')}; ask there"
        raise DaemonElsewhereError(path=folder, reason=reason)
    before = running(folder)
    if before is None or not before.reloads:
        reason = "it is only starting, or not one of `sgevents run`; stop it and start it"
        raise DaemonElsewhereError(path=folder, reason=reason)
    if not lock.is_held_by(folder, before.pid):
        reason = (
            f"it cannot be proved that process {before.pid} is the daemon;"
            " reload it by its service, or send it SIGHUP yourself"
        )
        raise DaemonElsewhereError(path=folder, reason=reason)
    try:
        os.kill(before.pid, signal.SIGHUP)
    except PermissionError:
        reason = "it is another user's; ask as that user"
        raise DaemonElsewhereError(path=folder, reason=reason) from None
    return before


def _waiting() -> Iterator[bool]:
    """Yield after each short wait; yield True once, when the wait has become long."""
    began, said = time.monotonic(), False
    while True:
        late = not said and time.monotonic() - began > _SAY_AFTER
        said = said or late
        yield late
        time.sleep(EVERY)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _tell(before: Running, now: Running) -> None:
    """Print what is new."""
    lines = [
        f"{name}: {_version(before, name)} -> {_version(now, name)}"
        for name in sorted({*before.plugins, *now.plugins})
        if _version(before, name) != _version(now, name)
    ]
    if before.version != now.version:
        lines.insert(0, f"sgevents {before.version} -> {now.version}")
    echo("\n  ".join(["Reloaded.", *map(one_line, lines)]))


def _version(one: Running, plugin: str) -> str:
    return (one.plugins[plugin] or "loaded") if plugin in one.plugins else "not loaded"
