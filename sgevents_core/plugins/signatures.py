"""The signatures of functions, and adapters from `(event, ctx)` to the arguments an author names.
Functions that cannot be called are refused here; adapters are made once, at load.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from inspect import Parameter
from typing import Any, Final, TypeAlias

from sgevents_core.errors import (
    BatchArgumentError,
    NotPlainFunctionError,
    ParameterKindError,
    UnknownArgumentError,
)
from sgevents_core.plugins.callback import inner_callable, source_place_of
from sgevents_core.settings.spelling import joined_names, nearest_name

Function: TypeAlias = Callable[..., object]

_REFUSED_KINDS: Final[dict[object, str]] = {
    Parameter.KEYWORD_ONLY: "keyword-only",
    Parameter.VAR_POSITIONAL: "any number of arguments",
    Parameter.VAR_KEYWORD: "any number of keywords",
}
_PREFIXES: Final[dict[object, str]] = {Parameter.VAR_POSITIONAL: "*", Parameter.VAR_KEYWORD: "**"}
_EVENT_ARGUMENTS: Final = ("event", "ctx", "args")
_RUN_ASYNC: Final = (
    "Make it a plain `def`; inside, asyncio.run(...) runs async code. "
    "Only callbacks of events may be async."
)
_RUN_CLASSIC: Final = (
    "Make it a plain `def`; inside, asyncio.run(...) runs async code. "
    "`sgevents migrate plugin` drafts a package from it, whose callbacks may be async."
)
_USE_EVENTS: Final = (
    "Name it `events`: the callback gets a list, also of a single event. Or take batch away."
)
_USE_BATCH: Final = (
    'Name it `event`, or let events come together: @match(batch="2s") hands over a list.'
)
_NO_YIELD: Final = "Take the yield out, or put it into another function that this one calls."


def require_plain_function(function: Function, advice: str = _RUN_ASYNC) -> None:
    """Raise NotPlainFunctionError if calling `function` only creates something to run.

    Args:
        function: The function.
        advice: What to do about an async one.
    """
    if is_async_function(function):
        raise _not_plain(function, "async", advice)
    require_no_generator(function)


def require_plain_classic(function: Function) -> None:
    """Raise NotPlainFunctionError if a callback of a classic plugin is async."""
    if is_async_function(function):
        raise _not_plain(function, "async", _RUN_CLASSIC)
    if inspect.isasyncgenfunction(_called_function(function)):
        raise _not_plain(function, "an async generator", _NO_YIELD)


def require_no_generator(function: Function) -> None:
    """Raise NotPlainFunctionError if `function` is a generator, async or not."""
    called_function = _called_function(function)
    if inspect.isasyncgenfunction(called_function):
        raise _not_plain(function, "an async generator", _NO_YIELD)
    if inspect.isgeneratorfunction(called_function):
        raise _not_plain(function, "a generator (it has a yield)", _NO_YIELD)


def is_async_function(function: Function) -> bool:
    """Return whether calling `function` makes a coroutine."""
    return inspect.iscoroutinefunction(_called_function(function))


def _called_function(function: Function) -> object:
    """Return the function that runs when `function` is called."""
    inner_function = inner_callable(function)
    if inspect.isroutine(inner_function):
        return inner_function
    return inspect.getattr_static(type(inner_function), "__call__", inner_function)


def _not_plain(function: Function, kind_name: str, advice: str) -> NotPlainFunctionError:
    inner_function = inner_callable(function)
    name = getattr(inner_function, "__qualname__", type(inner_function).__qualname__)
    where = source_place_of(function)
    return NotPlainFunctionError(where=where, function=name, kind=kind_name, advice=advice)


def wanted_arguments(
    function: Function, hook: str, known_arguments: Sequence[str]
) -> tuple[str, ...]:
    """Return the arguments that the hook implementation `function` names, in order.

    Args:
        function: The function as it is called, so without `self`.
        hook: The hook that it implements.
        known_arguments: The hook's arguments.

    Raises:
        ParameterKindError: It takes `*args`, `**kwargs` or a keyword-only argument.
        UnknownArgumentError: It names an argument that the hook does not have.
    """
    argument_names = []
    for parameter in _parameters(function):
        if parameter.kind in _REFUSED_KINDS:
            raise ParameterKindError(
                where=source_place_of(function),
                function=_function_name(function),
                parameter=_PREFIXES.get(parameter.kind, "") + parameter.name,
                kind=_REFUSED_KINDS[parameter.kind],
                known=joined_names(known_arguments),
            )
        if parameter.name not in known_arguments:
            raise UnknownArgumentError(
                where=source_place_of(function),
                function=_function_name(function),
                hook=hook,
                argument=parameter.name,
                suggestion=suggestion(parameter.name, known_arguments),
                known=joined_names(known_arguments),
            )
        argument_names.append(parameter.name)
    return tuple(argument_names)


def require_events(function: Function, *, has_batches: bool) -> tuple[str, ...]:
    """Return the arguments of an event hook; those of a callback with batches have `events`.

    Raises:
        BatchArgumentError: It names `event` with batches, or `events` without.
    """
    named, wrong = ("events", "event") if has_batches else ("event", "events")
    if wrong in (parameter.name for parameter in _parameters(function)):
        advice = _USE_EVENTS if has_batches else _USE_BATCH
        raise BatchArgumentError(
            where=source_place_of(function),
            function=_function_name(function),
            argument=wrong,
            option="has" if has_batches else "has no",
            advice=advice,
        )
    return (named, "ctx")


def event_adapter(
    function: Function, wanted_names: tuple[str, ...], *, has_batches: bool = False
) -> Function:
    """Return an adapter that takes `(event, ctx)` and passes `function` the arguments it names.

    With batches, the events come in the place of the event.
    """
    if has_batches:
        single_names = tuple("event" if name == "events" else name for name in wanted_names)
        return event_adapter(_hide_wrapped_function(function, len(wanted_names)), single_names)
    if wanted_names == ("event", "ctx"):
        return _hide_wrapped_function(function) if hasattr(function, "__wrapped__") else function
    if wanted_names == ("event",):
        return lambda event, ctx: function(event)
    if wanted_names == ("ctx",):
        return lambda event, ctx: function(ctx)
    if wanted_names == ("ctx", "event"):
        return lambda event, ctx: function(ctx, event)
    return lambda event, ctx: function()


def _hide_wrapped_function(function: Function, argument_count: int = 2) -> Function:
    """Return a wrapper that hides what `function` wraps, which pluggy would check instead."""
    if argument_count != 2:
        return function

    def call_function(event: object, ctx: object) -> object:
        return function(event, ctx)

    return call_function


def hook_adapter(
    function: Function, wanted_names: tuple[str, ...], known_arguments: Sequence[str]
) -> Function:
    """Return an adapter from all of `known_arguments` to those that `function` names."""
    if wanted_names == tuple(known_arguments):
        return function
    argument_positions = [known_arguments.index(name) for name in wanted_names]
    return lambda *arguments: function(*[arguments[position] for position in argument_positions])


def positional_adapter(
    function: Function, args: object, *, has_batches: bool = False
) -> Function | None:
    """Return an adapter from `(event, ctx)` to `function`, by position; None if impossible.

    It passes as many of event, ctx and `args` as the function takes. A parameter with a default
    gets one of them only if it has that name, so that `lambda event, shot=shot: ...` works.

    Args:
        function: Any callable.
        args: The third argument, passed unchanged; `...` for none.
        has_batches: Whether it takes the events of a batch instead of an event.
    """
    try:
        parameters = _parameters(function)
    except (TypeError, ValueError):  # a builtin without a signature
        return None
    if has_batches:
        parameters = [
            parameter.replace(name="event") if parameter.name == "events" else parameter
            for parameter in parameters
        ]
    taken_count = _count_taken(parameters, has_args=args is not ...)
    if taken_count is None:
        return None
    if taken_count == len(_EVENT_ARGUMENTS):
        return lambda event, ctx: function(event, ctx, args)
    return event_adapter(function, _EVENT_ARGUMENTS[:taken_count])


def takes_args(function: Function) -> bool:
    """Return whether `function`, which can be called by position, takes a third argument."""
    return _count_taken(_parameters(function), has_args=True) == len(_EVENT_ARGUMENTS)


def suggestion(unknown_name: str, known_arguments: Sequence[str]) -> str:
    """Return ` (did you mean X?)` if one of `known_arguments` is similar to `unknown_name`,
    otherwise nothing.
    """
    nearest_argument = nearest_name(unknown_name, known_arguments)
    return f" (did you mean {nearest_argument}?)" if nearest_argument else ""


def _count_taken(parameters: Sequence[Parameter], has_args: bool) -> int | None:
    positional_parameters = [
        parameter for parameter in parameters if parameter.kind not in _REFUSED_KINDS
    ]
    required_count = sum(
        parameter.default is Parameter.empty for parameter in positional_parameters
    )
    available_count = len(_EVENT_ARGUMENTS) if has_args else len(_EVENT_ARGUMENTS) - 1
    needs_keyword = any(
        parameter.kind is Parameter.KEYWORD_ONLY and parameter.default is Parameter.empty
        for parameter in parameters
    )
    if needs_keyword or required_count > available_count:
        return None
    if any(parameter.kind is Parameter.VAR_POSITIONAL for parameter in parameters):
        return available_count
    if has_args and len(positional_parameters) >= available_count:
        return available_count
    taken_count = required_count
    while (
        taken_count < min(len(positional_parameters), available_count)
        and positional_parameters[taken_count].name == _EVENT_ARGUMENTS[taken_count]
    ):
        taken_count += 1
    return taken_count


def _parameters(function: Function) -> list[Parameter]:
    """Return the parameters of `function`, or of what it wraps if it accepts anything itself."""
    own_parameters = list(inspect.signature(function, follow_wrapped=False).parameters.values())
    takes_anything = any(parameter.kind is Parameter.VAR_POSITIONAL for parameter in own_parameters)
    if takes_anything and hasattr(inner_callable(function), "__wrapped__"):
        return list(inspect.signature(function).parameters.values())
    return own_parameters


def _function_name(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__qualname__", type(function).__qualname__))
