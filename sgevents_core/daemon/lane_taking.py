"""Taking lanes and giving them up, with their plugins started and shut down.

It is the same at a start, after a change of plugins and when a lane comes from another host.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sgevents_core.calling.event_records import EventRecords
from sgevents_core.crashes.loading_deaths import forget_started_plugins
from sgevents_core.crashes.recovering import give_up_fatal_calls, take_over_lanes
from sgevents_core.daemon.lane_threads import LaneThreads
from sgevents_core.daemon.moving_plugins import MovingPlugins
from sgevents_core.daemon.options import RunOptions
from sgevents_core.daemon.parts import Parts
from sgevents_core.daemon.resources import Resources
from sgevents_core.daemon.running_files import RunningFiles
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.overdue import returned_plugins
from sgevents_core.dispatch.plugin_starts import start_plugins, stop_plugins
from sgevents_core.dispatch.wiring import lanes_of, services_of
from sgevents_core.hosts.spread import lane_work
from sgevents_core.hosts.work import Work
from sgevents_core.plugins.load_watching import PluginWatch
from sgevents_core.plugins.loading import (
    Loaded,
    LoadedElsewhere,
    LoadedPlugin,
    in_call_order,
)
from sgevents_core.scripts import Scripts
from sgevents_core.site.health import SiteHealth
from sgevents_core.state.held_lane import HeldLane

logger = logging.getLogger("sgevents.daemon")


class LaneTaking:
    """Takes lanes and gives them up; for the main thread.

    Args:
        options: The daemon's options.
        resources: What is open.
        loaded: The plugins that were loaded at the start.
        work: What the process is to work at.
        running_files: What the process runs, for other hosts.
        site_health: Whether the site answers.
        script_names: The names of the site's scripts.
    """

    def __init__(
        self,
        options: RunOptions,
        resources: Resources,
        loaded: Loaded,
        work: Work,
        running_files: RunningFiles,
        *,
        site_health: SiteHealth,
        script_names: Scripts,
    ) -> None:
        self._services_class = options.services_class
        self._settings = options.settings
        self._resources = resources
        self._state = resources.state_writer
        self._children = resources.children
        self._loaded = loaded
        self._work = work
        self._running_files = running_files
        self._changed_plugins: set[str] = set()
        """Those that changed since their lane was last taken here: they resume after an error."""
        self._evidence = resources.evidence if work.is_shared else None
        self._lanes_taken: set[str] = set()
        self._moving_plugins = MovingPlugins()
        self._lane_threads = LaneThreads(resources.recorder)
        self._site_health = site_health
        self._script_names = script_names
        self._event_records = EventRecords()

    # What was loaded

    @property
    def is_shared(self) -> bool:
        """Whether lanes may be taken by other processes too."""
        return self._work.is_shared

    def present_plugins(self, parts: Parts) -> Sequence[LoadedPlugin]:
        """Return the plugins that this process has: those of lanes that others have too."""
        return self._loaded.plugins if self._work.is_shared else parts.plugins

    def show_files(self) -> None:
        """Let the other hosts know what this process runs now."""
        self._running_files.show(self._loaded, self._work)

    def note_changed(self, changed_plugins: Collection[str]) -> None:
        """Let plugins whose code has changed resume after an error, once their lane is taken."""
        self._changed_plugins |= set(changed_plugins)

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
        self.note_changed(changed_plugins)
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

    def load_elsewhere(self, lane_name: str, watch: PluginWatch) -> dict[str, LoadedElsewhere]:
        """Restart the worker processes of a lane; return the plugins they loaded."""
        return self._children.replace_lane(lane_name, watch)

    # Taking

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
            open_writer=self._resources.home.lane_writer,
            lane_names=[*held_lanes] if self._work.is_shared else [],
            attribute_lane=self._resources.recorder.attribute_to_lane,
            scripts=self._script_names,
            observers=self._resources.monitoring.call_counts,
            executors=self._children.lanes,
        )

    def _exchange_lane(
        self, parts: Parts, new_lane: Lane, changed_plugins: Collection[str]
    ) -> threading.Thread:
        """Add a lane, which may continue one that has ended; return its thread, not started."""
        ended_lane = parts.remove_lane(new_lane.name)
        if ended_lane is not None:
            new_lane.continue_lane(ended_lane, changed_plugins)
        lane_thread = self._lane_threads.make_thread(new_lane, parts.liveness)
        parts.lanes.append(new_lane)
        parts.lane_threads[new_lane.name] = lane_thread
        parts.progress_syncer.replace_lane(ended_lane, new_lane)
        return lane_thread

    # Giving up

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
        self._children.rest(lane_name)
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
