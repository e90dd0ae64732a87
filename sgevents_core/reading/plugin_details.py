"""One plugin in detail: whether it runs, its callbacks, settings, progress and store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from sgevents_core.classic.finding import find_plugins
from sgevents_core.crashes.loading_apart import inspect_apart
from sgevents_core.plugins.load_watching import PluginWatch
from sgevents_core.plugins.loading import LoadedPlugin, load
from sgevents_core.plugins.plugin_status import PluginStatus
from sgevents_core.reading.overview import PluginOverview, read_overview
from sgevents_core.reading.plugin_standing import with_standing
from sgevents_core.settings import Settings
from sgevents_core.settings.effective import EffectiveValue, ValueSources, own_values
from sgevents_core.state.opening import open_state


class CallbackDetails(NamedTuple):
    """One callback of a plugin, for people."""

    name: str
    hook: str | None
    """None if the registrar registered it."""
    filter_text: str
    on_error: str
    timeout: float | None
    """Seconds; None for no limit."""
    where: str
    """File and line."""


@dataclass(frozen=True, kw_only=True)
class PluginDetails:
    """All that is known of a plugin."""

    status: PluginStatus
    callbacks: tuple[CallbackDetails, ...] = ()
    """In the order in which they are called; empty unless the plugin is loaded."""
    own_settings: tuple[EffectiveValue, ...] = ()
    """Its own settings with all defaults; empty unless the plugin is loaded."""
    overview: PluginOverview | None = None
    """Its progress; None if it has never been enabled on the state."""
    store: Mapping[str, Any]
    """Its store as last committed."""


class _Inspected(NamedTuple):
    """What loading tells of a plugin; crosses a process."""

    statuses: tuple[PluginStatus, ...]
    callbacks: tuple[CallbackDetails, ...]
    own_settings: tuple[EffectiveValue, ...]


def read_plugin_details(settings: Settings, plugin_name: str) -> PluginDetails | None:
    """Return the details of a plugin; None if it is neither installed nor configured.

    Imports the enabled plugins in a separate process.

    Args:
        settings: The configuration; see `read_for_inspection` of the commands.
        plugin_name: The plugin.

    Raises:
        StateError: The state cannot be read.
        LoadEndedError: The plugins' process ended, and it is not known which plugin ended it.
    """
    inspected = inspect_apart(settings, partial(_inspect, settings, plugin_name))
    status = _find_status(inspected.statuses, plugin_name)
    if status is None:
        return None
    overview, store = _read_progress(settings, plugin_name)
    return PluginDetails(
        status=with_standing([status], settings.state.path)[0],
        callbacks=inspected.callbacks,
        own_settings=inspected.own_settings,
        overview=overview,
        store=store,
    )


def _inspect(settings: Settings, plugin_name: str, watch: PluginWatch) -> _Inspected:
    loaded = load(settings, find_plugins(settings), watch=watch)
    plugin = next((plugin for plugin in loaded.plugins if plugin.name == plugin_name), None)
    if plugin is None:
        return _Inspected(loaded.statuses, (), ())
    callbacks = tuple(_callback_details(settings, plugin))
    return _Inspected(loaded.statuses, callbacks, tuple(_own_settings(settings, plugin)))


def _callback_details(settings: Settings, plugin: LoadedPlugin) -> Sequence[CallbackDetails]:
    table = settings.plugins[plugin.name]
    usual_timeout = table.timeout or settings.lanes[plugin.lane].timeout
    return [
        CallbackDetails(
            name=callback.name,
            hook=callback.hook,
            filter_text=callback.describe(),
            on_error=callback.on_error or table.on_error,
            timeout=callback.timeout or usual_timeout,
            where=callback.where,
        )
        for callback in plugin.callbacks
    ]


def _own_settings(settings: Settings, plugin: LoadedPlugin) -> Sequence[EffectiveValue]:
    own_table = ("plugins", plugin.name, "settings")
    sources = ValueSources(settings.path)
    is_checked = plugin.model is not None
    return list(own_values(plugin.settings, own_table, sources, is_checked=is_checked))


def _find_status(statuses: Sequence[PluginStatus], plugin_name: str) -> PluginStatus | None:
    return next((status for status in statuses if status.name == plugin_name), None)


def _read_progress(
    settings: Settings, plugin_name: str
) -> tuple[PluginOverview | None, Mapping[str, Any]]:
    """Return a plugin's progress and store; nothing of a state that no daemon has made."""
    enabled_plugins = frozenset(name for name, table in settings.plugins.items() if table.enabled)
    whole = read_overview(settings.state.path, enabled_plugins)
    if whole is None:
        return None, {}
    with closing(open_state(settings.state.path).reader()) as reader:
        store = reader.store(plugin_name)
    return next((plugin for plugin in whole.plugins if plugin.name == plugin_name), None), store
