"""Registration: which functions of a plugin are its callbacks, in which order, by which names."""

from __future__ import annotations

from typing import Any

import pytest
from installed_packages import NO_CONTEXT, Packages

from sgevents_core import Event
from sgevents_core.errors import RegistrationError
from sgevents_core.hookspecs import hook_arguments
from sgevents_core.plugins.loading import Loaded

HEAD = "from sgevents_core import hookimpl, match\n"


def load(packages: Packages, plugin_source: str, value: str = "") -> Loaded:
    """Load the plugin p, whose module has `plugin_source`."""
    packages.install("d", {"p": f"plugin_p{value}"}, {"plugin_p.py": HEAD + plugin_source})
    loaded: Loaded = packages.load("p")
    assert loaded.statuses[0].status == "enabled", loaded.statuses[0]
    return loaded


def names(loaded: Loaded) -> list[str]:
    """Return the callbacks' names without their module."""
    return [callback.name.removeprefix("plugin_p:") for callback in loaded.callbacks]


def warnings(loaded: Loaded) -> str:
    """Return the warnings of the one plugin."""
    return "\n".join(loaded.statuses[0].warnings)


def test_a_module_registers_in_the_order_of_its_text(packages: Packages) -> None:
    """One list over all hooks, not by name and not hook by hook; on_event has no special place."""
    loaded = load(
        packages,
        """
@hookimpl
def on_revival(event): ...
@hookimpl(specname="on_new")
def zebra(event): ...
@hookimpl
def on_event(event): ...
@hookimpl(specname="on_new")
def aardvark(event): ...
@hookimpl
def on_change(event): ...
""",
    )
    assert names(loaded) == ["on_revival", "zebra", "on_event", "aardvark", "on_change"]
    assert [callback.hook for callback in loaded.callbacks] == [
        "on_revival",
        "on_new",
        "on_event",
        "on_new",
        "on_change",
    ]


def test_a_function_that_is_redefined_keeps_its_first_place(packages: Packages) -> None:
    """As `vars(module)` has it."""
    loaded = load(
        packages,
        """
@hookimpl
def on_new(event): return 1
@hookimpl
def on_change(event): ...
@hookimpl
def on_new(event): return 2
""",
    )
    assert names(loaded) == ["on_new", "on_change"]
    assert loaded.callbacks[0].function(Event({}), NO_CONTEXT) == 2


def test_an_instance_registers_base_classes_first(packages: Packages) -> None:
    """Then its own class, then what is set on the instance; overriding keeps the place."""
    loaded = load(
        packages,
        """
class Base:
    @hookimpl
    def on_revival(self, event): return "base"
    @hookimpl
    def on_new(self, event): return "base"

class Mixin:
    @hookimpl
    def on_user_login(self, event): return "mixin"

class Plugin(Mixin, Base):
    @hookimpl
    def on_change(self, event): return "own"
    @hookimpl
    def on_revival(self, event): return "own"
    @hookimpl
    def on_retirement(self, event): return "own"

    def __init__(self):
        self.on_event = hookimpl(lambda event: "instance")
        self.on_change = hookimpl(lambda event: "instance")

plugin = Plugin()
""",
        ":plugin",
    )
    called = [
        (callback.hook, callback.function(Event({}), NO_CONTEXT)) for callback in loaded.callbacks
    ]
    assert called == [
        ("on_revival", "own"),
        ("on_new", "base"),
        ("on_user_login", "mixin"),
        ("on_change", "instance"),
        ("on_retirement", "own"),
        ("on_event", "instance"),
    ]


def test_methods_of_all_kinds_are_callbacks(packages: Packages) -> None:
    """Static, class and plain methods, marked above or below; slots too."""
    loaded = load(
        packages,
        """
class Plugin:
    __slots__ = ("on_event", "on_other")

    @hookimpl
    @staticmethod
    def on_new(event): return "static"
    @staticmethod
    @hookimpl
    def on_change(ctx, event): return "static"
    @classmethod
    @hookimpl
    def on_retirement(cls, event): return cls.__name__
    @hookimpl
    @classmethod
    @match(entity_type="Shot")
    def on_revival(cls): return cls.__name__
    def __init__(self):
        self.on_event = hookimpl(lambda: "slot")

plugin = Plugin()
""",
        ":plugin",
    )
    called = {
        callback.hook: callback.function(Event({}), NO_CONTEXT) for callback in loaded.callbacks
    }
    assert called == {
        "on_event": "slot",
        "on_new": "static",
        "on_change": "static",
        "on_retirement": "Plugin",
        "on_revival": "Plugin",
    }
    matches = {callback.hook: callback.match for callback in loaded.callbacks}
    assert matches["on_revival"].entity_type == ("Shot",)


def test_an_override_without_hookimpl_is_no_callback(packages: Packages) -> None:
    """As in pluggy; it looks like a mistake, so there is a warning."""
    loaded = load(
        packages,
        """
class Base:
    @hookimpl
    def on_new(self, event): ...

class Plugin(Base):
    def on_new(self, event): ...

plugin = Plugin()
""",
        ":plugin",
    )
    assert names(loaded) == []
    assert "on_new has the name of a hook and no @hookimpl" in warnings(loaded)


def test_the_same_function_under_two_names_counts_once_for_a_hook(packages: Packages) -> None:
    """But once for each hook that it implements, and once for each instance."""
    loaded = load(
        packages,
        """
@hookimpl
def on_new(event): ...
also = on_new
on_change = on_new

class Named:
    @hookimpl(specname="on_other")
    def told(self, event): ...

first, second = Named().told, Named().told
third = first
""",
    )
    assert names(loaded) == ["on_new", "on_new#2", "Named.told", "Named.told#2"]
    assert [callback.hook for callback in loaded.callbacks] == [
        "on_new",
        "on_change",
        "on_other",
        "on_other",
    ]


def test_the_registrar_comes_after_the_hooks(packages: Packages) -> None:
    """Wherever register_callbacks stands; its calls in their order."""
    loaded = load(
        packages,
        """
@hookimpl
def register_callbacks(registrar):
    registrar.register(second, event_type="Shotgun_Task_*")
    registrar.register(first)
    registrar.register(second)

def first(event): ...
def second(event): ...

@hookimpl
def on_event(event): ...
""",
    )
    assert names(loaded) == ["on_event", "second", "first", "second#2"]
    assert [callback.hook for callback in loaded.callbacks] == ["on_event", None, None, None]
    assert loaded.callbacks[1].match.event_type == ("Shotgun_Task_*",)


def test_a_registrar_that_the_plugin_keeps_is_closed(packages: Packages) -> None:
    """What is registered after loading would never be called."""
    loaded = load(
        packages,
        """
@hookimpl
def register_callbacks(registrar):
    global kept
    kept = registrar
""",
    )
    with pytest.raises(RegistrationError, match="closed"):
        vars(loaded.plugins[0].plugin)["kept"].register(print)


def test_pluggy_knows_every_implementation(packages: Packages) -> None:
    """Also several of one hook; what the registrar registered is no implementation."""
    loaded = load(
        packages,
        """
@hookimpl
def on_new(event): ...
@hookimpl(specname="on_new")
def second(ctx): ...
@hookimpl
def startup(): ...
@hookimpl
def register_callbacks(registrar):
    registrar.register(lambda: None)
""",
    )
    hooks = loaded.registry.hook
    counts = {name: len(getattr(hooks, name).get_hookimpls()) for name in hook_arguments()}
    assert {name: count for name, count in counts.items() if count} == {
        "on_new": 2,
        "startup": 1,
        "register_callbacks": 1,
    }


@pytest.mark.parametrize(
    ("signature", "called_with"),
    [
        ("event, ctx", "event, ctx"),
        ("ctx, event", "ctx, event"),
        ("event", "event"),
        ("ctx", "ctx"),
        ("", ""),
        ("event, ctx, /", "event, ctx"),
        ("event, ctx=None", "event, ctx"),
        ("ctx=None", "ctx"),
    ],
)
def test_an_implementation_gets_what_it_names(
    packages: Packages, signature: str, called_with: str
) -> None:
    """Any of event and ctx, in any order."""
    loaded = load(packages, f"@hookimpl\ndef on_new({signature}): return [{called_with}]\n")
    given_arguments: dict[str, Any] = {"event": Event({"id": 3}), "ctx": object()}
    returned = loaded.callbacks[0].function(given_arguments["event"], given_arguments["ctx"])
    assert returned == [given_arguments[name] for name in called_with.split(", ") if name]


def test_a_function_that_takes_both_in_order_is_called_itself(packages: Packages) -> None:
    """No wrapper on the way of every event."""
    loaded = load(packages, "@hookimpl\ndef on_new(event, ctx): ...\n")
    assert loaded.callbacks[0].function is vars(loaded.plugins[0].plugin)["on_new"]


def test_decorators_of_the_author_are_called(packages: Packages) -> None:
    """One that passes anything on, and one that adds an argument of its own."""
    loaded = load(
        packages,
        """
import functools

def passing(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs): return ["passed", *function(*args, **kwargs)]
    return wrapper

def adding(function):
    @functools.wraps(function)
    def wrapper(event, ctx): return function(event, ctx, "added")
    return wrapper

@hookimpl
@passing
def on_new(ctx, event): return [ctx, event]

@adding
@match(entity_type="Shot")
@hookimpl
def on_change(event, ctx, more): return [event, ctx, more]
""",
    )
    event, ctx = Event({}), NO_CONTEXT
    first, second = loaded.callbacks
    assert first.function(event, ctx) == ["passed", ctx, event]
    assert second.function(event, ctx) == [event, ctx, "added"]
    assert second.match.entity_type == ("Shot",)
    assert names(loaded) == ["on_new", "on_change"]


def test_match_is_kept_on_the_callback(packages: Packages) -> None:
    """With on_error and timeout."""
    loaded = load(
        packages,
        """
@hookimpl
@match(project="Demo", on_error="pause", timeout="5s")
def on_new(event): ...
""",
    )
    (callback,) = loaded.callbacks
    assert (callback.on_error, callback.timeout) == ("pause", 5.0)
    happened = Event({"event_type": "Shotgun_Shot_New", "project": {"id": 1, "name": "Demo"}})
    assert callback.matches(happened)
    assert not callback.matches(Event({**happened.row, "project": None}))
    assert not callback.matches(Event({**happened.row, "event_type": "Shotgun_Shot_Change"}))


def test_other_hooks_are_kept_apart_from_the_callbacks(packages: Packages) -> None:
    """Each is called with all that its hook has, by position, and gets what it names."""
    loaded = load(
        packages,
        """
@hookimpl
def startup(): return "started"
@hookimpl
def dead_lettered(ctx): return ctx
@hookimpl
def plugin_paused(ctx, details): return [ctx, details]
import msgspec
class Model(msgspec.Struct): ...
@hookimpl
def settings_model(): return Model
""",
    )
    hooks = loaded.plugins[0].hooks
    assert loaded.callbacks == ()
    assert hooks["startup"]("ctx") == "started"
    assert hooks["dead_lettered"]("details", "ctx") == "ctx"
    assert hooks["plugin_paused"]("details", "ctx") == ["ctx", "details"]
    assert hooks["settings_model"]() is loaded.plugins[0].model


@pytest.mark.parametrize(
    ("plugin_source", "warning"),
    [
        ("def on_change(event): ...", "plugin_p.py:2: on_change has the name of a hook and no @h"),
        ("", "it implements no hook"),
        (
            "@hookimpl(optionalhook=True)\ndef on_tomorrow(event): ...",
            "plugin_p.py:2: this version has no hook on_tomorrow",
        ),
        (
            '@hookimpl\n@match(event_type="Shotgun_Shot_Change")\ndef on_new(event): ...',
            "on_new is never called: no event of its hook on_new is Shotgun_Shot_Change",
        ),
    ],
)
def test_what_looks_like_a_mistake_is_a_warning(
    packages: Packages, plugin_source: str, warning: str
) -> None:
    """The plugin runs all the same, and its status tells."""
    assert warning in warnings(load(packages, plugin_source))


def test_filters_that_can_hold_are_no_mistake(packages: Packages) -> None:
    """Patterns, and several types of which one is the hook's."""
    loaded = load(
        packages,
        """
@hookimpl
@match(event_type=["Shotgun_Shot_Change", "Shotgun_Shot_New"])
def on_new(event): ...
@hookimpl
@match(event_type="*_Shot_*")
def on_change(event): ...
@hookimpl
@match(event_type="Studio_Publish")
def on_event(event): ...
""",
    )
    assert warnings(loaded) == ""
