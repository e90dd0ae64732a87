"""Assembling lanes, and what the calls of each plugin share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypedDict
from urllib.parse import urlsplit

from sgevents_core.calling.context import Services
from sgevents_core.calling.making import Executor
from sgevents_core.calling.own_thread import AttributeLane, ignore_lane, worker_label
from sgevents_core.calling.store import PluginStore
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.divided_lane import DividedLane, ExecutorOf
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.lane_plugin import LanePlugin, executor_of, lane_plugin_of
from sgevents_core.errors import StateDamaged
from sgevents_core.observe.observers import CallObserver
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.loading import Loaded, LoadedPlugin
from sgevents_core.scripts import Scripts
from sgevents_core.settings import Settings
from sgevents_core.site.health import SiteHealth
from sgevents_core.state.keys import CallKey
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import LaneWriter, Reader


def services_of(
    settings: Settings,
    loaded: Loaded,
    state: Reader,
    kind: type[Services] = Services,
    *,
    health: SiteHealth | None = None,
    stopping: threading.Event | None = None,
) -> dict[str, Services]:
    """Return what the calls of each plugin share, by plugin name, in call order.

    Args:
        settings: The configuration.
        loaded: The plugins.
        state: The state with their stores.
        kind: The class of the values.
        health: The health of the site; None if nothing monitors it.
        stopping: Set once a stop or a reload waits for running calls.
    """
    site_key = urlsplit(settings.site.url).netloc
    redact = Redactor.of(settings)
    return {
        plugin.name: kind(
            plugin,
            settings.site,
            settings.plugins[plugin.name],
            store=_store_of(plugin.name, state),
            site_key=site_key,
            redact=redact,
            site_health=health,
            stopping=stopping,
        )
        for plugin in loaded.plugins
    }


def _store_of(plugin: str, state: Reader) -> PluginStore:
    """Return a plugin's store; a damaged one keeps only that plugin from starting."""
    try:
        return PluginStore(plugin, state.store(plugin))
    except StateDamaged as error:
        return PluginStore(plugin, {}, damage=f"its store is damaged: {error.reason}")


def lanes_of(
    settings: Settings,
    plugins: Sequence[LoadedPlugin],
    services: Mapping[str, Services],
    open_state: Callable[[], LaneWriter],
    announcer: Announcer,
    *,
    hear: AttributeLane = ignore_lane,
    scripts: Scripts | None = None,
    observers: Sequence[CallObserver] = (),
    executors: Mapping[str, Executor] = MappingProxyType({}),
) -> list[Lane]:
    """Return the lanes, ready to run, each with its plugins in call order.

    `hear` is called with each plugin thread and its lane, `scripts` knows the names of the site's
    scripts, `observers` are notified of each call; `executors` make the calls of the lanes that
    have worker processes, by the lane's name.
    """
    lanes: list[Lane] = []
    for name in dict.fromkeys(plugin.lane for plugin in plugins):
        state = open_state()
        records = state.plugins()
        lane_plugins = [
            lane_plugin_of(
                plugin,
                records[plugin.name],
                services[plugin.name],
                settings,
                hear=hear,
                executor=executors.get(name),
            )
            for plugin in plugins
            if plugin.lane == name
        ]
        table = settings.lanes.get(name)
        lanes.append(
            lane_of(
                name,
                lane_plugins,
                state,
                workers=1 if table is None else table.workers,
                executor_of=partial(_executor_of, name, hear, executors.get(name)),
                folder=settings.state.path,
                announcer=announcer,
                scripts=scripts,
                observers=observers,
            )
        )
    return lanes


def lane_of(
    name: str,
    lane_plugins: Sequence[LanePlugin],
    state: LaneWriter,
    *,
    executor_of: ExecutorOf,
    workers: int = 1,
    folder: Path,
    announcer: Announcer,
    scripts: Scripts | None = None,
    observers: Sequence[CallObserver] = (),
) -> Lane:
    """Return a lane that continues where the ledger says, divided into strands as it was there.

    Args:
        name: The lane's name.
        lane_plugins: Its plugins, in call order.
        state: Its own connection to the journal and the ledger.
        executor_of: Where a worker makes the calls of a plugin.
        workers: How many workers it has if it is divided.
        folder: Where its register is kept.
        announcer: Reports failures to people and plugins.
        scripts: The names of the site's scripts; by default, guessed from rows.
        observers: Notified of each call.
    """
    common: _Common = {
        "state": state,
        "tried": state.attempts(),
        "folder": folder,
        "announcer": announcer,
        "scripts": scripts,
        "observers": observers,
    }
    places = state.lane_places(name)
    if places is None:
        progress = state.lane_progress(name) or Progress(state.end())
        return Lane(name, lane_plugins, progress=progress, **common)
    return DividedLane(
        name, lane_plugins, places=places, workers=workers, executor_of=executor_of, **common
    )


class _Common(TypedDict):
    """What every lane is made with."""

    state: LaneWriter
    tried: dict[tuple[CallKey, int], int]
    folder: Path
    announcer: Announcer
    scripts: Scripts | None
    observers: Sequence[CallObserver]


def _executor_of(
    lane: str, hear: AttributeLane, executor: Executor | None, lane_plugin: LanePlugin, worker: int
) -> Executor:
    """Return where a worker makes the calls of a plugin: all in one place, if there is one."""
    return executor or executor_of(lane_plugin, worker_label(lane, worker), hear)
