"""What one run of the daemon has open, from its start to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager

from sgevents_core.alerts.opening import Alerts, open_alerts
from sgevents_core.children.daemon_children import Children
from sgevents_core.children.feed_process import FeedProcess
from sgevents_core.classic.mailing import LoadMailer
from sgevents_core.crashes.evidence import DeathEvidence, EvidenceRecorder, read_death_evidence
from sgevents_core.crashes.recovering import fold_registers
from sgevents_core.daemon.options import RunOptions
from sgevents_core.daemon.server_wait import ServerWait
from sgevents_core.daemon.start_warnings import report_warnings
from sgevents_core.hosts.host_files import HostFiles
from sgevents_core.hosts.opening import open_work
from sgevents_core.hosts.work import Work
from sgevents_core.metrics.opening import Monitoring, open_monitoring
from sgevents_core.observe.process_guard import guarded_process
from sgevents_core.plugins.load_watching import KnownBroken
from sgevents_core.state.lock import StateLock
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Presence, State, Writer
from sgevents_core.state.pulse import read_last_pulse


class Resources:
    """What a run has open; it is closed by `open_resources`, what was opened last first.

    Args:
        options: The daemon's options.
        home: The state.
        state_lock: The lock of the state's folder.
        presence: Shows that this machine runs the daemon.
        recorder: Keeps evidence of whose call ends the process.
        mailer: Mails that a classic file cannot be loaded.
        opened_state: Closes the connection of the main thread, behind everything that writes.
        opened_parts: Closes everything else.
    """

    state_writer: Writer
    """The connection of the main thread; there is none before `open_writer`."""
    children: Children
    """The worker processes; there are none before `open_processes`."""
    feed_process: FeedProcess
    """The process that follows the log while the feed is far behind, likewise."""
    evidence: DeathEvidence | None
    """How the last process of this host died, likewise; None if that is not known."""

    def __init__(
        self,
        options: RunOptions,
        home: State,
        *,
        state_lock: StateLock,
        presence: Presence,
        recorder: EvidenceRecorder,
        mailer: LoadMailer,
        opened_state: ExitStack,
        opened_parts: ExitStack,
    ) -> None:
        self._settings = options.settings
        self._left_out = options.left_out
        self._state_lock = state_lock
        self._opened_state = opened_state
        self._opened_parts = opened_parts
        self.home = home
        self.presence = presence
        self.recorder = recorder
        self.mailer = mailer
        last_pulse = read_last_pulse(self._settings.state.path)
        crashed_at = 0.0 if last_pulse is None else last_pulse.at
        self.alerts: Alerts = opened_parts.enter_context(
            closing(open_alerts(self._settings, crashed_at))
        )
        self.monitoring: Monitoring = opened_parts.enter_context(
            closing(open_monitoring(self._settings))
        )

    def open_writer(self, is_over_within: Callable[[float], bool]) -> bool:
        """Open the state; wait for its servers if it is on some. Return whether it is open.

        Args:
            is_over_within: Waits for some seconds; returns whether the start must end.

        Raises:
            StateError: The state cannot be used.
        """
        waiting = ServerWait(self._settings, is_over_within, self.monitoring.report_start)
        state_writer = waiting.open_writer(self.home)
        if state_writer is None:
            return False
        self.state_writer = self._opened_state.enter_context(closing(state_writer))
        return True

    def open_processes(self, known_broken: Mapping[str, KnownBroken]) -> None:
        """Read what the last process has left, and open what starts other processes.

        Args:
            known_broken: Plugin -> why it is not loaded.
        """
        state_folder = self._settings.state.path
        is_shared = self.home.leases() is not None
        if not is_shared:  # else each lane's register is read once the lane is taken
            fold_registers(state_folder, self.state_writer)
        self.evidence = read_death_evidence(state_folder)
        self.recorder.start_recording()
        self.children = self._opened_parts.enter_context(
            closing(Children(self._settings, self._left_out, known_broken))
        )
        self.feed_process = self._opened_parts.enter_context(
            closing(FeedProcess(self._settings, self._state_lock))
        )
        if not is_shared:
            self.feed_process.prepare_early(self.state_writer.load_feed(), time.time())

    def open_work(self, lane_names: Collection[str], files: HostFiles) -> Work:
        """Return what this process is to work at; its leases are given back at the end.

        Args:
            lane_names: All lanes.
            files: What this host runs.
        """
        work = open_work(self.home, self._settings, lane_names, files)
        self._opened_parts.callback(work.close)
        return work


@contextmanager
def open_resources(options: RunOptions) -> Iterator[Resources]:
    """Lock a state, and have what a run needs while the block lasts.

    Args:
        options: The daemon's options.

    Raises:
        StateInUse: Another daemon runs on the state.
        StateError: Its folder cannot be used.
    """
    state_folder = options.settings.state.path
    home = open_state(state_folder)
    with (
        closing(StateLock(state_folder)) as state_lock,
        closing(home.presence()) as presence,
        ExitStack() as opened_state,
        closing(EvidenceRecorder(state_folder)) as recorder,
        guarded_process(state_folder),
        closing(LoadMailer(options.settings)) as mailer,
        ExitStack() as opened_parts,
    ):
        report_warnings(options.settings)
        yield Resources(
            options,
            home,
            state_lock=state_lock,
            presence=presence,
            recorder=recorder,
            mailer=mailer,
            opened_state=opened_state,
            opened_parts=opened_parts,
        )
