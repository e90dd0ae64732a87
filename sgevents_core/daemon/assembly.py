"""How the parts of a running daemon are put together: everything, one lane, the feed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial

from sgevents_core.calling.context import Services
from sgevents_core.calling.event_records import EventRecords
from sgevents_core.calling.own_thread import worker_label
from sgevents_core.children.daemon_children import Children
from sgevents_core.children.feed_process import FeedProcess
from sgevents_core.crashes.evidence import DeathEvidence, EvidenceRecorder
from sgevents_core.crashes.loading_deaths import forget_started_plugins
from sgevents_core.crashes.recovering import (
    collect_lane_names,
    give_up_fatal_calls,
    take_over_lanes,
)
from sgevents_core.crashes.syncing import ProgressSyncer
from sgevents_core.daemon.following import SiteFollowing
from sgevents_core.daemon.moving_plugins import MovingPlugins
from sgevents_core.daemon.parts import Parts
from sgevents_core.daemon.running_files import RunningFiles
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.divided_lane import DividedLane
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.overdue import returned_plugins
from sgevents_core.dispatch.plugin_starts import start_plugins, stop_plugins
from sgevents_core.dispatch.wiring import lanes_of, services_of
from sgevents_core.hosts.spread import FEED, lane_work
from sgevents_core.hosts.work import Work
from sgevents_core.metrics.call_counts import CallCounts
from sgevents_core.observe.liveness import Liveness
from sgevents_core.plugins.load_watching import PluginWatch
from sgevents_core.plugins.loading import (
    Loaded,
    LoadedElsewhere,
    LoadedPlugin,
    in_call_order,
)
from sgevents_core.requests.inbox import Inbox
from sgevents_core.scripts import Scripts
from sgevents_core.settings import DEFAULT_LANE, Settings
from sgevents_core.site.client import EventLog
from sgevents_core.site.feed import Feed
from sgevents_core.site.health import SiteHealth
from sgevents_core.site.notices import BacklogTimedOut, Notice
from sgevents_core.site.script_lookup import ScriptLookup
from sgevents_core.state.held_lane import HeldLane
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Presence, Writer

logger = logging.getLogger("sgevents.daemon")


class Assembly:
    """Puts the parts of one run together, on a state that the process has locked.

    Args:
        settings: The configuration.
        loaded: The loaded plugins.
        state_writer: The connection of the main thread.
        recorder: Keeps evidence of whose call ends the process.
        presence: Shows that this machine runs the daemon.
        children: The worker processes.
        feed_process: The process that follows the log while the feed is far behind.
        services_class: The class of a plugin's services, which its calls share.
        work: What the process is to work at.
        running_files: What the process runs, for other hosts.
        evidence: How the last process of this host died, if its lanes are still to be taken over.
        call_counts: Notified of calls and failures.
    """

    def __init__(
        self,
        settings: Settings,
        loaded: Loaded,
        state_writer: Writer,
        *,
        work: Work,
        running_files: RunningFiles,
        evidence: DeathEvidence | None = None,
        recorder: EvidenceRecorder,
        presence: Presence,
        children: Children,
        feed_process: FeedProcess,
        services_class: type[Services] = Services,
        call_counts: Sequence[CallCounts] = (),
    ) -> None:
        self._services_class = services_class
        self._call_counts = call_counts
        self._settings = settings
        self._loaded = loaded
        self._work = work
        self._running_files = running_files
        self._changed_plugins: set[str] = set()
        """Those that changed since their lane was last taken here: they resume after an error."""
        self._evidence = evidence
        self._lanes_taken: set[str] = set()
        self._moving_plugins = MovingPlugins()
        self._state = state_writer
        self._recorder = recorder
        self._presence = presence
        self._site_health = SiteHealth()
        self._event_records = EventRecords()
        self._state_home = open_state(settings.state.path)
        self._children = children
        self._feed_process = feed_process
        self._script_names = Scripts(state_writer.scripts())

    def assemble(self, watch: PluginWatch | None, changed_plugins: Collection[str] = ()) -> Parts:
        """Take what the process is to work at now, and return all parts, not started.

        Args:
            watch: Watches the plugins' code.
            changed_plugins: Those whose code has changed, so that they resume after an error.

        Raises:
            LoadingStopped: The watch was stopped.
        """
        parts = self._make_parts()
        self._changed_plugins |= set(changed_plugins)
        self._children.connect(parts.services, self._script_names)
        wanted = self._work.wanted()
        all_lanes = collect_lane_names(self._settings, self._loaded, self._state)
        lane_names = [name for name in all_lanes if lane_work(name) in wanted]
        try:
            self.take_loaded_lanes(parts, lane_names, watch)
        except BaseException:
            parts.close_unstarted()
            raise
        if FEED in wanted:
            parts.following.prepare()
        return parts

    def take_loaded_lanes(
        self, parts: Parts, lane_names: Sequence[str], watch: PluginWatch | None
    ) -> list[threading.Thread]:
        """Take lanes with the plugins that were loaded for them; see `take_lanes`."""
        in_lanes = {plugin.name for plugin in self._loaded.plugins if plugin.lane in lane_names}
        changed = in_lanes & self._changed_plugins
        self._changed_plugins -= changed
        threads = self.take_lanes(parts, lane_names, self._loaded, changed, watch)
        self._children.warm_up(lane_names)
        return threads

    def present_plugins(self, parts: Parts) -> Sequence[LoadedPlugin]:
        """Return the plugins that this process has: those of lanes that others have too."""
        return self._loaded.plugins if self._work.is_shared else parts.plugins

    @property
    def is_shared(self) -> bool:
        """Whether lanes may be taken by other processes too."""
        return self._work.is_shared

    def show_files(self) -> None:
        """Let the other hosts know what this process runs now."""
        self._running_files.show(self._loaded, self._work)

    def note_loaded(
        self,
        parts: Parts,
        lane_name: str,
        loaded: Loaded,
        changed_plugins: Collection[str] = (),
    ) -> bool:
        """Take notice of what was loaded for a lane; return whether it can be taken with that now.

        On a shared state it cannot: the lane is taken like any other, by whoever is to have it. If
        this process has it already, without the plugins, it ends first.

        Args:
            parts: The parts of this run.
            lane_name: The lane.
            loaded: All its plugins, with their statuses.
            changed_plugins: Those whose code has changed, so that they resume after an error.
        """
        if not self._work.is_shared:
            return True
        self._changed_plugins |= set(changed_plugins)
        others = [plugin for plugin in self._loaded.plugins if plugin.lane != lane_name]
        other_statuses = [one for one in self._loaded.statuses if one.lane != lane_name]
        self._loaded = replace(
            loaded,
            plugins=tuple(in_call_order([*others, *loaded.plugins], self._settings)),
            statuses=(*other_statuses, *loaded.statuses),
        )
        self.show_files()
        lane = parts.lane_of(lane_name)
        if lane is not None:
            lane.stop()
        return False

    def begin_arrived_plugins(self, parts: Parts) -> None:
        """End the lanes that begin again with a plugin that another lane has let go."""
        for lane_name in self._moving_plugins.find_arrived(parts.held_lanes, self._state):
            lane = parts.lane_of(lane_name)
            if lane is not None:
                lane.stop()

    def give_up_lane(self, parts: Parts, lane_name: str, watch: PluginWatch) -> None:
        """Shut down the plugins of a lane that has ended, for another process to have it.

        It may also be one that could not be begun, of which there is only a part.

        Args:
            parts: The parts of this run.
            lane_name: The lane; its thread has ended.
            watch: Watches the plugins' code.
        """
        lane = parts.lane_of(lane_name)
        lane_plugins = [plugin for plugin in parts.plugins if plugin.lane == lane_name]
        services = {
            plugin.name: parts.services[plugin.name]
            for plugin in self._loaded.plugins
            if plugin.lane == lane_name and plugin.name in parts.services
        }
        working_plugins = returned_plugins(lane_plugins, [] if lane is None else [lane])
        error = stop_plugins(working_plugins, services, parts.held_lanes, watch)
        if error is not None:
            logger.warning("%s", error, extra={"action": "lane.shutdown_not_noted"})
        parts.progress_syncer.replace_lane(parts.remove_lane(lane_name), None)
        parts.plugins[:] = [plugin for plugin in parts.plugins if plugin.lane != lane_name]
        parts.announcer.listen_with(
            [(parts.services[plugin.name], plugin.hooks) for plugin in parts.plugins]
        )
        for plugin_name in services:
            del parts.services[plugin_name]
        parts.held_lanes.pop(lane_name, None)

    def _make_parts(self) -> Parts:
        """Return the parts without any lane."""
        lanes: list[Lane] = []
        announcer = Announcer(
            failure_observers=[counts.note_failure for counts in self._call_counts]
        )
        self._site_health.on_change(partial(_wake_lanes, lanes))
        liveness = Liveness([])
        following = SiteFollowing(partial(self._make_feed, lanes, announcer), liveness)
        progress_syncer = ProgressSyncer(self._state_home.lane_writer(), self._presence)
        return Parts(
            plugins=[],
            services={},
            held_lanes={},
            announcer=announcer,
            lanes=lanes,
            lane_threads={},
            following=following,
            inbox=Inbox(
                self._settings.state.path,
                lanes,
                following,
                self._find_recorded_lane if self._work.is_shared else None,
            ),
            progress_syncer=progress_syncer,
            children=self._children,
            liveness=liveness,
            syncer_thread=threading.Thread(target=progress_syncer.run, name="syncing"),
            work=self._work,
        )

    def _find_recorded_lane(self, plugin_name: str) -> str:
        """Return the lane of a plugin that is not loaded; of an unknown one, any lane."""
        record = self._state.plugins().get(plugin_name)
        return DEFAULT_LANE if record is None else record.lane

    def take_lanes(
        self,
        parts: Parts,
        lane_names: Sequence[str],
        loaded: Loaded,
        changed_plugins: Collection[str],
        watch: PluginWatch | None,
    ) -> list[threading.Thread]:
        """Take lanes that do not run, start their plugins, and return their threads, not started.

        It is the same at a start, after a change of plugins and when a lane comes from another
        process: the lane's place, and that of each plugin, is in the ledger, by the callbacks'
        names. Plugins that this run has started already, and that have not changed, are not
        started again.

        Args:
            parts: The parts of this run.
            lane_names: The lanes.
            loaded: At least the plugins of these lanes, with their statuses.
            changed_plugins: Those that were reloaded, added or removed.
            watch: Watches the plugins' code.

        Raises:
            LoadingStopped: The daemon must stop.
            StateError: The state cannot be written.
        """
        held_lanes = take_over_lanes(
            lane_names,
            self._settings,
            loaded,
            self._state,
            changed_plugins=changed_plugins,
            evidence=None if self._lanes_taken.intersection(lane_names) else self._evidence,
            is_shared=self._work.is_shared,
        )
        loaded = self._moving_plugins.leave_out(loaded, lane_names, self._state.plugins())
        self._lanes_taken.update(lane_names)
        held_lanes = {name: self._as_work(held) for name, held in held_lanes.items()}
        parts.held_lanes.update(held_lanes)
        given_up_calls = give_up_fatal_calls(self._settings, loaded, held_lanes)
        lane_plugins = self._start_plugins(parts, loaded, held_lanes, changed_plugins, watch)
        self._show_plugins(parts, lane_plugins, held_lanes)
        new_lanes = self._make_lanes(parts, lane_plugins, held_lanes)
        for lane_name in held_lanes.keys() - {lane.name for lane in new_lanes}:
            parts.progress_syncer.replace_lane(parts.remove_lane(lane_name), None)
        threads = [self._exchange_lane(parts, lane, changed_plugins) for lane in new_lanes]
        for given_up in given_up_calls:
            parts.announcer.failed(
                given_up.failure,
                given_up.event,
                given_up.failure_number,
                given_up.plugin_record,
                events=given_up.events,
            )
        return threads

    def _as_work(self, held_lane: HeldLane) -> HeldLane:
        """Return a lane that this process works at as long as it may."""
        if not self._work.is_shared:
            return held_lane
        return replace(
            held_lane,
            may_begin=self._work.right_to(lane_work(held_lane.name)),
        )

    def _start_plugins(
        self,
        parts: Parts,
        loaded: Loaded,
        held_lanes: Mapping[str, HeldLane],
        changed_plugins: Collection[str],
        watch: PluginWatch | None,
    ) -> list[LoadedPlugin]:
        """Start the plugins of lanes that are new, with services of their own; return them all."""
        for plugin_name in changed_plugins:
            if plugin_name in parts.services:
                parts.services.pop(plugin_name).close()
        in_lanes = [plugin for plugin in loaded.plugins if plugin.lane in held_lanes]
        started_names = {plugin.name for plugin in parts.plugins} - {*changed_plugins}
        new_plugins = tuple(plugin for plugin in in_lanes if plugin.name not in started_names)
        new_loaded = replace(loaded, plugins=new_plugins)
        parts.services.update(
            services_of(
                self._settings,
                new_loaded,
                self._state,
                self._services_class,
                site_health=self._site_health,
                stopping=self._children.stopping,
                event_records=self._event_records,
            )
        )
        started = start_plugins(new_loaded, parts.services, held_lanes, watch)
        forget_started_plugins(self._settings.state.path, started)
        return [*(plugin for plugin in in_lanes if plugin.name in started_names), *started]

    def _show_plugins(
        self,
        parts: Parts,
        lane_plugins: Sequence[LoadedPlugin],
        held_lanes: Mapping[str, HeldLane],
    ) -> None:
        """List the plugins of lanes among those that run, and let them hear of failures."""
        others = [plugin for plugin in parts.plugins if plugin.lane not in held_lanes]
        parts.plugins[:] = in_call_order([*others, *lane_plugins], self._settings)
        parts.announcer.listen_with(
            [(parts.services[plugin.name], plugin.hooks) for plugin in parts.plugins]
        )

    def load_elsewhere(self, lane_name: str, watch: PluginWatch) -> dict[str, LoadedElsewhere]:
        """Restart the worker processes of a lane; return the plugins they loaded."""
        return self._children.replace_lane(lane_name, watch)

    def _exchange_lane(
        self, parts: Parts, new_lane: Lane, changed_plugins: Collection[str]
    ) -> threading.Thread:
        """Add a lane, which may continue one that has ended; return its thread, not started."""
        ended_lane = parts.remove_lane(new_lane.name)
        if ended_lane is not None:
            new_lane.continue_lane(ended_lane, changed_plugins)
        parts.liveness.expect(_loop_names(new_lane))
        lane_thread = self._lane_thread(new_lane, parts.liveness)
        parts.lanes.append(new_lane)
        parts.lane_threads[new_lane.name] = lane_thread
        parts.progress_syncer.replace_lane(ended_lane, new_lane)
        return lane_thread

    def _make_lanes(
        self,
        parts: Parts,
        lane_plugins: Sequence[LoadedPlugin],
        held_lanes: Mapping[str, HeldLane],
    ) -> list[Lane]:
        return lanes_of(
            self._settings,
            in_call_order(lane_plugins, self._settings),
            parts.services,
            held_lanes,
            parts.announcer,
            open_writer=self._state_home.lane_writer,
            lane_names=[*held_lanes] if self._work.is_shared else [],
            attribute_lane=self._recorder.attribute_to_lane,
            scripts=self._script_names,
            observers=self._call_counts,
            executors=self._children.lanes,
        )

    def _lane_thread(self, lane: Lane, liveness: Liveness) -> threading.Thread:
        if isinstance(lane, DividedLane):
            lane.around = partial(self._run_worker, lane, liveness)
        thread_body = partial(self._recorder.run_lane, lane.name, lane.run)
        lane_loop = partial(liveness.run, _lane_loop_name(lane), thread_body)
        return threading.Thread(target=lane_loop, name=f"lane-{lane.name}")

    def _run_worker(
        self, lane: Lane, liveness: Liveness, worker_number: int, thread_body: Callable[[], None]
    ) -> None:
        """Run the body of a worker's thread, and attribute the thread's actions to the worker."""
        thread_body = partial(
            self._recorder.run_lane, worker_label(lane.name, worker_number), thread_body
        )
        liveness.run(_worker_loop_name(lane, worker_number), thread_body)

    def _make_feed(self, lanes: Sequence[Lane], announcer: Announcer) -> Feed:
        feed_writer = self._state_home.feed_writer()
        feed_writer.take_feed()
        script_lookup = ScriptLookup(
            self._script_names, self._settings.script_names, feed_writer.keep_scripts
        )
        return Feed(
            EventLog(self._settings.site, self._settings.feed.fields, script_lookup),
            feed_writer,
            self._settings.feed,
            on_growth=partial(_wake_lanes, lanes),
            on_notice=partial(_announce_timeout, announcer),
            site_health=self._site_health,
            catching_up=None if self._work.is_shared else self._feed_process,
        )


def _lane_loop_name(lane: Lane) -> str:
    """Return the name of the loop of a lane's thread."""
    return f"lane {lane.name}"


def _worker_loop_name(lane: Lane, worker_number: int) -> str:
    """Return the name of the loop of a worker's thread."""
    return f"worker {worker_number} of lane {lane.name}"


def _loop_names(lane: Lane) -> list[str]:
    """Return the names of the loops of a lane's threads."""
    worker_count = lane.workers if isinstance(lane, DividedLane) else 0
    return [
        _lane_loop_name(lane),
        *(_worker_loop_name(lane, worker_index + 1) for worker_index in range(worker_count)),
    ]


def _wake_lanes(lanes: Sequence[Lane]) -> None:
    for lane in lanes:
        lane.wake()


def _announce_timeout(announcer: Announcer, notice: Notice) -> None:
    if isinstance(notice, BacklogTimedOut):
        noticed_at = datetime.fromtimestamp(time.time() - notice.age, timezone.utc)
        announcer.timed_out(notice.first, notice.last, noticed_at, notice.ids)
