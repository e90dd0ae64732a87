"""The end of the process of `sgevents run`, the only command with plugins' code in threads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

open_log: Callable[[], AbstractContextManager[None]] | None = None
"""Opens the log of the daemon that ran; None before one has run."""


def run_and_end(command: Callable[[], object]) -> None:
    """Run the command, then end the process promptly with the command's exit code."""
    try:
        command()
    except SystemExit as system_exit:
        _end_soon(system_exit.code)
        raise
    except BaseException:
        _end_soon(1)
        raise
    _end_soon(0)


def _end_soon(exit_code: object) -> None:
    if open_log is None:  # no plugin's code has run
        return
    from sgevents_core.daemon.ending import END_TIMEOUT, end_within

    exit_number = exit_code if isinstance(exit_code, int) else int(exit_code is not None)
    end_within(END_TIMEOUT, exit_number, open_log)
