"""Callbacks: the functions of a plugin as they are called, with filter, name and source line."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import PurePath
from types import CodeType
from typing import TYPE_CHECKING, Final, NamedTuple

from sgevents_core.choices import OnError
from sgevents_core.hookspecs import EVERY_HOOK, hook_of
from sgevents_core.markers import Match

if TYPE_CHECKING:
    from sgevents_core.batching import BatchRules
    from sgevents_core.events import Event, Route
    from sgevents_core.protocols import Context
    from sgevents_core.settings import Secret

_NO_SOURCE: Final = "(no source)"


class Credentials(NamedTuple):
    """A script user of the site and its API key."""

    script_name: str
    api_key: Secret


@dataclass(frozen=True, slots=True)
class Callback:
    """One function of a plugin, ready to be called with `(event, ctx)`.

    One with `batch` rules is ready to be called with `(events, ctx)`.
    """

    plugin: str
    name: str
    """`module:qualname`, unique within the plugin and the same after a restart."""
    hook: str | None
    """The hook it implements; None if `register_callbacks` registered it."""
    match: Match
    function: Callable[[Event, Context], object]
    on_error: OnError | None = None
    """Overrides the plugin's value; None to use the plugin's."""
    timeout: float | None = None
    """Its time limit in seconds; None to use the limit of its plugin or lane."""
    retry_on: tuple[type[BaseException], ...] = ()
    """Classes of errors that pass by themselves, besides those that do for any callback."""
    max_attempts: int | None = None
    """The most calls for one event; None to use the plugin's."""
    where: str = _NO_SOURCE
    """For people: `package/module.py:12`."""
    credentials: Credentials | None = None
    """The credentials of its `ctx.sg`; None for the plugin's credentials."""
    batch: BatchRules | None = None
    """The rules of its batches; None if it is called with one event at a time."""
    is_async: bool = False
    """Whether it runs in the event loop of its thread, and can be cancelled there."""

    def accepts_type(self, event_type: str) -> bool:
        """Return whether the callback can be called for any event of `event_type`."""
        return self._fires(event_type) and self.match.accepts_type(event_type)

    def accepts_route(self, route: Route) -> bool:
        """Return whether it can be called for events of a route."""
        return self._fires(route[0]) and self.match.accepts_route(route)

    def _fires(self, event_type: str) -> bool:
        return self.hook is None or self.hook in (EVERY_HOOK, hook_of(event_type))

    def matches(self, event: Event) -> bool:
        """Return whether to call it for `event`; let errors of its filter's `where` propagate."""
        return self.accepts_type(event.event_type) and self.match.accepts_rest(event)

    def describe(self) -> str:
        """Return the events that it is called for, and its batches, for people."""
        filter_text = self.match.describe()
        return filter_text if self.batch is None else f"{filter_text}, {self.batch.describe()}"

    def why_not(self, event: Event) -> str | None:
        """Return, for people, why it is not called for `event`; None if it is."""
        if self._fires(event.event_type):
            return self.match.why_not(event)
        fired = hook_of(event.event_type)
        return f"it is for {self.hook}, and {event.event_type!r} fires {fired}"


def callback_name(function: object, taken_names: Container[str]) -> str:
    """Return `module:qualname` of `function`, with `#2`, `#3` and so on if that is taken."""
    inner_function = inner_callable(function)
    named_object = (
        inner_function if hasattr(inner_function, "__qualname__") else type(inner_function)
    )
    name = f"{getattr(named_object, '__module__', None) or '?'}:{named_object.__qualname__}"
    if name not in taken_names:
        return name
    duplicate_number = 2
    while f"{name}#{duplicate_number}" in taken_names:
        duplicate_number += 1
    return f"{name}#{duplicate_number}"


def source_place_of(function: object) -> str:
    """Return where `function` is defined, for errors: `/path/of/module.py:12`."""
    source_code = _code_of(function)
    return f"{source_code.co_filename}:{source_code.co_firstlineno}" if source_code else _NO_SOURCE


def short_source_place(function: object) -> str:
    """Return where `function` is defined, relative to its top package: `package/module.py:12`."""
    source_code = _code_of(function)
    if source_code is None:
        return _NO_SOURCE
    source_path = PurePath(source_code.co_filename)
    module = str(getattr(inner_callable(function), "__module__", ""))
    module_depth = len(module.split(".")) + (source_path.stem == "__init__")
    return f"{PurePath(*source_path.parts[-module_depth:]).as_posix()}:{source_code.co_firstlineno}"


def inner_callable(function: object) -> object:
    """Unwrap partials and bound methods; return a function, an instance or a builtin."""
    while True:
        if isinstance(function, (functools.partial, functools.partialmethod)):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        else:
            return function


def _code_of(function: object) -> CodeType | None:
    inner_function = inner_callable(function)
    if not hasattr(inner_function, "__code__"):
        inner_function = inspect.getattr_static(type(inner_function), "__call__", None)
    inner_function = inspect.unwrap(inner_function) if callable(inner_function) else inner_function
    source_code = getattr(inner_function, "__code__", None)
    return source_code if isinstance(source_code, CodeType) else None
