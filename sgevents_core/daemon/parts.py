"""The parts of a running daemon, and how they are assembled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial

from sgevents_core.calling.context import Services
from sgevents_core.calling.own_thread import worker_label
from sgevents_core.children.daemon_children import Children
from sgevents_core.children.feed_process import FeedProcess
from sgevents_core.crashes.evidence import EvidenceRecorder
from sgevents_core.crashes.loading_deaths import forget_started_plugins
from sgevents_core.crashes.recovering import give_up_fatal_calls, recover, resume_changed
from sgevents_core.crashes.syncing import ProgressSyncer
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.divided_lane import DividedLane
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.plugin_starts import start_plugins
from sgevents_core.dispatch.wiring import lanes_of, services_of
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
from sgevents_core.settings import Settings
from sgevents_core.site.client import EventLog
from sgevents_core.site.feed import Feed
from sgevents_core.site.health import SiteHealth
from sgevents_core.site.notices import BacklogTimedOut, Notice
from sgevents_core.site.script_lookup import ScriptLookup
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Presence, Writer


@dataclass(frozen=True)
class Parts:
    """The parts of one run.

    Args:
        plugins: The plugins that were started.
        services: The services of each plugin's calls, by the plugin's name.
        announcer: Reports failures to people and plugins.
        lanes: The lanes.
        feed: The feed.
        inbox: Hands people's requests to the lanes and the feed.
        progress_syncer: Flushes recorded progress to disk.
        children: The worker processes; it also knows whether a stop waits for running calls.
        liveness: Knows when the loops of the feed and the lanes last turned.
        lane_threads: The threads of the lanes.
        feed_thread: The thread of the feed.
        syncer_thread: The thread of `progress_syncer`.
    """

    plugins: list[LoadedPlugin]
    services: dict[str, Services]
    announcer: Announcer
    lanes: list[Lane]
    feed: Feed
    inbox: Inbox
    progress_syncer: ProgressSyncer
    children: Children
    liveness: Liveness
    lane_threads: list[threading.Thread]
    feed_thread: threading.Thread
    syncer_thread: threading.Thread


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
        call_counts: Notified of calls and failures.
    """

    def __init__(
        self,
        settings: Settings,
        loaded: Loaded,
        state_writer: Writer,
        *,
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
        self._state = state_writer
        self._recorder = recorder
        self._presence = presence
        self._site_health = SiteHealth()
        self._state_home = open_state(settings.state.path)
        self._children = children
        self._feed_process = feed_process
        self._script_names = Scripts(state_writer.scripts())

    def assemble(self, watch: PluginWatch | None, changed_plugins: Collection[str] = ()) -> Parts:
        """Recover the last process's progress, start the plugins, and return all parts.

        Args:
            watch: Watches the plugins' code.
            changed_plugins: Those whose code has changed, so that they resume after an error.

        Raises:
            LoadingStopped: The watch was stopped.
        """
        settings, state_writer = self._settings, self._state
        self._resume_changed(changed_plugins)
        recover(settings, self._loaded, state_writer)
        given_up_calls = give_up_fatal_calls(settings, self._loaded, state_writer)
        services = services_of(
            settings,
            self._loaded,
            state_writer,
            self._services_class,
            site_health=self._site_health,
            stopping=self._children.stopping,
        )
        script_names = self._script_names
        self._children.connect(services, script_names)
        started_plugins = start_plugins(self._loaded, services, state_writer, watch)
        self._children.warm_up()
        forget_started_plugins(settings.state.path, started_plugins)
        announcer = Announcer(
            [(services[plugin.name], plugin.hooks) for plugin in started_plugins],
            [counts.note_failure for counts in self._call_counts],
        )
        lanes = self._make_lanes(started_plugins, services, announcer)
        feed = self._make_feed(lanes, announcer, script_names)
        self._site_health.on_change(partial(_wake_lanes, lanes))
        for given_up in given_up_calls:
            announcer.failed(
                given_up.failure,
                given_up.event,
                given_up.failure_number,
                given_up.plugin_record,
                events=given_up.events,
            )
        liveness = Liveness(
            ["feed", *(loop_name for lane in lanes for loop_name in _loop_names(lane))]
        )
        progress_syncer = ProgressSyncer(lanes, self._state_home.lane_writer(), self._presence)
        feed_loop = partial(liveness.run, "feed", feed.run)
        return Parts(
            plugins=started_plugins,
            services=services,
            announcer=announcer,
            lanes=lanes,
            feed=feed,
            inbox=Inbox(settings.state.path, lanes, feed),
            progress_syncer=progress_syncer,
            children=self._children,
            liveness=liveness,
            lane_threads=[self._lane_thread(lane, liveness) for lane in lanes],
            feed_thread=threading.Thread(target=feed_loop, name="feed", daemon=True),
            syncer_thread=threading.Thread(target=progress_syncer.run, name="syncing"),
        )

    def _resume_changed(self, changed_plugins: Collection[str]) -> None:
        """Resume the plugins that are loaded and have changed, if an error has stopped them."""
        changed = [plugin for plugin in self._loaded.plugins if plugin.name in changed_plugins]
        recorded_lanes = {record.name: record.lane for record in self._state.plugins().values()}
        for lane_name in dict.fromkeys(recorded_lanes.values()):
            in_lane = [
                plugin.name for plugin in changed if recorded_lanes.get(plugin.name) == lane_name
            ]
            resume_changed(in_lane, lane_name, self._state)

    def replace_lane(
        self,
        parts: Parts,
        lane_name: str,
        loaded: Loaded,
        changed_plugins: Collection[str],
        watch: PluginWatch,
    ) -> None:
        """Restart a lane that has ended, with other plugins; everything else continues.

        It does for one lane what a start does: the lane's place, and that of each plugin, is in the
        ledger, by the callbacks' names.

        Args:
            parts: The parts of this run.
            lane_name: The lane's name.
            loaded: Its plugins, with their statuses.
            changed_plugins: Those that were reloaded, added or removed.
            watch: Watches the plugins' code.

        Raises:
            LoadingStopped: The daemon must stop.
            StateError: The state cannot be written.
        """
        settings, state_writer = self._settings, self._state
        resume_changed(changed_plugins, lane_name, state_writer)
        recover(settings, loaded, state_writer, only_lane=lane_name)
        kept = [plugin for plugin in loaded.plugins if plugin.name not in changed_plugins]
        started = self._start_changed(parts, loaded, changed_plugins, watch)
        lane_plugins = in_call_order([*kept, *started], settings)
        others = [plugin for plugin in parts.plugins if plugin.lane != lane_name]
        parts.plugins[:] = in_call_order([*others, *lane_plugins], settings)
        lanes = self._make_lanes(lane_plugins, parts.services, parts.announcer)
        ended_lane = next((lane for lane in parts.lanes if lane.name == lane_name), None)
        self._exchange_lane(parts, ended_lane, lanes[0] if lanes else None, changed_plugins)

    def _start_changed(
        self, parts: Parts, loaded: Loaded, changed_plugins: Collection[str], watch: PluginWatch
    ) -> list[LoadedPlugin]:
        """Start the changed plugins that are there, with services of their own; return them."""
        for plugin_name in changed_plugins:
            if plugin_name in parts.services:
                parts.services.pop(plugin_name).close()
        there = tuple(plugin for plugin in loaded.plugins if plugin.name in changed_plugins)
        changed = replace(loaded, plugins=there)
        parts.services.update(
            services_of(
                self._settings,
                changed,
                self._state,
                self._services_class,
                site_health=self._site_health,
                stopping=self._children.stopping,
            )
        )
        return start_plugins(changed, parts.services, self._state, watch)

    def load_elsewhere(self, lane_name: str, watch: PluginWatch) -> dict[str, LoadedElsewhere]:
        """Restart the worker processes of a lane; return the plugins they loaded."""
        return self._children.replace_lane(lane_name, watch)

    def _exchange_lane(
        self,
        parts: Parts,
        ended_lane: Lane | None,
        new_lane: Lane | None,
        changed_plugins: Collection[str],
    ) -> None:
        """Replace a lane that has ended by another, and start its thread."""
        if ended_lane is not None:
            position = parts.lanes.index(ended_lane)
            del parts.lanes[position], parts.lane_threads[position]
        if new_lane is not None:
            if ended_lane is not None:
                new_lane.continue_lane(ended_lane, changed_plugins)
            parts.liveness.expect(_loop_names(new_lane))
            parts.lanes.append(new_lane)
            parts.lane_threads.append(self._lane_thread(new_lane, parts.liveness))
        parts.progress_syncer.replace_lane(ended_lane, new_lane)
        if new_lane is not None:
            parts.lane_threads[-1].start()
        parts.announcer.listen_with(
            [(parts.services[plugin.name], plugin.hooks) for plugin in parts.plugins]
        )

    def _make_lanes(
        self, plugins: Sequence[LoadedPlugin], services: dict[str, Services], announcer: Announcer
    ) -> list[Lane]:
        return lanes_of(
            self._settings,
            plugins,
            services,
            self._state_home.lane_writer,
            announcer,
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

    def _make_feed(self, lanes: Sequence[Lane], announcer: Announcer, scripts: Scripts) -> Feed:
        feed_writer = self._state_home.feed_writer()
        script_lookup = ScriptLookup(scripts, self._settings.script_names, feed_writer.keep_scripts)
        return Feed(
            EventLog(self._settings.site, self._settings.feed.fields, script_lookup),
            feed_writer,
            self._settings.feed,
            on_growth=partial(_wake_lanes, lanes),
            on_notice=partial(_announce_timeout, announcer),
            site_health=self._site_health,
            catching_up=self._feed_process,
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
