"""Lanes of a simulated daemon that are replaced while it runs, because their plugins have changed.

It does for one lane what the daemon does once a classic file has changed: the lane ends after the
running call, and another one continues with the plugins as they are now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
from mortal_process import Killed
from simulated_studio import SilentAnnouncer

from sgevents_core.children.lane_workers import LaneWorkers
from sgevents_core.crashes import recovering
from sgevents_core.dispatch import wiring
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.plugin_starts import start_plugins
from sgevents_core.plugins.loading import Loaded
from sgevents_core.state.opening import open_state

if TYPE_CHECKING:
    from simulated_daemon import SimulatedDaemon


class LaneReplacing:
    """Replaces lanes of a daemon.

    Args:
        daemon: The daemon.
    """

    def __init__(self, daemon: SimulatedDaemon) -> None:
        self.count = 0
        """How many lanes were replaced."""
        self._daemon = daemon
        self._changes: dict[str, dict[str, bool]] = {}
        """Lane -> its plugins that have changed since it was asked to end, and who is enabled."""
        self._resumed: list[str] = []

    def begin(self, lane_name: str, changes: Mapping[str, bool]) -> None:
        """Let a lane end after the running call, because some of its plugins have changed.

        Args:
            lane_name: The lane.
            changes: Plugin -> whether it is enabled now.
        """
        self._changes.setdefault(lane_name, {}).update(changes)
        for lane in self._daemon.lanes:
            if lane.name == lane_name:
                lane.stop()

    def is_ending(self, lane: Lane) -> bool:
        """Return whether a lane is about to be replaced."""
        return lane.name in self._changes

    def forget(self) -> None:
        """Forget the changes: a new process finds all plugins as they are."""
        for changes in self._changes.values():
            self._enable(changes)
        self._changes.clear()

    def continue_lanes(self) -> None:
        """Replace the lanes that were asked to end; none of their calls runs any more."""
        for lane_name in list(self._changes):
            try:
                self._replace(lane_name, self._changes[lane_name])
            except Killed:
                self._daemon.troubled_starts.append(len(self._daemon.log.made))
                self._note_resumed()
                raise
            del self._changes[lane_name]
            self.count += 1

    def _enable(self, changes: Mapping[str, bool]) -> None:
        for plugin_name, is_enabled in changes.items():
            plugin = self._daemon.house.plugins[plugin_name]
            plugin.table = msgspec.structs.replace(plugin.table, enabled=is_enabled)

    def _replace(self, lane_name: str, changes: Mapping[str, bool]) -> None:
        daemon = self._daemon
        ended_lane = next((lane for lane in daemon.lanes if lane.name == lane_name), None)
        if ended_lane is not None:
            ended_lane.close()
            if ended_lane.error is not None:
                raise ended_lane.error
        self._enable(changes)
        self._resumed = self._to_be_resumed(changes)
        daemon.note_joining()
        loaded, workers = self._load(lane_name)
        held_lanes = recovering.take_over_lanes(
            [lane_name], daemon.house.settings(), loaded, daemon.state, changed_plugins=changes
        )
        daemon.held_lanes.update(held_lanes)
        new_lane = self._make_lane(lane_name, loaded, changes, workers)
        daemon.log.lane_ends(lane_name)
        self._note_resumed()
        for plugin_name in changes:
            daemon.log.goes_without(plugin_name)
        self._exchange(ended_lane, new_lane, changes)
        daemon.look_at_the_ledger()

    def _to_be_resumed(self, changes: Collection[str]) -> list[str]:
        """Return the plugins that an error has stopped, and that get a new chance."""
        failing = {key.plugin for key, _ in self._daemon.house.state.attempts()}
        return [
            record.name
            for record in self._daemon.house.records().values()
            if record.name in changes
            and (record.state == "held" or (record.state == "paused" and record.name in failing))
        ]

    def _note_resumed(self) -> None:
        """Let the log know which plugins have got a new chance, as far as that was recorded."""
        records = self._daemon.house.records()
        for plugin_name in self._resumed:
            if records[plugin_name].state == "active":
                self._daemon.log.goes_on(plugin_name)
        self._resumed = []

    def _load(self, lane_name: str) -> tuple[Loaded, LaneWorkers | None]:
        """Load the plugins of a lane, in new worker processes if it has such."""
        daemon = self._daemon
        settings, loaded = daemon.house.settings(), daemon.house.loaded()
        here = replace(
            loaded,
            plugins=tuple(plugin for plugin in loaded.plugins if plugin.lane == lane_name),
            statuses=tuple(status for status in loaded.statuses if status.lane == lane_name),
        )
        return daemon.children.replace_lane(lane_name, settings, loaded, here)

    def _make_lane(
        self,
        lane_name: str,
        loaded: Loaded,
        changes: Collection[str],
        workers: LaneWorkers | None,
    ) -> Lane | None:
        """Return the lane that continues; None if there are no plugins any more."""
        daemon, settings = self._daemon, self._daemon.house.settings()
        changed = tuple(plugin for plugin in loaded.plugins if plugin.name in changes)
        changed_loaded = replace(loaded, plugins=changed)
        services = wiring.services_of(
            settings, changed_loaded, daemon.state, site_health=daemon.feed.health
        )
        daemon.services.update(services)
        start_plugins(changed_loaded, daemon.services, daemon.held_lanes)
        others = [plugin for plugin in daemon.plugins if plugin.lane != lane_name]
        daemon.plugins[:] = [*others, *loaded.plugins]
        if workers is not None:
            workers.lane.services = daemon.services
        lanes = wiring.lanes_of(
            settings,
            loaded.plugins,
            daemon.services,
            daemon.held_lanes,
            SilentAnnouncer(),
            open_writer=lambda: open_state(daemon.house.folder).writer(),
            executors={} if workers is None else {lane_name: workers},
        )
        return lanes[0] if lanes else None

    def _exchange(
        self, ended_lane: Lane | None, new_lane: Lane | None, changes: Collection[str]
    ) -> None:
        daemon = self._daemon
        if ended_lane is not None:
            daemon.lanes.remove(ended_lane)
        if new_lane is not None:
            if ended_lane is not None:
                new_lane.continue_lane(ended_lane, changes)
            daemon.lanes.append(new_lane)
        daemon.note_lanes()
        if daemon.syncer is not None:
            daemon.syncer.replace_lane(ended_lane, new_lane)
