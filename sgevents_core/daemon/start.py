"""The start of a run: what the last process has left, the plugins, and all parts put together."""

from __future__ import annotations

from collections.abc import Container
from functools import partial
from itertools import chain
from queue import SimpleQueue

from sgevents_core.alerts.watched_daemon import WatchedDaemon
from sgevents_core.children.daemon_children import Children, plugins_in_children
from sgevents_core.classic.finding import find_plugins
from sgevents_core.classic.folder_watch import FolderWatch
from sgevents_core.classic.loaded_files import LoadedFiles
from sgevents_core.crashes.loading_deaths import count_last_death, find_known_broken
from sgevents_core.crashes.recovering import collect_lane_names
from sgevents_core.daemon.assembly import Assembly
from sgevents_core.daemon.classic_following import ClassicFollowing
from sgevents_core.daemon.file_trials import find_deadly_files
from sgevents_core.daemon.lane_taking import LaneTaking
from sgevents_core.daemon.late_lanes import LateLanes
from sgevents_core.daemon.loading_watches import LoadingWatches
from sgevents_core.daemon.options import RunOptions
from sgevents_core.daemon.parts import Parts
from sgevents_core.daemon.rehearsal import USABLE_STATUSES
from sgevents_core.daemon.reload import Reloader
from sgevents_core.daemon.reload_turns import ReloadTurns
from sgevents_core.daemon.resources import Resources
from sgevents_core.daemon.run import DaemonRun, SignalOrder
from sgevents_core.daemon.running_files import RunningFiles
from sgevents_core.daemon.state_trouble import find_state_trouble
from sgevents_core.daemon.turnover import WorkTurnover
from sgevents_core.hosts.work import Work
from sgevents_core.metrics.watched import WatchedParts
from sgevents_core.observe.systemd import Systemd
from sgevents_core.plugins.load_watching import KnownBroken, PluginWatch
from sgevents_core.plugins.loading import Loaded, load
from sgevents_core.plugins.reporting import log_remarks, log_statuses
from sgevents_core.settings import Settings


def load_plugins(
    options: RunOptions, watch: PluginWatch | None = None, children: Children | None = None
) -> Loaded:
    """Load the plugins as a run does.

    Args:
        options: The daemon's options.
        watch: Watches the plugins' code; by default it is not watched.
        children: The worker processes, which load the plugins of their lanes; without them, all
            plugins are loaded here.

    Raises:
        PluginError: The options are strict, and an enabled plugin cannot be used.
        LoadingStopped: The watch was stopped.
    """
    plugin_discovery = find_plugins(options.settings)
    log_remarks(plugin_discovery)
    loaded_elsewhere = {} if children is None else children.load(watch or PluginWatch())
    return load(
        options.settings,
        plugin_discovery,
        strict=options.is_strict,
        without=options.left_out,
        watch=watch,
        elsewhere=loaded_elsewhere,
    )


class RunStart:
    """One start, on a state that is locked and open; for the main thread.

    Args:
        options: The daemon's options.
        resources: What is open.
        watches: Watch the plugins' code.
        orders: The orders that signals give.

    `loaded_names` are the plugins that were loaded.
    """

    def __init__(
        self,
        options: RunOptions,
        resources: Resources,
        watches: LoadingWatches,
        orders: SimpleQueue[SignalOrder],
    ) -> None:
        self._options = options
        self._settings = options.settings
        self._resources = resources
        self._watches = watches
        self._orders = orders
        self.loaded_names: frozenset[str] = frozenset()

    def put_together(self) -> DaemonRun:
        """Load and start the plugins, and return everything put together, not started.

        Raises:
            LoadingStopped: The daemon must stop.
            PluginError: The options are strict, and an enabled plugin cannot be used.
            StateError: The state cannot be used.
        """
        known_broken = find_known_broken(count_last_death(self._settings.state.path))
        self._resources.open_processes(known_broken)
        known_broken |= self._find_deadly_files(known_broken)
        with self._watches.open(known_broken) as watch:
            return self._load_and_assemble(watch)

    def _find_deadly_files(self, known_broken: Container[str]) -> dict[str, KnownBroken]:
        """Try the classic files that this process would load for the first time."""
        settings, left_out = self._settings, self._options.left_out
        loaded_files = LoadedFiles(settings)
        in_children = set(chain(*plugins_in_children(settings, left_out).values()))
        untried_plugins = [
            name
            for name in loaded_files.changed_plugins(loaded_files.present_versions())
            if settings.plugins[name].enabled
            and not (name in left_out or name in known_broken or name in in_children)
        ]
        if not untried_plugins:
            return {}
        return find_deadly_files(
            settings, untried_plugins, Systemd(), lambda: not self._orders.empty()
        )

    def _load_and_assemble(self, watch: PluginWatch) -> DaemonRun:
        folders = FolderWatch(self._settings.classic_folders)  # before any file is read
        loaded_files = LoadedFiles(self._settings)
        versions = loaded_files.present_versions()
        running_files = RunningFiles(self._settings)
        loaded = self._load(watch)
        work = self._open_work(loaded, running_files)
        assembly = Assembly(self._options, self._resources, loaded, work, running_files)
        changed_plugins = loaded_files.changed_plugins(versions)
        parts = assembly.assemble(watch, changed_plugins)
        loaded_files.note_loaded(list(self.loaded_names), versions)
        self._show_parts(parts, loaded)
        classic_files = None
        if self._settings.classic_folders and not self._options.is_drain:
            classic_files = ClassicFollowing(
                self._settings,
                loaded,
                folders,
                lane_taking=assembly.lane_taking,
                parts=parts,
                open_watch=self._watches.open,
                loaded_files=loaded_files,
                running_files=running_files,
                mailer=self._resources.mailer,
                without=self._options.left_out,
            )
        return self._make_run(parts, loaded, assembly.lane_taking, work, classic_files)

    def _load(self, watch: PluginWatch) -> Loaded:
        """Load the plugins, and report how each is; a reload compares with them."""
        loaded = load_plugins(self._options, watch, self._resources.children)
        log_statuses(loaded)
        for status in loaded.statuses:
            self._resources.mailer.mail_failure(status)
        self.loaded_names = frozenset(plugin.name for plugin in loaded.plugins)
        self._reloader = Reloader(
            self._settings, loaded, self._options.start_command, self._options.refusal_text
        )
        return loaded

    def _open_work(self, loaded: Loaded, running_files: RunningFiles) -> Work:
        lane_names = collect_lane_names(self._settings, loaded, self._resources.state_writer)
        return self._resources.open_work(lane_names, running_files.describe(loaded))

    def _show_parts(self, parts: Parts, loaded: Loaded) -> None:
        """Let monitoring and alerts look at the parts of the run."""
        watched_parts = _watched_parts(parts)
        self._resources.monitoring.watch(watched_parts)
        broken = _broken_plugins(self._settings, loaded)
        self._resources.alerts.watch(WatchedDaemon(watched_parts, broken))

    def _make_run(
        self,
        parts: Parts,
        loaded: Loaded,
        lane_taking: LaneTaking,
        work: Work,
        classic_files: ClassicFollowing | None,
    ) -> DaemonRun:
        open_watch = self._watches.open
        return DaemonRun(
            self._settings,
            parts,
            self._resources.state_writer,
            orders=self._orders,
            reloader=self._reloader,
            reload_turns=ReloadTurns(self._reloader, work.rolling),
            presence=self._resources.presence,
            drain=self._options.is_drain,
            classic_files=classic_files,
            turnover=WorkTurnover(work, lane_taking, parts, open_watch),
            late_lanes=LateLanes(
                loaded, lane_taking=lane_taking, parts=parts, open_watch=open_watch
            ),
        )


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
