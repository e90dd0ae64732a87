"""The signatures of functions, and adapters from `(event, ctx)` to the arguments an author names.
What cannot be called is refused here; adapters are made once, at load.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from inspect import Parameter
from typing import Any, Final, TypeAlias

from sgevents_core.errors import (
    NotPlainFunctionError,
    ParameterKindError,
    UnknownArgumentError,
)
from sgevents_core.plugins.callback import inner_callable, place_of
from sgevents_core.settings.spelling import joined_names, nearest_name

Function: TypeAlias = Callable[..., object]

_KINDS: Final[dict[object, str]] = {
    Parameter.KEYWORD_ONLY: "keyword-only",
    Parameter.VAR_POSITIONAL: "any number of arguments",
    Parameter.VAR_KEYWORD: "any number of keywords",
}
_PREFIXES: Final[dict[object, str]] = {Parameter.VAR_POSITIONAL: "*", Parameter.VAR_KEYWORD: "**"}
_ARGUMENTS: Final = ("event", "ctx", "args")
_RUN_ASYNC: Final = "Make it a plain `def`; inside, asyncio.run(...) runs async code."
_NO_YIELD: Final = "Take the yield out, or put it into another function that this one calls."


def refuse_what_runs_nothing(function: Function) -> None:
    """Raise NotPlainFunctionError if calling `function` only creates something to run."""
    inner = inner_callable(function)
    called = inner
    if not inspect.isroutine(inner):
        called = inspect.getattr_static(type(inner), "__call__", inner)
    for is_so, kind, advice in (
        (inspect.iscoroutinefunction, "async", _RUN_ASYNC),
        (inspect.isasyncgenfunction, "an async generator", _RUN_ASYNC),
        (inspect.isgeneratorfunction, "a generator (it has a yield)", _NO_YIELD),
    ):
        if is_so(called):
            name = getattr(inner, "__qualname__", type(inner).__qualname__)
            where = place_of(function)
            raise NotPlainFunctionError(where=where, function=name, kind=kind, advice=advice)


def wanted_arguments(function: Function, hook: str, known: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments that the hook implementation `function` names, in order.

    Args:
        function: The function as it is called, so without `self`.
        hook: The hook that it implements.
        known: The hook's arguments.

    Raises:
        ParameterKindError: It takes `*args`, `**kwargs` or a keyword-only argument.
        UnknownArgumentError: It names an argument that the hook does not have.
    """
    names = []
    for parameter in _parameters(function):
        if parameter.kind in _KINDS:
            raise ParameterKindError(
                where=place_of(function),
                function=_name(function),
                parameter=_PREFIXES.get(parameter.kind, "") + parameter.name,
                kind=_KINDS[parameter.kind],
                known=joined_names(known),
            )
        if parameter.name not in known:
            raise UnknownArgumentError(
                where=place_of(function),
                function=_name(function),
                hook=hook,
                argument=parameter.name,
                suggestion=suggestion(parameter.name, known),
                known=joined_names(known),
            )
        names.append(parameter.name)
    return tuple(names)


def event_adapter(function: Function, wanted: tuple[str, ...]) -> Function:
    """Return an adapter that takes `(event, ctx)` and passes `function` what it wants."""
    if wanted == ("event", "ctx"):
        return _unwrappable(function) if hasattr(function, "__wrapped__") else function
    if wanted == ("event",):
        return lambda event, ctx: function(event)
    if wanted == ("ctx",):
        return lambda event, ctx: function(ctx)
    if wanted == ("ctx", "event"):
        return lambda event, ctx: function(ctx, event)
    return lambda event, ctx: function()


def _unwrappable(function: Function) -> Function:
    """Return a wrapper that hides what `function` wraps, which pluggy would check instead."""

    def call(event: object, ctx: object) -> object:
        return function(event, ctx)

    return call


def hook_adapter(function: Function, wanted: tuple[str, ...], known: Sequence[str]) -> Function:
    """Return an adapter that takes all of `known` and passes `function` what it wants."""
    if wanted == tuple(known):
        return function
    places = [known.index(name) for name in wanted]
    return lambda *given: function(*[given[place] for place in places])


def positional_adapter(function: Function, args: object) -> Function | None:
    """Return an adapter from `(event, ctx)` to `function`, by position; None if impossible.

    It passes as many of event, ctx and `args` as the function takes. A parameter with a default
    gets one of them only if it has that name, so that `lambda event, shot=shot: ...` works.

    Args:
        function: Any callable.
        args: The third argument, passed unchanged; `...` for none.
    """
    try:
        parameters = _parameters(function)
    except (TypeError, ValueError):  # a builtin without a signature
        return None
    count = _count_taken(parameters, has_args=args is not ...)
    if count is None:
        return None
    if count == len(_ARGUMENTS):
        return lambda event, ctx: function(event, ctx, args)
    return event_adapter(function, _ARGUMENTS[:count])


def takes_args(function: Function) -> bool:
    """Return whether `function`, which can be called by position, takes a third argument."""
    return _count_taken(_parameters(function), has_args=True) == len(_ARGUMENTS)


def suggestion(name: str, known: Sequence[str]) -> str:
    """Return ` (did you mean X?)` if one of `known` is similar to `name`, otherwise nothing."""
    close = nearest_name(name, known)
    return f" (did you mean {close}?)" if close else ""


def _count_taken(parameters: Sequence[Parameter], has_args: bool) -> int | None:
    positional = [p for p in parameters if p.kind not in _KINDS]
    required = sum(p.default is Parameter.empty for p in positional)
    available = len(_ARGUMENTS) if has_args else len(_ARGUMENTS) - 1
    needs_keyword = any(
        p.kind is Parameter.KEYWORD_ONLY and p.default is Parameter.empty for p in parameters
    )
    if needs_keyword or required > available:
        return None
    if any(p.kind is Parameter.VAR_POSITIONAL for p in parameters):
        return available
    if has_args and len(positional) >= available:
        return available
    count = required
    while count < min(len(positional), available) and positional[count].name == _ARGUMENTS[count]:
        count += 1
    return count


def _parameters(function: Function) -> list[Parameter]:
    """Return the parameters of `function`, or of what it wraps if it accepts anything itself."""
    own = list(inspect.signature(function, follow_wrapped=False).parameters.values())
    takes_anything = any(p.kind is Parameter.VAR_POSITIONAL for p in own)
    if takes_anything and hasattr(inner_callable(function), "__wrapped__"):
        return list(inspect.signature(function).parameters.values())
    return own


def _name(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__qualname__", type(function).__qualname__))
