"""The start of a daemon whose state is on servers: it waits for them, and says why meanwhile."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

from sgevents_core import __version__
from sgevents_core.errors import BrokerUnreachable, ClusterNotReadyError
from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.observe.systemd import Systemd
from sgevents_core.settings import Settings
from sgevents_core.state.opening import open_server_trial
from sgevents_core.state.protocols import ServerRemark, ServerTrial, State, Writer
from sgevents_core.state.pulse import Pulse, remove_pulse, write_pulse

logger = logging.getLogger("sgevents.daemon")

LOOK_INTERVAL: Final = 0.5
"""Seconds between two looks at the servers; a stop is noticed at once."""
REMINDER_INTERVAL: Final = 60.0
"""Seconds between two log records about the same reason."""
_FORMING_SECONDS: Final = 5.0
"""How long servers that have just come back may lack something: they may still be reading."""
_EXTENSION_SECONDS: Final = 30.0


class ServerWait:
    """Opens a state once its servers can keep it.

    Args:
        settings: The configuration.
        is_over_within: Waits for some seconds; returns whether the start must end.
        report_reason: Takes why the start waits, for monitoring; empty once it goes on.
    """

    def __init__(
        self,
        settings: Settings,
        is_over_within: Callable[[float], bool],
        report_reason: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._is_over_within = is_over_within
        self._report_reason = report_reason
        self._service_manager = Systemd()
        self._started_at = time.time()
        self._trouble: LastingFailure | None = None
        self._logged_at = float("-inf")
        self._answered_at: float | None = None

    def open_writer(self, home: State) -> Writer | None:
        """Return a connection to the state; None if the start must end before.

        Servers that do not answer are waited for, for ever. What no waiting mends ends the start.

        Raises:
            BrokerRefused: A server refuses this user, or what answers is none.
            ClusterNotReadyError: The servers cannot keep the state.
            StateError: The state cannot be used.
        """
        server_trial = open_server_trial(self._settings)
        if server_trial is None:
            return home.writer()
        try:
            with closing(server_trial):
                return self._wait_and_open(server_trial, home)
        finally:
            remove_pulse(self._settings.state.path)

    def _wait_and_open(self, server_trial: ServerTrial, home: State) -> Writer | None:
        while True:
            try:
                remarks = server_trial.carry_out()
                writer = home.writer()
            except BrokerUnreachable as error:
                if server_trial.has_outcome:
                    self._note_trouble(error)
            except ClusterNotReadyError:
                if not self._may_be_forming():
                    raise
            else:
                self._note_success(remarks)
                return writer
            if self._is_over_within(LOOK_INTERVAL):
                return None

    def _may_be_forming(self) -> bool:
        """Return whether servers that were away may still be reading what they have stored."""
        if self._trouble is None:
            return False
        self._answered_at = self._answered_at or time.monotonic()
        return time.monotonic() < self._answered_at + _FORMING_SECONDS

    def _note_trouble(self, error: BrokerUnreachable) -> None:
        self._answered_at = None
        current_time, monotonic_now = time.time(), time.monotonic()
        since = current_time if self._trouble is None else self._trouble.since
        is_new = self._trouble is None or self._trouble.error != str(error)
        self._trouble = LastingFailure(str(error), since, fix=error.fix)
        if is_new or monotonic_now >= self._logged_at + REMINDER_INTERVAL:
            self._logged_at = monotonic_now
            logger.warning("%s The start waits.", error, extra={"action": "servers.awaited"})
        self._report_reason(f"the daemon waits for the NATS servers: {error.reason}")
        self._service_manager.status(f"waiting for the NATS servers: {error.reason}")
        self._service_manager.extend_timeout(_EXTENSION_SECONDS)
        daemon_pulse = Pulse(
            pid=os.getpid(),
            version=__version__,
            started=self._started_at,
            at=current_time,
            journal=self._trouble,
        )
        write_pulse(self._settings.state.path, daemon_pulse)

    def _note_success(self, remarks: Sequence[ServerRemark]) -> None:
        for remark in remarks:
            extra = {"action": "servers.remark", "stream": remark.stream}
            where = f"{remark.stream}: " if remark.stream else ""
            logger.warning("%s%s. To do: %s", where, remark.problem, remark.fix, extra=extra)
        self._report_reason("")
        if self._trouble is not None:
            self._service_manager.status("")
            waited_seconds = time.time() - self._trouble.since
            log_text = "The NATS servers answer after %.1f s; the start goes on"
            logger.info(log_text, waited_seconds, extra={"action": "servers.answer"})
