"""The signals that mean something to the daemon, held back from its threads; light to import."""

from __future__ import annotations

import signal
from typing import Final

HEEDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_set_mask: Final = signal.pthread_sigmask


def hold_signals() -> None:
    """Let signals wait until there is a daemon that can be told: one that starts, or starts anew.

    Without, they would end the process in the middle, or be lost where it is the first of its
    container.
    """
    _set_mask(signal.SIG_BLOCK, HEEDED)


def release_signals() -> None:
    """Let signals come, those that waited first."""
    _set_mask(signal.SIG_UNBLOCK, HEEDED)
