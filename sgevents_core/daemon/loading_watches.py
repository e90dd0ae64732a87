"""Watches over plugins' code outside callbacks: while it is loaded, started and shut down.

A stop interrupts that code, and a process whose main thread does not return from it is ended or
replaced.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sgevents_core.crashes.evidence import EvidenceRecorder
from sgevents_core.crashes.loading_watch import InterruptingWatch
from sgevents_core.daemon.restarting import CommandLine, end_at_once, execute_anew
from sgevents_core.observe.systemd import Systemd
from sgevents_core.plugins.load_watching import KnownBroken

logger = logging.getLogger("sgevents.daemon")


class LoadingWatches:
    """The watches of one run; one is open at a time.

    Args:
        recorder: Keeps evidence of whose code ends the process.
        start_command: How the process was started; None if it cannot be started again.
    """

    def __init__(self, recorder: EvidenceRecorder, start_command: CommandLine | None) -> None:
        self._recorder = recorder
        self._start_command = start_command
        self._open_watch: InterruptingWatch | None = None

    @contextmanager
    def open(
        self, known_broken: Mapping[str, KnownBroken] | None = None
    ) -> Iterator[InterruptingWatch]:
        """Watch plugins' code while the block lasts.

        Args:
            known_broken: Plugin -> why it is not loaded.
        """
        watch = self._make_watch(known_broken)
        try:
            with watch as self._open_watch:
                yield watch
        finally:
            self._open_watch = None

    def for_shutdown(self) -> InterruptingWatch:
        """Return a watch, not open, that a stop does not interrupt."""
        return self._make_watch(is_stoppable=False)

    def stop(self) -> None:
        """Interrupt the code that is watched; may be called from a signal handler."""
        if self._open_watch is not None:
            self._open_watch.stop()

    def _make_watch(
        self, known_broken: Mapping[str, KnownBroken] | None = None, *, is_stoppable: bool = True
    ) -> InterruptingWatch:
        return InterruptingWatch(
            self._recorder,
            known_broken,
            give_up_process=self._give_up_process,
            is_stoppable=is_stoppable,
            systemd=Systemd(),
        )

    def _give_up_process(self, must_stop: bool) -> None:
        """End or replace the process, because its main thread does not return from a plugin."""
        if must_stop:
            extra = {"action": "daemon.stopped"}
            logger.warning("Stopped in the middle of a plugin that does not return", extra=extra)
            self._recorder.close()
            end_at_once()
        if self._start_command is not None:
            _replace_process(self._start_command)


def _replace_process(start_command: CommandLine) -> None:
    """Start the process anew, or end it if that cannot be."""
    extra = {"action": "daemon.starting_anew"}
    log_text = "A plugin does not return and cannot be ended: starting anew without it"
    logger.error(log_text, extra=extra)
    try:
        execute_anew(start_command)
    except OSError as error:
        log_text = "It cannot be started anew, so it ends here: %s"
        logger.error(log_text, error, extra=extra)
        end_at_once(1)
