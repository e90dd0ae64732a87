"""Take up lanes whose worker processes could not be started at first, once they are."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from sgevents_core.daemon.lane_taking import LaneTaking
from sgevents_core.daemon.parts import Parts
from sgevents_core.errors import StateError
from sgevents_core.plugins.load_watching import LoadingStopped, PluginWatch
from sgevents_core.plugins.loading import Loaded, LoadedElsewhere

logger = logging.getLogger("sgevents.daemon")


class LateLanes:
    """The lanes that wait for their worker processes; for the main thread.

    Args:
        loaded: The plugins that were loaded at the start.
        lane_taking: Starts lanes.
        parts: The parts of this run.
        open_watch: Opens the watch for a plugin's code while it is started.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        lane_taking: LaneTaking,
        parts: Parts,
        open_watch: Callable[[], AbstractContextManager[PluginWatch]],
    ) -> None:
        self._registry = loaded.registry
        self._lane_taking = lane_taking
        self._parts = parts
        self._open_watch = open_watch
        self._loaded_lanes: dict[str, Mapping[str, LoadedElsewhere]] = {}

    def turn(self) -> set[str]:
        """Start lanes whose plugins were loaded meanwhile; return these plugins."""
        self._loaded_lanes |= self._parts.children.retry_failed(time.monotonic())
        started_plugins: set[str] = set()
        for lane_name, loaded_plugins in list(self._loaded_lanes.items()):
            try:
                self._start_lane(lane_name, loaded_plugins)
            except LoadingStopped:
                return started_plugins
            except StateError as error:  # a full disk: the lane waits like everything else
                logger.debug("Lane %s waits: %s", lane_name, error)
                continue
            del self._loaded_lanes[lane_name]
            started_plugins |= set(loaded_plugins)
        return started_plugins

    def _start_lane(self, lane_name: str, loaded_plugins: Mapping[str, LoadedElsewhere]) -> None:
        plugins = tuple(one.plugin for one in loaded_plugins.values() if one.plugin is not None)
        statuses = tuple(one.status for one in loaded_plugins.values())
        loaded = Loaded(plugins=plugins, statuses=statuses, registry=self._registry)
        if not self._lane_taking.note_loaded(self._parts, lane_name, loaded, loaded_plugins):
            return
        with self._open_watch() as watch:
            threads = self._lane_taking.take_lanes(
                self._parts, [lane_name], loaded, frozenset(loaded_plugins), watch
            )
        for lane_thread in threads:
            lane_thread.start()
        self._parts.children.lanes[lane_name].warm_up()
        extra = {"action": "lane.loaded_late", "lane": lane_name, "plugins": sorted(loaded_plugins)}
        logger.info("Lane %s starts: its plugins have been loaded", lane_name, extra=extra)
