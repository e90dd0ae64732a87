"""Warn of plugins that seem to keep values in memory while several workers run them."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, MutableSequence, MutableSet, Sequence
from types import ModuleType
from typing import Final

from sgevents_core.settings import LaneSettings, PluginSettings

_CONTAINERS: Final = (MutableMapping, MutableSequence, MutableSet)
_MAX_NAMES: Final = 5
"""The most names in one warning."""


def memory_warnings(
    plugin: object, args_given_to: Sequence[str], table: PluginSettings, lane: LaneSettings | None
) -> list[str]:
    """Return a warning about values that a plugin keeps in memory, if several workers run it.

    Args:
        plugin: The module or instance.
        args_given_to: The names of the callbacks that were registered with `args`.
        table: The plugin's table in the configuration.
        lane: The table of its lane; None if it has none.
    """
    if lane is None:
        return []
    meaning = _meaning(table, lane)
    names = [*_names_of_objects(plugin), *(f"args of {name}" for name in args_given_to)]
    if not meaning or not names:
        return []
    shown = ", ".join(names[:_MAX_NAMES]) + (" and more" if len(names) > _MAX_NAMES else "")
    return [f"it seems to keep objects in memory ({shown}): {meaning}"]


def _meaning(table: PluginSettings, lane: LaneSettings) -> str:
    """Return how a lane's workers affect objects kept in memory; empty if they do not."""
    if lane.executor == "process":
        return (
            "each worker process has its own, and a new process starts with none; use ctx.store "
            "for what must last"
        )
    if lane.workers > 1 and table.concurrency != 1:
        return (
            f"{lane.workers} threads use them at once; make them thread-safe, or write "
            "concurrency = 1 in the plugin's table"
        )
    return ""


def _names_of_objects(plugin: object) -> Iterator[str]:
    """Yield the names of the objects that a plugin's callbacks seem to fill while they run."""
    held = getattr(plugin, "__dict__", {})
    for name, value in list(held.items()):
        is_own = not isinstance(plugin, ModuleType)
        is_empty_container = isinstance(value, _CONTAINERS) and not value
        if not name.startswith("__") and (is_own or is_empty_container):
            yield name
