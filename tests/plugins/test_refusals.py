"""What is refused when a plugin is loaded, each with file, line and fix."""

from __future__ import annotations

import pytest
from installed_packages import Packages

HEAD = "from sgevents_core import hookimpl, match\n"

REFUSED = {
    "an unknown hook": (
        "@hookimpl\ndef on_chnage(event): ...",
        "plugin_p.py:2: on_chnage is marked @hookimpl, and there is no hook of that name"
        " (did you mean on_change?).",
    ),
    "an unknown hook by specname": (
        '@hookimpl(specname="onnew")\ndef created(event): ...',
        "onnew is marked @hookimpl, and there is no hook of that name (did you mean on_new?).",
    ),
    "an alias of an unknown hook": ("@hookimpl\ndef a(event): ...\nb = a", "a is marked @hookimpl"),
    "an async filter": (
        "async def wants(event): ...\n@hookimpl\n@match(where=wants)\ndef on_new(event): ...",
        "where=wants is async",
    ),
    "an async generator": ("@hookimpl\nasync def on_new(event): yield", "an async generator"),
    "a generator": ("@hookimpl\ndef on_new(event): yield", "on_new is a generator"),
    "async of another hook": ("@hookimpl\nasync def startup(ctx): ...", "startup is async"),
    "a keyword-only argument": (
        "@hookimpl\ndef on_new(*, event): ...",
        "on_new takes event, which is keyword-only",
    ),
    "keywords": ("@hookimpl\ndef on_new(event, **more): ...", "on_new takes **more"),
    "any arguments": ("@hookimpl\ndef on_new(*all): ...", "on_new takes *all"),
    "an unknown argument": (
        "@hookimpl\ndef on_new(event, context): ...",
        "on_new names the argument context, which on_new does not have",
    ),
    "a misspelled argument": ("@hookimpl\ndef on_new(evnt): ...", " (did you mean event?)."),
    "an unknown argument with a default": (
        "@hookimpl\ndef on_new(event, cache={}): ...",
        "names the argument cache",
    ),
    "an unknown argument of another hook": (
        "@hookimpl\ndef dead_lettered(letter): ...",
        "names the argument letter, which dead_lettered does not have",
    ),
    "tryfirst": ("@hookimpl(tryfirst=True)\ndef on_new(event): ...", "uses tryfirst=True"),
    "trylast": ("@hookimpl(trylast=True)\ndef on_new(event): ...", "uses trylast=True"),
    "wrapper": ("@hookimpl(wrapper=True)\ndef on_new(event): yield", "uses wrapper=True"),
    "hookwrapper": ("@hookimpl(hookwrapper=True)\ndef on_new(): yield", "uses hookwrapper=True"),
    "a class": ("@hookimpl\nclass on_new: ...", "on_new is a class"),
    "a partial": (
        "import functools\non_new = hookimpl(functools.partial(print))",
        "on_new is a partial",
    ),
    "a hook twice": (
        '@hookimpl\ndef startup(): ...\n@hookimpl(specname="startup")\ndef more(): ...',
        "plugin_p.py:4: startup is implemented twice",
    ),
    "a misspelled condition": (
        "@hookimpl\n@match(entity_typ='Shot')\ndef on_new(event): ...",
        "plugin_p.py:3: @match: there is no argument entity_typ (did you mean entity_type?).",
    ),
    "a misspelled condition in code": (
        "@hookimpl\ndef register_callbacks(registrar):\n    registrar.register(print, tiemout=3)",
        "plugin_p.py:4: there is no argument tiemout (did you mean timeout?).",
    ),
    "a wrong match": (
        "@hookimpl\n@match(entity_type=[])\ndef on_new(event): ...",
        "plugin_p.py:3: @match: entity_type is empty and would never match",
    ),
}


@pytest.mark.parametrize(("plugin_source", "reason"), REFUSED.values(), ids=list(REFUSED))
def test_what_cannot_work_is_refused_with_file_line_and_fix(
    packages: Packages, plugin_source: str, reason: str
) -> None:
    """At load, before any event; nothing of the plugin is registered."""
    packages.install("d", {"p": "plugin_p"}, {"plugin_p.py": HEAD + plugin_source})
    loaded = packages.load("p")
    status = loaded.statuses[0]
    assert status.status == "broken"
    assert reason in status.reason
    assert str(packages.folder / "plugin_p.py") in status.reason
    assert status.fix
    assert "\n\n" not in status.fix
    assert loaded.plugins == ()


def test_a_generator_is_told_of_its_yield(packages: Packages) -> None:
    """The fix is that of a generator, not that of `async`."""
    plugin_source = f"{HEAD}@hookimpl\ndef on_new(event): yield"
    packages.install("d", {"p": "plugin_p"}, {"plugin_p.py": plugin_source})
    assert "yield" in packages.load("p").statuses[0].fix


@pytest.mark.parametrize(
    "pattern",
    ["event_type='^Shotgun_Shot_New$'", "entity_type=['Shot|Asset']", "attribute='sg_.*'"],
)
def test_a_regular_expression_is_warned_about(packages: Packages, pattern: str) -> None:
    """It would be compared as it stands, and never fit."""
    plugin_source = f"{HEAD}@hookimpl\n@match({pattern})\ndef on_event(event): ..."
    packages.install("d", {"p": "plugin_p"}, {"plugin_p.py": plugin_source})
    (warning,) = packages.load("p").statuses[0].warnings
    assert "plugin_p.py:2: plugin_p:on_event: " in warning
    assert "looks like a regular expression; only * is special here" in warning
