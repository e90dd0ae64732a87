"""What a test gives to a harness, in the loader's form: plugins by object or name, and tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from sgevents_core.filters import WrongValueError, checked_on_error
from sgevents_core.plugins.discovery import Discovery, FoundPlugin, discover
from sgevents_core.settings import PluginSettings, Secret

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

UNINSTALLED = "(given to the harness)"
"""The distribution of a plugin that was given as an object."""


class _GivenEntryPoint:
    """The stand-in for the entry point of a plugin that is already imported."""

    def __init__(self, plugin: object) -> None:
        self._plugin = plugin

    def load(self) -> object:
        """Return the plugin."""
        return self._plugin


@dataclass(frozen=True, slots=True)
class Given:
    """A plugin given by a test.

    Args:
        name: Its name, as the configuration would have it.
        found: Its entry point; None for a name that is not installed.
        table: Its table of the configuration.
    """

    name: str
    found: FoundPlugin | None
    table: PluginSettings


def given(
    plugin: object,
    name: str | None,
    settings: Mapping[str, Any] | None,
    table: Mapping[str, Any],
) -> Given:
    """Return the plugin in the form that the loader uses.

    Args:
        plugin: A module, an instance, or the name of one that is installed.
        name: The plugin's name; by default that of its entry point or its module.
        settings: Its own settings.
        table: More keys of `[plugins.NAME]`.

    Raises:
        TypeError: A key of `table` does not exist.
        ValueError: `on_error` is not a valid policy.
    """
    found = _found(plugin, name)
    wanted = found.name if found is not None else str(plugin)
    try:
        checked_on_error(table.get("on_error"))
    except WrongValueError as wrong:
        raise ValueError(f"{wrong.problem}. {wrong.advice}") from None
    key = table.get("api_key")
    held = {**table, "api_key": Secret(key) if isinstance(key, str) else key}
    return Given(wanted, found, PluginSettings(enabled=True, settings=dict(settings or {}), **held))


def discovery_of(plugins: Mapping[str, Given]) -> Discovery:
    """Return a discovery that finds the plugins given, and knows what else is installed."""
    installed = discover()
    own = {name: one.found for name, one in plugins.items() if one.found is not None}
    return replace(
        installed,
        found={**installed.found, **own},
        conflicts={name: all_ for name, all_ in installed.conflicts.items() if name not in own},
    )


def _found(plugin: object, name: str | None) -> FoundPlugin | None:
    if isinstance(plugin, str):
        return discover().found.get(plugin)
    installed = _installed_as(plugin)
    found = installed or FoundPlugin(
        name=_own_name(plugin),
        value=_value_of(plugin),
        distribution=UNINSTALLED,
        version=None,
        entry_point=cast("EntryPoint", _GivenEntryPoint(plugin)),
    )
    return replace(found, name=name) if name is not None else found


def _installed_as(plugin: object) -> FoundPlugin | None:
    """Return the installed entry point that names this very module, None if there is none."""
    if not isinstance(plugin, ModuleType):
        return None
    installed = discover().found.values()
    return next((found for found in installed if found.value == plugin.__name__), None)


def _own_name(plugin: object) -> str:
    named = plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__name__
    return named.rpartition(".")[2]


def _value_of(plugin: object) -> str:
    if isinstance(plugin, ModuleType):
        return plugin.__name__
    kind = plugin if isinstance(plugin, type) else type(plugin)
    return f"{kind.__module__}:{kind.__qualname__}"
