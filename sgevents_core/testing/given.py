"""Plugins that a test passes to a harness, by object or name, in the form of the loader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sgevents_core.call_options import checked_on_error
from sgevents_core.filters import WrongValueError
from sgevents_core.plugins.discovery import Discovery, FoundPlugin, discover
from sgevents_core.plugins.sources import ImportedPlugin, read_members
from sgevents_core.settings import PluginSettings, Secret

if TYPE_CHECKING:
    pass

GIVEN_DISTRIBUTION = "(given to the harness)"
"""The distribution of a plugin that is passed as an object."""


@dataclass(frozen=True, slots=True)
class GivenSource:
    """The source of a plugin that a test has as an object, already imported."""

    plugin: object

    @property
    def metadata_folder(self) -> Path | None:
        """Return None: no distribution installed the object."""
        return None

    def files(self, plugin: FoundPlugin) -> Iterator[Path]:
        """Yield nothing: the object has no files to watch."""
        return iter(())

    def import_plugin(self, plugin: FoundPlugin) -> ImportedPlugin:
        """Return the object with the functions it implements."""
        return read_members(plugin, self.plugin)


@dataclass(frozen=True, slots=True)
class GivenPlugin:
    """A plugin passed by a test.

    Args:
        plugin_name: Its name, as in a configuration.
        found_plugin: Its entry point; None for a name that is not installed.
        plugin_settings: Its table, as in a configuration.
    """

    plugin_name: str
    found_plugin: FoundPlugin | None
    plugin_settings: PluginSettings


def given_plugin(
    plugin: object,
    plugin_name: str | None,
    settings: Mapping[str, Any] | None,
    table: Mapping[str, Any],
) -> GivenPlugin:
    """Return the plugin in the form that the loader uses.

    Args:
        plugin: A module, an instance, or the name of one that is installed.
        plugin_name: The plugin's name; by default that of its entry point or its module.
        settings: Its own settings.
        table: More keys of `[plugins.NAME]`.

    Raises:
        TypeError: A key of `table` does not exist.
        ValueError: `on_error` is not a valid policy.
    """
    found = _find_plugin(plugin, plugin_name)
    known_name = found.name if found is not None else str(plugin)
    try:
        checked_on_error(table.get("on_error"))
    except WrongValueError as invalid_policy:
        raise ValueError(f"{invalid_policy.problem}. {invalid_policy.advice}") from None
    api_key = table.get("api_key")
    table_values = {**table, "api_key": Secret(api_key) if isinstance(api_key, str) else api_key}
    return GivenPlugin(
        known_name,
        found,
        PluginSettings(enabled=True, settings=dict(settings or {}), **table_values),
    )


def discovery_with(plugins: Mapping[str, GivenPlugin]) -> Discovery:
    """Return a discovery that finds the given plugins besides those that are installed."""
    installed = discover()
    given_plugins = {
        plugin_name: given.found_plugin
        for plugin_name, given in plugins.items()
        if given.found_plugin is not None
    }
    return installed.including(given_plugins)


def _find_plugin(plugin: object, plugin_name: str | None) -> FoundPlugin | None:
    if isinstance(plugin, str):
        return discover().found.get(plugin)
    installed = _installed_plugin(plugin)
    found = installed or FoundPlugin(
        name=_module_name(plugin),
        value=_entry_point_value(plugin),
        distribution=GIVEN_DISTRIBUTION,
        version=None,
        source=GivenSource(plugin),
    )
    return replace(found, name=plugin_name) if plugin_name is not None else found


def _installed_plugin(plugin: object) -> FoundPlugin | None:
    """Return the installed plugin whose entry point names this module, or None."""
    if not isinstance(plugin, ModuleType):
        return None
    installed = discover().found.values()
    return next((found for found in installed if found.value == plugin.__name__), None)


def _module_name(plugin: object) -> str:
    dotted_name = plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__name__
    return dotted_name.rpartition(".")[2]


def _entry_point_value(plugin: object) -> str:
    if isinstance(plugin, ModuleType):
        return plugin.__name__
    plugin_class = plugin if isinstance(plugin, type) else type(plugin)
    return f"{plugin_class.__module__}:{plugin_class.__qualname__}"
