"""The registrar: what can be registered in code, how it is called, what is refused."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any
from unittest import mock

import pytest

from sgevents_core import Event, match
from sgevents_core.errors import RegistrationError, UnusablePluginError
from sgevents_core.plugins.callback import Callback
from sgevents_core.plugins.registrar import CallbackRegistrar

EVENT = Event({"id": 1, "event_type": "Shotgun_Task_Change"})
CTX: Any = object()
STATE = {"a": "dict"}
SEEN: list[object] = []


def registrar() -> CallbackRegistrar:
    """Return a registrar for a plugin that has nothing yet."""
    return CallbackRegistrar("p", {"channel": "#dailies"})


def registered(callback: Callable[..., object], **options: Any) -> Callback:
    """Return what becomes of `callback`."""
    target = registrar()
    name = target.register(callback, **options)
    assert [callback.name for callback in target.callbacks] == [name]
    return target.callbacks[0]


class Counter:
    """A callable instance with state."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def __call__(self, event: Event) -> None:
        """Remember."""
        self.seen.append(event)

    def method(self, event: Event, ctx: object, args: object) -> object:
        """Give back what came."""
        return (event, ctx, args)

    async def later(self, event: Event) -> None:
        """Record the event."""
        await asyncio.sleep(0)
        SEEN.append(event)

    async def many(self, event: Event) -> AsyncIterator[Event]:
        """Never."""
        yield event


class AsyncCall:
    """Its instances are called in an event loop."""

    async def __call__(self, event: Event) -> None:
        """Record the event."""
        SEEN.append(event)


def both(event: Event, ctx: object) -> tuple[object, ...]:
    """Take two."""
    return (event, ctx)


def all_three(event: object, ctx: object, args: object) -> tuple[object, ...]:
    """Take three."""
    return (event, ctx, args)


@pytest.mark.parametrize(
    ("callback", "has_args", "expected_arguments"),
    [
        (lambda: (), False, ()),
        (lambda e: (e,), False, (EVENT,)),
        (both, False, (EVENT, CTX)),
        (both, True, (EVENT, CTX)),
        (all_three, True, (EVENT, CTX, STATE)),
        (lambda *all_of_them: all_of_them, False, (EVENT, CTX)),
        (lambda *all_of_them: all_of_them, True, (EVENT, CTX, STATE)),
        (lambda e, /, *rest: (e, *rest), True, (EVENT, CTX, STATE)),
        (lambda event, shot="bound": (event, shot), False, (EVENT, "bound")),
        (lambda event, ctx=None: (event, ctx), False, (EVENT, CTX)),
        (lambda e, ctx, args=None: (e, ctx, args), False, (EVENT, CTX, None)),
        (lambda e, c, state=None: (e, c, state), True, (EVENT, CTX, STATE)),
        (lambda e, *, mode="x", **more: (e, mode), False, (EVENT, "x")),
        (functools.partial(all_three, "first"), False, ("first", EVENT, CTX)),
        (functools.partial(all_three, args=STATE), False, (EVENT, CTX, STATE)),
        (Counter().method, True, (EVENT, CTX, STATE)),
    ],
)
def test_a_callback_gets_as_many_as_it_takes(
    callback: Callable[..., object], has_args: bool, expected_arguments: tuple[object, ...]
) -> None:
    """Event, context and args, by position; a default is replaced only by its namesake."""
    options = {"args": STATE} if has_args else {}
    assert registered(callback, **options).function(EVENT, CTX) == expected_arguments


def test_a_function_that_takes_both_is_called_itself() -> None:
    """No wrapper on the way of every event."""
    assert registered(both).function is both


@pytest.mark.parametrize("args", [None, {}, [], Counter()])
def test_args_are_handed_on_by_identity(args: object) -> None:
    """So callbacks can share state; None is an object like any other."""
    returned = registered(all_three, args=args).function(EVENT, CTX)
    assert isinstance(returned, tuple)
    assert returned[2] is args


def test_three_callbacks_can_share_one_object() -> None:
    """By args, by a callable instance, by a bound method."""
    target, counter = registrar(), Counter()
    target.register(lambda event, ctx, seen: seen.append("args"), args=counter.seen)
    target.register(counter)
    target.register(counter.seen.append, name="builtin")
    for callback in target.callbacks:
        callback.function(EVENT, CTX)
    assert counter.seen == ["args", EVENT, EVENT]


def test_async_callables_run_to_their_end() -> None:
    """A method, an instance and a partial; each is known to be async."""
    SEEN.clear()
    for callback in (Counter().later, AsyncCall(), functools.partial(Counter.later, Counter())):
        known = registered(callback)
        assert known.is_async
        assert known.function(EVENT, CTX) is None
    assert SEEN == [EVENT] * 3


def test_mocks_can_be_registered() -> None:
    """They take anything."""
    callback = mock.Mock()
    registered(callback, args=STATE).function(EVENT, CTX)
    callback.assert_called_once_with(EVENT, CTX, STATE)


def test_names_say_what_is_called() -> None:
    """Module and qualname, of the class for an instance, of what is inside a partial."""
    module_name = __name__
    assert registered(both).name == f"{module_name}:both"
    assert registered(Counter()).name == f"{module_name}:Counter"
    assert registered(Counter().method, args=1).name == f"{module_name}:Counter.method"
    inner = functools.partial(functools.partial(all_three, 1), 2)
    assert registered(inner).name == f"{module_name}:all_three"
    assert registered(lambda event: None).name.startswith(f"{module_name}:test_names_say_what")
    assert registered(both, name="rollup").name == "rollup"


def test_names_are_unique_within_the_plugin() -> None:
    """A function registered again is #2, #3, in the order of registration."""
    target = CallbackRegistrar("p", {}, [f"{__name__}:both"])
    names = [target.register(both), target.register(both), target.register(all_three, args=1)]
    assert names == [f"{__name__}:both#2", f"{__name__}:both#3", f"{__name__}:all_three"]


def test_the_filter_is_that_of_match() -> None:
    """And so are on_error and timeout."""
    callback = registered(
        both, event_type="Shotgun_Task_*", project=65, on_error="skip", timeout="250ms"
    )
    assert callback.match.event_type == ("Shotgun_Task_*",)
    assert (callback.on_error, callback.timeout, callback.hook) == ("skip", 0.25, None)
    assert callback.matches(Event({**EVENT.row, "project": {"id": 65}}))
    assert not callback.matches(EVENT)
    assert callback.why_not(EVENT) == "project None is not 65"


def test_a_match_on_the_function_counts() -> None:
    """Unless register narrows as well: conditions stand in one place."""

    @match(entity_type="Shot", timeout=3)
    def matched(event: Event) -> None: ...

    callback = registered(matched)
    assert (callback.match.entity_type, callback.timeout) == (("Shot",), 3.0)
    with pytest.raises(RegistrationError, match=r"narrows it again"):
        registered(matched, project=1)


def test_the_place_of_a_callback_is_known() -> None:
    """From its top package on, with the line."""
    line = both.__code__.co_firstlineno
    assert registered(both).where == f"test_registrar.py:{line}"
    assert registered(functools.partial(both)).where == f"test_registrar.py:{line}"
    assert registered([].append).where == "(no source)"


def test_the_registrar_knows_its_plugin() -> None:
    """Name, settings (read only) and logger."""
    target = registrar()
    assert target.plugin == "p"
    assert target.settings == {"channel": "#dailies"}
    assert target.logger is logging.getLogger("sgevents.plugin.p")
    with pytest.raises(TypeError):
        target.settings["channel"] = "x"


def test_args_that_nobody_takes_are_a_warning() -> None:
    """It is probably a mistake, and works."""
    target = registrar()
    target.register(both, args=STATE)
    target.register(all_three, args=STATE)
    assert len(target.warnings) == 1
    assert "args is given" in target.warnings[0]


@pytest.mark.parametrize(
    ("callback", "options", "problem"),
    [
        (all_three, {}, "cannot be called so"),
        (lambda a, b, c, d: None, {"args": 1}, "cannot be called so"),
        (lambda *, event: None, {}, "cannot be called so"),
        (Counter, {}, "Counter is a class"),
        ("both", {}, "'both' cannot be called"),
        (None, {}, "None cannot be called"),
        (lambda event: (yield), {}, "is a generator"),
        (Counter().many, {}, "Counter.many is an async generator"),
        (both, {"where": AsyncCall()}, "where=AsyncCall is async"),
        (both, {"where": functools.partial(Counter.later, Counter())}, "where=partial is async"),
        (both, {"entity_type": ""}, "entity_type='' is not a name"),
        (both, {"on_error": "x"}, "on_error='x' is not a policy"),
        (both, {"timeout": -1}, "timeout=-1 is no time"),
        (both, {"name": " "}, "name=' ' is not a valid name"),
        (both, {"name": "taken"}, "has a callback called 'taken' already"),
    ],
)
def test_what_cannot_be_called_or_is_wrong_is_refused(
    callback: Any, options: dict[str, Any], problem: str
) -> None:
    """With file, line and fix; nothing is registered."""
    target = CallbackRegistrar("p", {}, ["taken"])
    with pytest.raises(UnusablePluginError) as caught:
        target.register(callback, **options)
    assert problem in caught.value.reason
    assert __file__ in caught.value.reason
    assert caught.value.fix
    assert target.callbacks == []


def test_a_registrar_that_was_kept_registers_no_more() -> None:
    """The plan is made when plugins load; later calls would be lost."""
    target = registrar()
    target.close()
    with pytest.raises(RegistrationError, match="closed"):
        target.register(both)
