"""Block the signals that the daemon handles; light to import."""

from __future__ import annotations

import signal
from typing import Final

HANDLED_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_set_mask: Final = signal.pthread_sigmask


def hold_signals() -> None:
    """Block signals until there is a daemon to handle them, at a start or a restart.

    Otherwise they would end the process midway, or be lost if it is the first process of its
    container.
    """
    _set_mask(signal.SIG_BLOCK, HANDLED_SIGNALS)


def release_signals() -> None:
    """Unblock signals; pending ones are delivered first."""
    _set_mask(signal.SIG_UNBLOCK, HANDLED_SIGNALS)
