"""Plugins that move to a lane of this process from one that another process still works at."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from sgevents_core.errors import StateError
from sgevents_core.plugins.loading import Loaded
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.protocols import Reader

logger = logging.getLogger("sgevents.daemon")

_LOOK_INTERVAL: Final = 1.0


class MovingPlugins:
    """Which plugins their lanes here wait for; for the main thread."""

    def __init__(self) -> None:
        self._awaited: dict[str, str] = {}
        """Plugin -> the lane that it moves to."""
        self._looked_at = float("-inf")

    def leave_out(
        self, loaded: Loaded, lane_names: Collection[str], records: Mapping[str, PluginRecord]
    ) -> Loaded:
        """Return what is loaded without the plugins of lanes that are recorded in another lane.

        Args:
            loaded: What is loaded.
            lane_names: The lanes, which have just been taken.
            records: The records of all plugins.
        """
        moving = {
            plugin.name: plugin.lane
            for plugin in loaded.plugins
            if plugin.lane in lane_names
            and plugin.name in records
            and records[plugin.name].lane != plugin.lane
        }
        others = {name: lane for name, lane in self._awaited.items() if lane not in lane_names}
        self._awaited = others | moving
        for plugin_name, lane_name in moving.items():
            logger.info(
                "Plugin %s moves to lane %s once lane %s has let it go",
                plugin_name,
                lane_name,
                records[plugin_name].lane,
                extra={"action": "plugin.moving", "plugin": plugin_name, "lane": lane_name},
            )
        plugins = tuple(plugin for plugin in loaded.plugins if plugin.name not in moving)
        return replace(loaded, plugins=plugins)

    def find_arrived(self, lane_names: Collection[str], state: Reader) -> set[str]:
        """Return the lanes, of some, to which a plugin can move now: they have to begin again."""
        awaited = {name: lane for name, lane in self._awaited.items() if lane in lane_names}
        current_time = time.monotonic()
        if not awaited or current_time < self._looked_at + _LOOK_INTERVAL:
            return set()
        self._looked_at = current_time
        try:
            records = state.plugins()
        except StateError:  # it is looked at again
            return set()
        return {lane for name, lane in awaited.items() if records[name].lane == lane}
