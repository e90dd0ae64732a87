"""The end of the process of `sgevents run`, the only command with plugins' code in threads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

log: Callable[[], AbstractContextManager[None]] | None = None
"""Opens the log of the daemon that ran; None before one has run."""


def run_and_end(command: Callable[[], object]) -> None:
    """Run the command, and end the process soon after it, with its exit code."""
    try:
        command()
    except SystemExit as end:
        _bounded(end.code)
        raise
    except BaseException:
        _bounded(1)
        raise
    _bounded(0)


def _bounded(code: object) -> None:
    if log is None:  # no plugin's code has run
        return
    from sgevents_core.daemon.ending import ENDS_WITHIN, end_within

    number = code if isinstance(code, int) else int(code is not None)
    end_within(ENDS_WITHIN, number, log)
