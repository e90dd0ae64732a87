"""All worker processes of a daemon: those of each lane with `executor = "process"`."""

from __future__ import annotations

import threading
from collections.abc import Container, Mapping, Sequence
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from sgevents_core.calling.context import Services
from sgevents_core.calling.outcome import RaisedError
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

_FIX: Final = "The log says more; then reload the daemon."
_NONE: Final[Mapping[str, KnownBroken]] = MappingProxyType({})


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
        known: Mapping[str, KnownBroken] = _NONE,
    ) -> None:
        self.stopping = threading.Event()
        self.lanes: dict[str, LaneWorkers] = {}
        self._settings = settings
        self._without = without
        self._launcher: Launcher | None = None
        for lane, plugins in plugins_in_children(settings, without).items():
            known_broken = {name: known[name] for name in plugins if name in known}
            self.lanes[lane] = self._workers_of(lane, plugins, known_broken)

    def _workers_of(
        self, lane: str, plugins: Sequence[str], known: Mapping[str, KnownBroken]
    ) -> LaneWorkers:
        """Return the workers of a lane, not started."""
        if self._launcher is None:
            self._launcher = Launcher()
        shared = LaneChildren(
            lane,
            self._settings,
            plugins,
            launcher=self._launcher,
            site_key=urlsplit(self._settings.site.url).netloc,
            stopping=self.stopping,
            known=known,
        )
        return LaneWorkers(shared)

    def load(self, watch: PluginWatch) -> dict[str, LoadedElsewhere]:
        """Start each lane's first process; return what it has loaded, by the plugin's name.

        Args:
            watch: Limits the time this takes.

        Raises:
            LoadingStopped: The daemon must stop.
            StateError: The lock of a lane cannot be used.
        """
        loaded: dict[str, LoadedElsewhere] = {}
        for workers in self.lanes.values():
            loaded |= self._load(workers, watch)
        return loaded

    def replace_lane(self, lane: str, watch: PluginWatch) -> dict[str, LoadedElsewhere]:
        """End the processes of a lane that does not run, and start its first one anew.

        Its plugins are those that the configuration enables now; those that had started are started
        again in each process.

        Args:
            lane: The lane's name.
            watch: Limits the time this takes.

        Returns:
            What it has loaded, by the plugin's name; empty if the lane has no plugins any more.

        Raises:
            LoadingStopped: The daemon must stop.
            StateError: The lock of a lane cannot be used.
        """
        ended = self.lanes.pop(lane, None)
        if ended is not None:
            ended.begin_end(shuts_down=True)
            ended.end()
        plugins = plugins_in_children(self._settings, self._without).get(lane, [])
        if not plugins:
            return {}
        workers = self.lanes[lane] = self._workers_of(lane, plugins, {})
        if ended is not None:
            workers.lane.take_over(ended.lane)
        return self._load(workers, watch)

    def _load(self, workers: LaneWorkers, watch: PluginWatch) -> dict[str, LoadedElsewhere]:
        """Start the first process of a lane; return what it has loaded, by the plugin's name."""
        lane = workers.lane
        limit = lane.patience * (1 + len(lane.plugins))  # each may end a process once
        try:
            watch.within(limit, f"waiting for lane {lane.name}", lane.await_old)
            doing = f"loading the plugins of lane {lane.name} in a worker process"
            prepared = watch.within(limit, doing, workers.start)
        except LoadTimeoutError as error:
            prepared = RaisedError("LoadTimeoutError", str(error))
        if isinstance(prepared, Prepared):
            return _received(prepared, workers)
        return {name: self._broken(name, prepared.line) for name in lane.plugins}

    def connect(self, services: Mapping[str, Services], scripts: Scripts) -> None:
        """Let calls in children use what all calls of a plugin share.

        Args:
            services: What the calls of each plugin share, by the plugin's name.
            scripts: The names of the site's scripts.
        """
        for workers in self.lanes.values():
            workers.lane.services = services
            workers.lane.scripts = scripts

    def warm_up(self) -> None:
        """Start the processes of further workers; the plugins have been started in the first."""
        for workers in self.lanes.values():
            workers.warm_up()

    def say_stopping(self) -> None:
        """Let running calls see that a stop or a reload waits."""
        self.stopping.set()
        for workers in self.lanes.values():
            workers.say_stopping()

    def close(self) -> None:
        """End all processes, and wait until they are gone."""
        for workers in self.lanes.values():
            workers.begin_end()
        for workers in self.lanes.values():
            workers.end()
        if self._launcher is not None:
            self._launcher.close()

    def _broken(self, plugin: str, reason: str) -> LoadedElsewhere:
        group, lane = group_and_lane(self._settings.plugins[plugin], self._settings)
        status = PluginStatus(
            name=plugin, status="broken", reason=reason, fix=_FIX, group=group, lane=lane
        )
        return LoadedElsewhere(None, status)


def plugins_in_children(settings: Settings, without: Container[str] = ()) -> dict[str, list[str]]:
    """Return the enabled plugins whose code runs in worker processes, by their lane's name.

    Args:
        settings: The configuration.
        without: Plugins to leave out.
    """
    found: dict[str, list[str]] = {}
    for name, table in settings.plugins.items():
        lane = group_and_lane(table, settings)[1]
        has_children = lane in settings.lanes and settings.lanes[lane].executor == "process"
        if table.enabled and name not in without and has_children:
            found.setdefault(lane, []).append(name)
    return found


def _received(prepared: Prepared, workers: LaneWorkers) -> dict[str, LoadedElsewhere]:
    plugins = {sent.name: received_plugin(sent, workers.call_hook) for sent in prepared.plugins}
    return {
        status.name: LoadedElsewhere(plugins.get(status.name), status)
        for status in prepared.statuses
    }
