"""Keeps code of a plugin that comes back in another process from going on there as the daemon."""

from __future__ import annotations

import os
from typing import Final, NoReturn

_exit: Final = os._exit

generation: Final = [0]
"""How often this process has been forked off another; to be compared before and after a call."""


def _forked() -> None:
    generation[0] += 1


os.register_at_fork(after_in_child=_forked)


def end_child(error: BaseException | None = None) -> NoReturn:
    """End a process that a plugin has forked, at the border of the call it was forked in.

    Nothing of the daemon's is flushed, closed or called: all of it belongs to the other process.

    Args:
        error: What the plugin's code raised in the child, None if it returned.
    """
    _exit(_code_of(error))


def _code_of(error: BaseException | None) -> int:
    """Return the exit code that Python would end with."""
    if error is None:
        return 0
    if not issubclass(type(error), SystemExit):
        return 1
    try:
        code = error.code  # type: ignore[attr-defined]  # of SystemExit
        return 0 if code is None else int(code) & 0xFF
    except BaseException:  # a text, or something of the plugin's
        return 1
