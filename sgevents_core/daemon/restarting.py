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
from sgevents_core.observe.printed_output import restore_descriptors
from sgevents_core.settings import LogSettings

RESTART_SPACE: Final = 256 * 1024
"""Bytes that have to be free on the disk for a restart, for the files that it writes first."""
_FLUSH_TIMEOUT: Final = 1.0
"""Seconds to wait for a terminal to accept the printed text."""
_ROOT: Final = Path("/")
_exit: Final = os._exit


class CommandLine(NamedTuple):
    """How this process was started and can be started again.

    Args:
        command_words: The program and its arguments.
        start_folder: The folder it was started in; None if that does not exist.
        environment: The environment it was started in, whatever plugins have changed since.
    """

    command_words: tuple[str, ...]
    start_folder: Path | None
    environment: Mapping[str, str]

    def usable_folder(self) -> Path:
        """Return the folder to start it in again: the same one or, if that is gone, the root."""
        return (
            self.start_folder
            if self.start_folder is not None and self.start_folder.is_dir()
            else _ROOT
        )


def command_line() -> CommandLine:
    """Return how this process was started; call it before a plugin can change the folder."""
    start_folder: Path | None = None
    with suppress(OSError):  # it no longer exists
        start_folder = Path.cwd()
    return CommandLine((sys.executable, *sys.orig_argv[1:]), start_folder, dict(os.environ))


def restart_obstacle(
    start_command: CommandLine, state_folder: Path, log_settings: LogSettings
) -> str:
    """Return why a process started now could not run, for people; empty if no reason is known.

    Args:
        start_command: The command line it would be started with.
        state_folder: The state's folder.
        log_settings: The file it would log to.
    """
    python_path = start_command.command_words[0]
    if not os.access(python_path, os.X_OK):
        return f"the Python that runs sgevents cannot be started: {python_path} is not there"
    try:
        _check_space(state_folder)
    except OSError as error:
        return f"a start could not write to {state_folder}: {error.strerror or error}"
    if log_settings.file is not None:
        try:
            os.close(os.open(log_settings.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640))
        except OSError as error:
            return f"a start could not write its log {log_settings.file}: {error.strerror or error}"
    return ""


def _check_space(folder: Path) -> None:
    test_file = folder / "room"
    with suppress(FileNotFoundError):
        test_file.unlink()
    descriptor = os.open(test_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        written_count = os.write(descriptor, bytes(RESTART_SPACE))
        if written_count < RESTART_SPACE:  # the next write raises the reason
            os.write(descriptor, bytes(RESTART_SPACE - written_count))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        test_file.unlink()


def execute_anew(start_command: CommandLine) -> NoReturn:
    """Replace this process by a new one, started in the same way.

    Raises:
        OSError: It cannot be replaced; nothing has changed.
    """
    flush_all()
    restore_descriptors()
    with suppress(OSError):
        os.chdir(start_command.usable_folder())
    environment = dict(start_command.environment)
    os.execve(start_command.command_words[0], start_command.command_words, environment)  # noqa: S606 - the same again


def end_at_once(exit_code: int = 0) -> NoReturn:
    """End this process without waiting for any thread."""
    flush_all()
    _exit(exit_code)


def flush_all() -> None:
    """Flush log, output and errors; give up on a terminal that accepts nothing."""
    flush_log()
    flush_thread = threading.Thread(target=_flush_streams, name="output", daemon=True)
    with suppress(RuntimeError):  # there are too many threads
        flush_thread.start()
        flush_thread.join(_FLUSH_TIMEOUT)


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # a plugin may have replaced it by anything
            stream.flush()
