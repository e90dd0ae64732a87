"""Assembling lanes, and what the calls of each plugin share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from urllib.parse import urlsplit

from sgevents_core.calling.context import Services
from sgevents_core.calling.making import Executor
from sgevents_core.calling.own_thread import Hear, heard_by_nobody
from sgevents_core.calling.store import PluginStore
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.lane_plugin import lane_plugin_of
from sgevents_core.errors import StateDamaged
from sgevents_core.observe.observers import CallObserver
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.loading import Loaded, LoadedPlugin
from sgevents_core.scripts import Scripts
from sgevents_core.settings import Settings
from sgevents_core.site.health import SiteHealth
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
            health=health,
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
    hear: Hear = heard_by_nobody,
    scripts: Scripts | None = None,
    observers: Sequence[CallObserver] = (),
    executors: Mapping[str, Executor] = MappingProxyType({}),
) -> list[Lane]:
    """Return the lanes, ready to run, each with its plugins in call order.

    `hear` is called with each plugin thread and its lane, `scripts` knows the names of the site's
    scripts, `observers` are notified of each call; `executors` make the calls of the lanes that
    have worker processes, by the lane's name.
    """
    lanes = []
    for name in dict.fromkeys(plugin.lane for plugin in plugins):
        state = open_state()
        records = state.plugins()
        progress = state.lane_progress(name) or Progress(state.end())
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
        lane = Lane(
            name,
            lane_plugins,
            state=state,
            progress=progress,
            tried=state.attempts(),
            folder=settings.state.path,
            announcer=announcer,
            scripts=scripts,
            observers=observers,
        )
        lanes.append(lane)
    return lanes
