"""Warnings about what is allowed in a plugin and hardly ever meant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from types import FunctionType, ModuleType
from typing import Final

from sgevents_core.hookspecs import hook_arguments
from sgevents_core.markers import matched_of
from sgevents_core.plugins.callback import Callback, source_place_of
from sgevents_core.plugins.members import HOOKIMPL_ATTRIBUTE, Implementation

_HOOKS_WITHOUT_CHANGE: Final = frozenset({"on_new", "on_retirement", "on_revival"})
"""Hooks whose events change no field."""
_CLASSIC_FUNCTION: Final = "registerCallbacks"


def never_changed_warnings(callbacks: Sequence[Callback]) -> list[str]:
    """Return warnings about conditions on a change in a hook whose events are none."""
    return [
        f"{callback.where}: {callback.name} is never called: only changes have "
        f"{'an attribute' if name == 'attribute' else name}, and its hook is {callback.hook}; "
        "use on_change"
        for callback in callbacks
        if callback.hook in _HOOKS_WITHOUT_CHANGE
        for name in _conditions_on_changes(callback)
    ]


def _conditions_on_changes(callback: Callback) -> list[str]:
    match = callback.match
    given = {
        "attribute": bool(match.attribute),
        "in_create": match.in_create is True,
        "old_value": bool(match.old_value) and None not in match.old_value,
        "new_value": bool(match.new_value) and None not in match.new_value,
    }
    return [name for name, is_given in given.items() if is_given]


def unmarked_match_warnings(plugin: object, registered: Collection[object]) -> list[str]:
    """Return warnings about functions with `@match` that nothing calls.

    Args:
        plugin: The module or instance.
        registered: The functions that the plugin has registered in code.
    """
    registered_ids = {id(getattr(one, "__func__", one)) for one in registered}
    attributes = dict(vars(type(plugin))) if not isinstance(plugin, ModuleType) else {}
    attributes |= getattr(plugin, "__dict__", {})
    return [
        f"{source_place_of(value)}: {name} has a @match and no @hookimpl, and is not registered: "
        "it is not called"
        for name, value in attributes.items()
        if isinstance(value, FunctionType)
        and matched_of(value) is not None
        and name not in hook_arguments()
        and not hasattr(value, HOOKIMPL_ATTRIBUTE)
        and id(value) not in registered_ids
    ]


def classic_warnings(plugin: object, implementations: Sequence[Implementation]) -> list[str]:
    """Return a warning about a package that has a function of the classic daemon's plugins.

    A file from a classic folder has the same function as an implementation, and it is called.
    """
    function = getattr(plugin, "__dict__", {}).get(_CLASSIC_FUNCTION)
    is_called = any(each.attribute == _CLASSIC_FUNCTION for each in implementations)
    if is_called or not isinstance(function, FunctionType):
        return []
    return [
        f"{source_place_of(function)}: registerCallbacks is a function of the classic daemon's "
        "plugins, and is not called: run the file from a folder of [[classic.paths]], or draft a "
        "package from it with sgevents migrate plugin"
    ]
