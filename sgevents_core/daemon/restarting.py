"""How this process was started, whether it can be started again, and doing so.

What a restart needs is checked before anything ends: a process that cannot restart continues.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from sgevents_core.observe.logs import flush_log
from sgevents_core.observe.printed import restore_descriptors
from sgevents_core.settings import LogSettings

ROOM: Final = 256 * 1024
"""Bytes that have to be free on the disk for a restart, for the files that it writes first."""
_FLUSHES_WITHIN: Final = 1.0
"""Seconds to wait for a terminal to accept what was printed."""
_ROOT: Final = Path("/")
_exit: Final = os._exit


class CommandLine(NamedTuple):
    """How this process was started and can be started again.

    Args:
        words: The program and its arguments.
        home: The folder it was started in; None if that does not exist.
        variables: The environment it was started in, whatever plugins have changed since.
    """

    words: tuple[str, ...]
    home: Path | None
    variables: Mapping[str, str]

    def folder(self) -> Path:
        """Return the folder to start it in again: the same one or, if that is gone, the root."""
        return self.home if self.home is not None and self.home.is_dir() else _ROOT


def command_line() -> CommandLine:
    """Return how this process was started; call it before a plugin can change the folder."""
    home: Path | None = None
    with suppress(OSError):  # it no longer exists
        home = Path.cwd()
    return CommandLine((sys.executable, *sys.orig_argv[1:]), home, dict(os.environ))


def obstacle(started: CommandLine, state: Path, log: LogSettings) -> str:
    """Return why a process started now could not run, for people; empty if no reason is known.

    Args:
        started: The command line it would be started with.
        state: The state's folder.
        log: The file it would log to.
    """
    python = started.words[0]
    if not os.access(python, os.X_OK):
        return f"the Python that runs sgevents cannot be started: {python} is not there"
    try:
        _write_some(state)
    except OSError as error:
        return f"a start could not write to {state}: {error.strerror or error}"
    if log.file is not None:
        try:
            os.close(os.open(log.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640))
        except OSError as error:
            return f"a start could not write its log {log.file}: {error.strerror or error}"
    return ""


def _write_some(folder: Path) -> None:
    file = folder / "room"
    with suppress(FileNotFoundError):
        file.unlink()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        written = os.write(descriptor, bytes(ROOM))
        if written < ROOM:  # the next write raises the reason
            os.write(descriptor, bytes(ROOM - written))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        file.unlink()


def execute_anew(started: CommandLine) -> NoReturn:
    """Replace this process by a new one, started in the same way.

    Raises:
        OSError: It cannot be replaced; nothing has changed.
    """
    flush_all()
    restore_descriptors()
    with suppress(OSError):
        os.chdir(started.folder())
    variables = dict(started.variables)
    os.execve(started.words[0], started.words, variables)  # noqa: S606 - the same again


def end_at_once(code: int = 0) -> NoReturn:
    """End this process without waiting for any thread."""
    flush_all()
    _exit(code)


def flush_all() -> None:
    """Flush log, output and errors; give up on a terminal that accepts nothing."""
    flush_log()
    thread = threading.Thread(target=_flush_streams, name="output", daemon=True)
    with suppress(RuntimeError):  # there are too many threads
        thread.start()
        thread.join(_FLUSHES_WITHIN)


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # a plugin may have replaced it by anything
            stream.flush()
