"""The daemon: it locks the state, loads the plugins, and runs until it is stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Container, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import chain
from queue import Empty, SimpleQueue
from typing import NamedTuple

from sgevents_core.alerts.opening import open_alerts
from sgevents_core.alerts.watched_daemon import WatchedDaemon
from sgevents_core.calling.context import Services
from sgevents_core.children.daemon_children import Children, plugins_in_children
from sgevents_core.children.feed_process import FeedProcess
from sgevents_core.classic.finding import find_plugins
from sgevents_core.classic.folder_watch import FolderWatch
from sgevents_core.classic.loaded_files import LoadedFiles
from sgevents_core.classic.mailing import LoadMailer
from sgevents_core.crashes.evidence import (
    DeathEvidence,
    EvidenceRecorder,
    read_death_evidence,
)
from sgevents_core.crashes.loading_deaths import count_last_death, find_known_broken
from sgevents_core.crashes.loading_watch import InterruptingWatch
from sgevents_core.crashes.recovering import collect_lane_names, fold_registers
from sgevents_core.daemon.assembly import Assembly
from sgevents_core.daemon.classic_following import ClassicFollowing
from sgevents_core.daemon.file_trials import find_deadly_files
from sgevents_core.daemon.late_lanes import LateLanes
from sgevents_core.daemon.parts import Parts
from sgevents_core.daemon.reload import USABLE_STATUSES, Reloader
from sgevents_core.daemon.reload_turns import ReloadTurns
from sgevents_core.daemon.restarting import CommandLine, end_at_once, execute_anew
from sgevents_core.daemon.run import DaemonRun, SignalOrder
from sgevents_core.daemon.running_files import RunningFiles
from sgevents_core.daemon.server_wait import ServerWait
from sgevents_core.daemon.state_trouble import find_state_trouble
from sgevents_core.daemon.turnover import WorkTurnover
from sgevents_core.hosts.host_files import HostFiles
from sgevents_core.hosts.opening import open_work
from sgevents_core.hosts.work import Work
from sgevents_core.metrics.opening import Monitoring, open_monitoring
from sgevents_core.metrics.watched import WatchedParts
from sgevents_core.observe.process_guard import guarded_process
from sgevents_core.observe.systemd import Systemd
from sgevents_core.plugins.load_watching import KnownBroken, LoadingStopped, PluginWatch
from sgevents_core.plugins.loading import Loaded, load
from sgevents_core.plugins.reporting import log_remarks, log_statuses
from sgevents_core.settings import Settings
from sgevents_core.state.disk import NETWORK_FILE_SYSTEMS, detect_file_system
from sgevents_core.state.exposures import state_exposures
from sgevents_core.state.lock import StateLock
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Presence, Reader, State, Writer
from sgevents_core.state.pulse import read_last_pulse

logger = logging.getLogger("sgevents.daemon")


class Remains(NamedTuple):
    """The work left after a drain, for people.

    Args:
        waiting_ids: Ids still waited for.
        stopped_plugins: Plugins that are held, paused or not started, with the reason for each.
        waiting_batches: Batches whose call has not ended: it failed, or their plugin is stopped.
    """

    waiting_ids: int
    stopped_plugins: tuple[tuple[str, str, str], ...]
    waiting_batches: int = 0


class Daemon:
    """The daemon of one site, which passes its events to the enabled plugins.

    Args:
        settings: The configuration.
        drain: Whether to end once every event so far is handled.
        strict: Whether every enabled plugin must load.
        without: Enabled plugins to leave out of this run; their events are kept for them.
        started: How the process was started; None if it cannot be reloaded.
        refused: Why an earlier attempt to replace this process failed; empty if there was none.
        services_class: The class of a plugin's services, which its calls share.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        drain: bool = False,
        strict: bool = False,
        without: Container[str] = (),
        started: CommandLine | None = None,
        refused: str = "",
        services_class: type[Services] = Services,
    ) -> None:
        self._services_class = services_class
        self._refusal_text = refused
        self._settings = settings
        self._is_drain = drain
        self._is_strict = strict
        self._left_out = without
        self._start_command = started
        # Unlike an Event, its `put` may interrupt its `get`, as a signal does.
        self._orders: SimpleQueue[SignalOrder] = SimpleQueue()
        self._is_reloading = False
        self._loading_watch: InterruptingWatch | None = None
        self.has_hung_threads = False
        """Whether threads of plugins hung when it ended, which may keep the process from ending."""

    @property
    def reloads(self) -> bool:
        """Whether it has ended in order to be executed again, and was not stopped since."""
        while not self._orders.empty():
            self._is_reloading &= self._orders.get() != "stop"
        return self._is_reloading

    def stop(self) -> None:
        """Stop after the running callbacks; may be called from a signal handler."""
        self._orders.put("stop")
        if self._loading_watch is not None:
            self._loading_watch.stop()

    def reload(self) -> None:
        """Test the new configuration, and end to restart; may be called from a signal handler."""
        self._orders.put("reload")

    def load(self, watch: PluginWatch | None = None, children: Children | None = None) -> Loaded:
        """Load the plugins as a run does.

        Args:
            watch: Watches the plugins' code; by default it is not watched.
            children: The worker processes, which load the plugins of their lanes; without them, all
                plugins are loaded here.

        Raises:
            PluginError: `strict`, and an enabled plugin cannot be used.
            LoadingStopped: The watch was stopped.
        """
        strict, without = self._is_strict, self._left_out
        plugin_discovery = find_plugins(self._settings)
        log_remarks(plugin_discovery)
        loaded_elsewhere = {} if children is None else children.load(watch or PluginWatch())
        return load(
            self._settings,
            plugin_discovery,
            strict=strict,
            without=without,
            watch=watch,
            elsewhere=loaded_elsewhere,
        )

    def run(self) -> Remains:
        """Run until stopped (or drained), and return the remaining work.

        Raises:
            StateInUse: Another daemon runs on the state.
            StateError: The state cannot be used.
            PluginError: `strict`, and an enabled plugin cannot be used.
            SgEventsError: The feed or a lane cannot continue.
        """
        state_folder = self._settings.state.path
        home = open_state(state_folder)
        with (
            closing(StateLock(state_folder)) as state_lock,
            closing(home.presence()) as presence,
            ExitStack() as opened_state,
            closing(EvidenceRecorder(state_folder)) as recorder,
            guarded_process(state_folder),
            closing(LoadMailer(self._settings)) as mailer,
            ExitStack() as opened_parts,
        ):
            _report_warnings(self._settings)
            last_pulse = read_last_pulse(state_folder)
            crashed_at = 0.0 if last_pulse is None else last_pulse.at
            alerts = opened_parts.enter_context(closing(open_alerts(self._settings, crashed_at)))
            monitoring = opened_parts.enter_context(closing(open_monitoring(self._settings)))
            waiting = ServerWait(self._settings, self._is_over_within, monitoring.report_start)
            state_writer = waiting.open_writer(home)
            if state_writer is None:
                logger.info("Stopped", extra={"action": "daemon.stopped"})
                return Remains(0, ())
            opened_state.enter_context(closing(state_writer))
            known_broken = find_known_broken(count_last_death(state_folder))
            leases = home.leases()
            if leases is None:  # else each lane's register is read once the lane is taken
                fold_registers(state_folder, state_writer)
            evidence = read_death_evidence(state_folder)
            recorder.start_recording()
            children = opened_parts.enter_context(
                closing(Children(self._settings, self._left_out, known_broken))
            )
            feed_process = opened_parts.enter_context(
                closing(FeedProcess(self._settings, state_lock))
            )
            if leases is None:
                feed_process.prepare_early(state_writer.load_feed(), time.time())
            known_broken |= self._find_deadly_files(known_broken)
            give_up_process, service_manager = (
                partial(_give_up_process, recorder, self._start_command),
                Systemd(),
            )
            try:
                with InterruptingWatch(
                    recorder, known_broken, give_up_process=give_up_process, systemd=service_manager
                ) as self._loading_watch:
                    run, loaded = self._assemble_run(
                        state_writer,
                        recorder,
                        presence,
                        children,
                        mailer=mailer,
                        feed_process=feed_process,
                        monitoring=monitoring,
                        open_work=partial(self._open_work, home, opened_parts),
                        evidence=evidence,
                    )
            except LoadingStopped:
                logger.info("Stopped", extra={"action": "daemon.stopped"})
                return _describe_remains(state_writer, ())
            finally:
                self._loading_watch = None
            broken = _broken_plugins(self._settings, loaded)
            alerts.watch(WatchedDaemon(_watched_parts(run.parts), broken))
            run.run(
                InterruptingWatch(
                    recorder,
                    give_up_process=give_up_process,
                    is_stoppable=False,
                    systemd=service_manager,
                )
            )
            self._is_reloading, self.has_hung_threads = (run.is_reloading, run.has_hung_threads)
            return _describe_remains(state_writer, {plugin.name for plugin in loaded.plugins})

    def _is_over_within(self, seconds: float) -> bool:
        """Wait some seconds for an order, each of which ends a start that waits."""
        try:
            self._is_reloading = self._orders.get(timeout=seconds) == "reload"
        except Empty:
            return False
        return True

    def _find_deadly_files(self, known_broken: Container[str]) -> dict[str, KnownBroken]:
        """Try the classic files that this process would load for the first time."""
        settings = self._settings
        loaded_files = LoadedFiles(settings)
        in_children = set(chain(*plugins_in_children(settings, self._left_out).values()))
        untried_plugins = [
            name
            for name in loaded_files.changed_plugins(loaded_files.present_versions())
            if settings.plugins[name].enabled
            and not (name in self._left_out or name in known_broken or name in in_children)
        ]
        if not untried_plugins:
            return {}
        return find_deadly_files(
            settings, untried_plugins, Systemd(), lambda: not self._orders.empty()
        )

    def _assemble_run(
        self,
        state_writer: Writer,
        recorder: EvidenceRecorder,
        presence: Presence,
        children: Children,
        *,
        mailer: LoadMailer,
        feed_process: FeedProcess,
        monitoring: Monitoring,
        open_work: Callable[[Collection[str], HostFiles], Work],
        evidence: DeathEvidence | None,
    ) -> tuple[DaemonRun, Loaded]:
        """Load and start the plugins, and assemble everything."""
        folders = FolderWatch(self._settings.classic_folders)  # before any file is read
        loaded_files = LoadedFiles(self._settings)
        versions = loaded_files.present_versions()
        running_files = RunningFiles(self._settings)
        loaded = self.load(self._loading_watch, children)
        log_statuses(loaded)
        for status in loaded.statuses:
            mailer.mail_failure(status)
        reloader = Reloader(self._settings, loaded, self._start_command, self._refusal_text)
        lane_names = collect_lane_names(self._settings, loaded, state_writer)
        work = open_work(lane_names, running_files.describe(loaded))
        assembly = Assembly(
            self._settings,
            loaded,
            state_writer,
            recorder=recorder,
            presence=presence,
            children=children,
            feed_process=feed_process,
            work=work,
            running_files=running_files,
            evidence=evidence if work.is_shared else None,
            services_class=self._services_class,
            call_counts=monitoring.call_counts,
        )
        changed_plugins = loaded_files.changed_plugins(versions)
        parts = assembly.assemble(self._loading_watch, changed_plugins)
        loaded_files.note_loaded([plugin.name for plugin in loaded.plugins], versions)
        monitoring.watch(_watched_parts(parts))
        classic_files = None
        if self._settings.classic_folders and not self._is_drain:
            classic_files = ClassicFollowing(
                self._settings,
                loaded,
                folders,
                assembly=assembly,
                parts=parts,
                open_watch=partial(self._open_loading_watch, recorder),
                loaded_files=loaded_files,
                running_files=running_files,
                mailer=mailer,
                without=self._left_out,
            )
        run = DaemonRun(
            self._settings,
            parts,
            state_writer,
            orders=self._orders,
            reloader=reloader,
            reload_turns=ReloadTurns(reloader, work.rolling),
            presence=presence,
            drain=self._is_drain,
            classic_files=classic_files,
            turnover=WorkTurnover(
                work, assembly, parts, partial(self._open_loading_watch, recorder)
            ),
            late_lanes=LateLanes(
                loaded,
                assembly=assembly,
                parts=parts,
                open_watch=partial(self._open_loading_watch, recorder),
            ),
        )
        return run, loaded

    def _open_work(
        self,
        home: State,
        opened_parts: ExitStack,
        lane_names: Collection[str],
        files: HostFiles,
    ) -> Work:
        """Return what this process is to work at; its leases are given back at the end."""
        work = open_work(home, self._settings, lane_names, files)
        opened_parts.callback(work.close)
        return work

    @contextmanager
    def _open_loading_watch(self, recorder: EvidenceRecorder) -> Iterator[PluginWatch]:
        """Watch the code of plugins that are loaded while the daemon runs."""
        give_up_process = partial(_give_up_process, recorder, self._start_command)
        watch = InterruptingWatch(recorder, give_up_process=give_up_process, systemd=Systemd())
        try:
            with watch as self._loading_watch:
                yield watch
        finally:
            self._loading_watch = None


def _broken_plugins(settings: Settings, loaded: Loaded) -> dict[str, str]:
    """Return why enabled plugins do not run, by name."""
    enabled = {name for name, table in settings.plugins.items() if table.enabled}
    return {
        status.name: status.reason
        for status in loaded.statuses
        if status.name in enabled and status.status not in USABLE_STATUSES
    }


def _watched_parts(parts: Parts) -> WatchedParts:
    """Return the parts of a run that monitoring looks at."""
    return WatchedParts(
        plugins=parts.plugins,
        services=parts.services,
        lanes=parts.lanes,
        workers=parts.children.lanes,
        find_feed=lambda: parts.following.feed,
        liveness=parts.liveness,
        stopping=parts.children.stopping,
        state_trouble=partial(find_state_trouble, parts),
    )


def _give_up_process(
    recorder: EvidenceRecorder, start_command: CommandLine | None, must_stop: bool
) -> None:
    """End or replace the process, because its main thread does not return from a plugin."""
    if must_stop:
        extra = {"action": "daemon.stopped"}
        logger.warning("Stopped in the middle of a plugin that does not return", extra=extra)
        recorder.close()
        end_at_once()
    if start_command is not None:
        log_text = "A plugin does not return and cannot be ended: starting anew without it"
        logger.error(log_text, extra={"action": "daemon.starting_anew"})
        try:
            execute_anew(start_command)
        except OSError as error:
            log_text = "It cannot be started anew, so it ends here: %s"
            logger.error(log_text, error, extra={"action": "daemon.starting_anew"})
            end_at_once(1)


def _report_warnings(settings: Settings) -> None:
    for problem in settings.warnings:
        extra = {"action": "config.warning", "key": problem.key}
        logger.warning("%s", problem, extra=extra)
    for exposure in state_exposures(settings.state.path):
        extra = {"action": "state.exposed"}
        logger.warning("%s: %s", exposure.message, exposure.fix, extra=extra)
    file_system_type = detect_file_system(settings.state.path)
    if file_system_type in NETWORK_FILE_SYSTEMS:
        log_text = "The state %s is on a network file system (%s): it belongs on a local disk"
        logger.warning(
            log_text, settings.state.path, file_system_type, extra={"action": "state.not_local"}
        )


def _describe_remains(state_reader: Reader, loaded_names: Container[str]) -> Remains:
    feed_state = state_reader.load_feed()
    waiting_ranges = (
        [missing_range for missing_range in feed_state.missing if missing_range.hot]
        if feed_state
        else []
    )
    stopped_plugins = tuple(
        (record.name, record.state, record.reason)
        for record in state_reader.plugins().values()
        if record.state in {"held", "paused"}
        or (record.state == "not started" and record.name in loaded_names)
    )
    return Remains(
        sum(missing_range.last - missing_range.first + 1 for missing_range in waiting_ranges),
        stopped_plugins,
        len(state_reader.batches()),
    )
