"""All worker processes of a daemon: those of each lane with `executor = "process"`."""

from __future__ import annotations

import threading
import time
from collections.abc import Container, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from sgevents_core.calling.context import Services
from sgevents_core.calling.outcome import RaisedError
from sgevents_core.children.failed_lanes import FailedLanes
from sgevents_core.children.lane_children import LaneChildren
from sgevents_core.children.lane_workers import LaneWorkers
from sgevents_core.children.launching import Launcher
from sgevents_core.children.messages import Prepared
from sgevents_core.children.sent_plugins import received_plugin
from sgevents_core.errors import LoadTimeoutError
from sgevents_core.plugins.load_watching import KnownBroken, PluginWatch
from sgevents_core.plugins.loading import LoadedElsewhere, group_and_lane
from sgevents_core.plugins.plugin_status import PluginStatus
from sgevents_core.scripts import Scripts
from sgevents_core.settings import Settings
from sgevents_core.state.pulse import ProcessLane

_FIX_ADVICE: Final = "The log says more. It is tried again, and sgevents status says when."
_NONE_BROKEN: Final[Mapping[str, KnownBroken]] = MappingProxyType({})


class Children:
    """The worker processes of a daemon; close it once their plugins are shut down.

    Args:
        settings: The configuration.
        without: Enabled plugins to leave out of this run.
        known: Plugin -> why it is not loaded.

    `stopping` is set once a stop or a reload waits for running calls.
    """

    def __init__(
        self,
        settings: Settings,
        without: Container[str] = (),
        known: Mapping[str, KnownBroken] = _NONE_BROKEN,
    ) -> None:
        self.stopping = threading.Event()
        self.lanes: dict[str, LaneWorkers] = {}
        self._failed_lanes = FailedLanes()
        self._settings = settings
        self._left_out = without
        self._launcher: Launcher | None = None
        for lane_name, plugin_names in plugins_in_children(settings, without).items():
            known_broken = {
                plugin_name: known[plugin_name]
                for plugin_name in plugin_names
                if plugin_name in known
            }
            self.lanes[lane_name] = self._make_workers(lane_name, plugin_names, known_broken)

    def _make_workers(
        self, lane_name: str, plugin_names: Sequence[str], known_broken: Mapping[str, KnownBroken]
    ) -> LaneWorkers:
        """Return the workers of a lane, not started."""
        if self._launcher is None:
            self._launcher = Launcher()
        lane_children = LaneChildren(
            lane_name,
            self._settings,
            plugin_names,
            launcher=self._launcher,
            site_key=urlsplit(self._settings.site.url).netloc,
            stopping=self.stopping,
            known_broken=known_broken,
        )
        return LaneWorkers(lane_children)

    def load(self, watch: PluginWatch) -> dict[str, LoadedElsewhere]:
        """Start each lane's first process; return the loaded plugins, by name.

        Args:
            watch: Limits the time this takes.

        Raises:
            LoadingStopped: The daemon must stop.
            StateError: The lock of a lane cannot be used.
        """
        loaded_plugins: dict[str, LoadedElsewhere] = {}
        for lane_workers in self.lanes.values():
            loaded_plugins |= self._load_lane(lane_workers, watch)
        return loaded_plugins

    def replace_lane(self, lane_name: str, watch: PluginWatch) -> dict[str, LoadedElsewhere]:
        """End the processes of a stopped lane, and restart its first one.

        Its plugins are those that the configuration enables now; those that had started are started
        again in each process.

        Args:
            lane_name: The lane's name.
            watch: Limits the time this takes.

        Returns:
            The loaded plugins, by name; empty if the lane has no plugins any more.

        Raises:
            LoadingStopped: The daemon must stop.
            StateError: The lock of a lane cannot be used.
        """
        ended_workers = self.lanes.pop(lane_name, None)
        self._failed_lanes.forget(lane_name)
        if ended_workers is not None:
            ended_workers.begin_end(shuts_down=True)
            ended_workers.end()
        plugin_names = plugins_in_children(self._settings, self._left_out).get(lane_name, [])
        if not plugin_names:
            return {}
        new_workers = self.lanes[lane_name] = self._make_workers(lane_name, plugin_names, {})
        if ended_workers is not None:
            new_workers.lane.take_over(ended_workers.lane)
        return self._load_lane(new_workers, watch)

    def _load_lane(
        self, lane_workers: LaneWorkers, watch: PluginWatch
    ) -> dict[str, LoadedElsewhere]:
        """Start the first process of a lane; return the loaded plugins, by name."""
        lane_children = lane_workers.lane
        load_timeout = lane_children.preparation_timeout * (
            1 + len(lane_children.plugins)
        )  # each may end a process once
        try:
            watch.within(
                load_timeout, f"waiting for lane {lane_children.name}", lane_children.await_old
            )
            activity = f"loading the plugins of lane {lane_children.name} in a worker process"
            preparation = watch.within(load_timeout, activity, lane_workers.start)
        except LoadTimeoutError as error:
            preparation = RaisedError("LoadTimeoutError", str(error))
        if isinstance(preparation, Prepared):
            return _receive_plugins(preparation, lane_workers)
        self._failed_lanes.note(lane_workers, preparation, time.monotonic())
        return {
            plugin_name: self._broken_plugin(plugin_name, preparation.line)
            for plugin_name in lane_children.plugins
        }

    def retry_failed(self, current_time: float) -> dict[str, dict[str, LoadedElsewhere]]:
        """Start lanes again whose first process could not be started, when they are due.

        Args:
            current_time: The current monotonic time, in seconds.

        Returns:
            The loaded plugins of the lanes that have started since the last call, by lane and name.
        """
        return {
            lane_workers.lane.name: _receive_plugins(preparation, lane_workers)
            for lane_workers, preparation in self._failed_lanes.retry(current_time)
        }

    def describe(self) -> list[ProcessLane]:
        """Return the lanes with worker processes, for people."""
        lanes = []
        for lane_name, lane_workers in self.lanes.items():
            trouble, retry_at = self._failed_lanes.describe(lane_name)
            workers = tuple(worker.describe() for worker in lane_workers.workers)
            lanes.append(ProcessLane(lane_name, workers, trouble, retry_at))
        return lanes

    def connect(self, services: Mapping[str, Services], scripts: Scripts) -> None:
        """Give calls in children the services that each plugin's calls share.

        Args:
            services: The services of each plugin's calls, by the plugin's name.
            scripts: The names of the site's scripts.
        """
        for lane_workers in self.lanes.values():
            lane_workers.lane.services = services
            lane_workers.lane.scripts = scripts

    def warm_up(self, lane_names: Iterable[str]) -> None:
        """Start the processes of further workers; the plugins have been started in the first.

        A lane whose first process could not be started waits for that: others would hold its lock.

        Args:
            lane_names: The lanes that begin; those without worker processes are passed over.
        """
        for lane_name in lane_names:
            if lane_name in self.lanes and lane_name not in self._failed_lanes:
                self.lanes[lane_name].warm_up()

    def rest(self, lane_name: str) -> None:
        """End the processes of further workers of a lane that has ended, and may begin again."""
        if lane_name in self.lanes:
            self.lanes[lane_name].rest()

    def say_stopping(self) -> None:
        """Let running calls see that a stop or a reload waits."""
        self.stopping.set()
        for lane_workers in self.lanes.values():
            lane_workers.say_stopping()

    def close(self) -> None:
        """End all processes, and wait until they are gone."""
        for lane_workers in self.lanes.values():
            lane_workers.begin_end()
        for lane_workers in self.lanes.values():
            lane_workers.end()
        if self._launcher is not None:
            self._launcher.close()

    def _broken_plugin(self, plugin_name: str, reason: str) -> LoadedElsewhere:
        group_name, lane_name = group_and_lane(self._settings.plugins[plugin_name], self._settings)
        plugin_status = PluginStatus(
            name=plugin_name,
            status="broken",
            reason=reason,
            fix=_FIX_ADVICE,
            group=group_name,
            lane=lane_name,
        )
        return LoadedElsewhere(None, plugin_status)


def plugins_in_children(settings: Settings, without: Container[str] = ()) -> dict[str, list[str]]:
    """Return the enabled plugins whose code runs in worker processes, by their lane's name.

    Args:
        settings: The configuration.
        without: Plugins to leave out.
    """
    plugins_by_lane: dict[str, list[str]] = {}
    for plugin_name, plugin_table in settings.plugins.items():
        lane_name = group_and_lane(plugin_table, settings)[1]
        has_children = (
            lane_name in settings.lanes and settings.lanes[lane_name].executor == "process"
        )
        if plugin_table.enabled and plugin_name not in without and has_children:
            plugins_by_lane.setdefault(lane_name, []).append(plugin_name)
    return plugins_by_lane


def _receive_plugins(prepared: Prepared, lane_workers: LaneWorkers) -> dict[str, LoadedElsewhere]:
    received_plugins = {
        sent_plugin.name: received_plugin(sent_plugin, lane_workers.call_hook)
        for sent_plugin in prepared.plugins
    }
    return {
        plugin_status.name: LoadedElsewhere(received_plugins.get(plugin_status.name), plugin_status)
        for plugin_status in prepared.statuses
    }
