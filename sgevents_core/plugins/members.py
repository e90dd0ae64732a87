"""The hook implementations of a plugin, in registration order: the order of first appearance.

pluggy itself uses `dir()`, which is alphabetical; here the order is the author's.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, Final

from sgevents_core.errors import HookOptionError, NotAFunctionError, UnknownHookError
from sgevents_core.hookspecs import hook_arguments
from sgevents_core.markers import Match, Matched, matched_of
from sgevents_core.plugins.callback import source_place_of
from sgevents_core.plugins.signatures import suggestion

HOOKIMPL_ATTRIBUTE: Final = "sgevents_impl"
"""The attribute in which `hookimpl` stores its options."""
_REFUSED_OPTIONS: Final = ("wrapper", "hookwrapper", "tryfirst", "trylast")


@dataclass(frozen=True, kw_only=True)
class Implementation:
    """One function of a plugin that implements a hook."""

    hook: str
    attribute: str
    """Its name in the module or instance."""
    function: Callable[..., object]
    """The function as it is called: bound, if it is a method."""
    matched: Matched
    """Its `match` filter; without one, it wants every event of its hook."""


@dataclass(frozen=True, kw_only=True)
class Members:
    """The functions that a plugin implements, and warnings about likely mistakes."""

    implementations: tuple[Implementation, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Member:
    attribute: str
    function: Callable[..., object] | None
    """None if it is not a function or method."""
    value: object
    options: Mapping[str, Any] | None = field(default=None)

    @property
    def hook(self) -> str:
        return (self.options or {}).get("specname") or self.attribute

    @property
    def identity(self) -> tuple[int, int]:
        """An identity that is equal for one function under two names, but not for two instances."""
        inner_function = getattr(self.function, "__func__", self.function)
        return id(inner_function), id(getattr(self.function, "__self__", None))


def members_of(plugin: object) -> Members:
    """Return the hook implementations of `plugin`, a module or an instance, in order.

    Raises:
        UnknownHookError: A function is marked for a hook that does not exist.
        NotAFunctionError: Something marked is not a function or method.
        HookOptionError: A function asks to run first or last, or to wrap others.
    """
    members = list(_iterate_members(plugin))
    hook_names = hook_arguments()
    identities = {
        member.identity for member in members if member.options and member.hook in hook_names
    }
    seen_members: set[tuple[str, tuple[int, int]]] = set()
    implementations, warnings = [], []
    for member in members:
        if member.options is None:
            warnings += _unmarked_warnings(member)
        elif member.hook not in hook_names:
            warnings += _unknown_hook_warnings(member, identities, _file_of_plugin(plugin))
        elif (member.hook, member.identity) not in seen_members:
            seen_members.add((member.hook, member.identity))
            implementations.append(_implementation(member, _file_of_plugin(plugin)))
    return Members(implementations=tuple(implementations), warnings=tuple(warnings))


def _implementation(member: _Member, plugin_file: str) -> Implementation:
    if member.function is None:
        raise NotAFunctionError(
            where=plugin_file,
            hook=member.hook,
            kind="a class" if inspect.isclass(member.value) else f"a {type(member.value).__name__}",
        )
    for option_name in _REFUSED_OPTIONS:
        if (member.options or {}).get(option_name):
            raise HookOptionError(
                where=source_place_of(member.function),
                function=member.attribute,
                option=f"{option_name}=True",
            )
    return Implementation(
        hook=member.hook,
        attribute=member.attribute,
        function=member.function,
        matched=matched_of(member.value) or matched_of(member.function) or Matched(Match()),
    )


def _unmarked_warnings(member: _Member) -> list[str]:
    if member.function is None or member.attribute not in hook_arguments():
        return []
    return [
        f"{source_place_of(member.function)}: {member.attribute} has the name of a hook "
        "and no @hookimpl: it is not called"
    ]


def _unknown_hook_warnings(
    member: _Member, implemented_identities: set[tuple[int, int]], plugin_file: str
) -> list[str]:
    """Return a warning, or raise: only an alias or an optional hook may lack a hook's name."""
    if member.function is not None and member.identity in implemented_identities:
        return []
    source_place = plugin_file if member.function is None else source_place_of(member.function)
    if (member.options or {}).get("optionalhook"):
        return [f"{source_place}: this version has no hook {member.hook}: it is not called"]
    raise UnknownHookError(
        where=source_place,
        hook=member.hook,
        suggestion=suggestion(member.hook, tuple(hook_arguments())),
    )


def _iterate_members(plugin: object) -> Iterator[_Member]:
    """Yield possible implementations, in order of first appearance."""
    if isinstance(plugin, ModuleType):
        for attribute, value in list(vars(plugin).items()):
            yield _own_member(attribute, value)
        return
    own_attributes = _own_attributes(plugin)
    inherited_attributes: dict[str, object] = {}
    for base_class in reversed(type(plugin).__mro__):
        for attribute, value in vars(base_class).items():
            inherited_attributes[attribute] = value  # keeps the position of its first appearance
    for attribute in dict.fromkeys([*inherited_attributes, *own_attributes]):
        if attribute in own_attributes:
            yield _own_member(attribute, own_attributes[attribute])
        elif isinstance(inherited_attributes[attribute], MemberDescriptorType):
            yield from _slot_member(plugin, attribute, inherited_attributes[attribute])
        else:
            yield _class_member(plugin, attribute, inherited_attributes[attribute])


def _file_of_plugin(plugin: object) -> str:
    """Return the file of `plugin`, for members without a source line of their own."""
    is_module = isinstance(plugin, ModuleType)
    module = plugin if is_module else sys.modules.get(type(plugin).__module__)
    return str(getattr(module, "__file__", None) or module)


def _own_attributes(plugin: object) -> dict[str, object]:
    try:
        own_attributes = object.__getattribute__(plugin, "__dict__")
    except AttributeError:
        return {}
    return dict(own_attributes) if isinstance(own_attributes, dict) else {}


def _own_member(attribute: str, value: object) -> _Member:
    """Return a member of a module or of an instance itself, which is not bound."""
    return _member(attribute, value, value.__func__ if isinstance(value, staticmethod) else value)


def _slot_member(plugin: object, attribute: str, slot_descriptor: object) -> Iterator[_Member]:
    try:
        value = slot_descriptor.__get__(plugin, type(plugin))  # type: ignore[attr-defined]  # it is a slot
    except AttributeError:  # the slot is empty
        return
    yield _own_member(attribute, value)


def _class_member(plugin: object, attribute: str, value: object) -> _Member:
    """Return a member of an instance's class, bound to the instance as Python does it."""
    bound_function: object = None
    if isinstance(value, staticmethod):
        bound_function = value.__func__
    elif isinstance(value, (FunctionType, classmethod)):
        bound_function = value.__get__(plugin, type(plugin))
    elif isinstance(value, MethodType):
        bound_function = value
    return _member(attribute, value, bound_function)


def _member(attribute: str, value: object, bound_function: object) -> _Member:
    is_function = isinstance(bound_function, (FunctionType, MethodType))
    return _Member(
        attribute=attribute,
        function=bound_function if is_function else None,  # type: ignore[arg-type]  # just checked
        value=value,
        options=_options(value),
    )


def _options(value: object) -> Mapping[str, Any] | None:
    """Return the options that `hookimpl` stored on `value`, without running the plugin's code."""
    mark_holders = [value]
    if isinstance(value, (MethodType, staticmethod, classmethod)):
        mark_holders.append(value.__func__)
    for holder in mark_holders:
        attributes = vars(holder) if inspect.isclass(holder) else _own_attributes(holder)
        options = attributes.get(HOOKIMPL_ATTRIBUTE)
        if isinstance(options, dict):
            return options
    return None
