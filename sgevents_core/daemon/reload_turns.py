"""When this process may be replaced: alone at once, and among several hosts when its turn comes.

The first host that reloads says what is wanted: what its trial has shown. Every other host reloads
only if its own trial shows the same.
"""

from __future__ import annotations

import logging
import time
from typing import Final, Literal, TypeAlias

from sgevents_core.daemon.reload import Reloader
from sgevents_core.hosts.host_files import HostFiles
from sgevents_core.hosts.rolling import RollingReload

logger = logging.getLogger("sgevents.daemon")

ANSWER_SECONDS: Final = 10.0
"""Seconds that servers may take to record what is wanted."""
_NO_ANSWER: Final = "what is wanted cannot be recorded: the NATS servers do not answer"
_NO_FILES: Final = "its trial did not report what it loaded"

Cause: TypeAlias = Literal["asked", "its turn", "hangs"]
"""Why this process reloads: a person asks, it is this host's turn, or its threads hang."""


class ReloadTurns:
    """The reloads of one process; for the main thread.

    Args:
        reloader: Tries the new state, and knows whether the process can be replaced.
        rolling: This host's part in a reload of all hosts; None if there are no others.
    """

    def __init__(self, reloader: Reloader, rolling: RollingReload | None) -> None:
        self._reloader = reloader
        self._rolling = rolling
        self._cause: Cause = "asked"
        self._answer_due: float | None = None
        """Until when to wait for what is wanted to be recorded; None while nothing is asked."""

    def request_reload(self) -> None:
        """Accept a person's request to reload this host, and all others after it."""
        self._cause = "asked"
        self._reloader.request_reload()

    def leave_hung(self, current_time: float) -> None:
        """Request a restart of this host alone because threads of the daemon hang.

        Args:
            current_time: The current monotonic time, in seconds.
        """
        if self._answer_due is None and self._reloader.leave_hung(current_time):
            self._cause = "hangs"

    def poll(self) -> bool:
        """Continue with a request; return True once this process is to be replaced."""
        rolling = self._rolling
        if rolling is None:
            return self._reloader.poll_rehearsal()
        if rolling.notice_turn() and self._answer_due is None:
            self._begin_turn(rolling)
        if self._answer_due is not None:
            return self._await_answer(rolling, self._answer_due)
        if self._reloader.poll_rehearsal():
            return self._agree(rolling, self._reloader.rehearsed_files)
        reason = self._reloader.take_refusal()
        if reason and self._cause == "its turn":
            rolling.refuse(reason)
        return False

    def _begin_turn(self, rolling: RollingReload) -> None:
        """Try what this host would have, as it is its turn to reload."""
        logger.info("It is this host's turn to reload", extra={"action": "hosts.reload_turn"})
        self._cause = "its turn"
        if not self._reloader.can_restart:
            rolling.refuse("its daemon was not started by `sgevents run`; restart it")
            return
        self._reloader.request_reload()

    def _agree(self, rolling: RollingReload, files: HostFiles | None) -> bool:
        """Return whether this process may be replaced by one that has some files."""
        if self._cause == "hangs":
            return True
        if files is None:
            return self._refuse(rolling, _NO_FILES)
        if self._cause == "its turn":
            objection = rolling.find_objection(files)
            return not objection or self._refuse(rolling, objection)
        rolling.ask(files)
        self._answer_due = time.monotonic() + ANSWER_SECONDS
        return False

    def _await_answer(self, rolling: RollingReload, answer_due: float) -> bool:
        """Return whether what was asked for is recorded, and this host reloads at once."""
        answer = rolling.answer
        if not answer and time.monotonic() < answer_due:
            return False
        self._answer_due = None
        if not answer:
            rolling.withdraw()
            return self._refuse(rolling, _NO_ANSWER)
        if answer == "later":
            log_text = "Another host reloads now: this one follows when its turn comes"
            logger.info(log_text, extra={"action": "hosts.reload_later"})
        return answer == "its turn"

    def _refuse(self, rolling: RollingReload, reason: str) -> bool:
        """Continue as it was, and say so; return False."""
        self._reloader.refuse(reason)
        self._reloader.take_refusal()
        if self._cause == "its turn":
            rolling.refuse(reason)
        return False
