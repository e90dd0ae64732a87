"""Mistakes that authors make are named when a plugin is loaded, and in its tests."""

from __future__ import annotations

import sys
import warnings
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest

from sgevents_core import match
from sgevents_core.errors import MatchError
from sgevents_core.testing import Harness, PluginWarning


def _module(text: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("studio_plugin")
    module.__file__ = "studio_plugin.py"
    monkeypatch.setitem(sys.modules, "studio_plugin", module)
    exec(compile("from sgevents_core import hookimpl, match\n" + dedent(text), "x", "exec"),
         vars(module))  # fmt: skip
    return module


def _warnings(text: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    with (
        warnings.catch_warnings(record=True) as caught,
        Harness(_module(text, monkeypatch), "studio") as harness,
    ):
        warnings.simplefilter("always")
        harness.start()
    return [str(one.message) for one in caught if issubclass(one.category, PluginWarning)]


HOOK = """
    @hookimpl
    def on_new(event): ...
"""


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("@match(entity_type='Shot')\ndef shots(event): ...",
         "shots has a @match and no @hookimpl, and is not registered: it is not called"),
        ("@match(entity_type='Shot')\ndef on_change(event): ...",
         "on_change has the name of a hook and no @hookimpl: it is not called"),
        ("@hookimpl(specname='on_new')\n@match(attribute='code')\ndef a(event): ...",
         "only changes have an attribute, and its hook is on_new; use on_change"),
        ("@hookimpl\n@match(attribute='code')\ndef on_retirement(event): ...",
         "only changes have an attribute, and its hook is on_retirement; use on_change"),
        ("@hookimpl\n@match(new_value='fin')\ndef on_revival(event): ...",
         "only changes have new_value, and its hook is on_revival; use on_change"),
        ("@hookimpl\n@match(old_value=['ip', 'wtg'])\ndef on_revival(event): ...",
         "only changes have old_value, and its hook is on_revival; use on_change"),
        ("@hookimpl\n@match(in_create=True)\ndef on_revival(event): ...",
         "only changes have in_create, and its hook is on_revival; use on_change"),
        ("def registerCallbacks(reg): ...",
         "registerCallbacks is a function of the classic daemon's plugins, and is not called"),
    ],
)  # fmt: skip
def test_mistakes_are_warned_about(
    text: str, warning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the place, and what to do."""
    (said,) = _warnings(dedent(HOOK) + "\n" + text, monkeypatch)
    assert said.startswith("plugin studio: ")
    assert warning in said


@pytest.mark.parametrize(
    "text",
    [
        "@hookimpl\n@match(attribute='code', new_value='x', in_create=True)\ndef on_change(e): ...",
        "@hookimpl\n@match(attribute='code')\ndef on_event(event): ...",
        "@hookimpl(specname='on_new')\n@match(new_value=None, in_create=False)\ndef a(event): ...",
        "@match(entity_type='Shot')\ndef shots(event): ...\n"
        "@hookimpl\ndef register_callbacks(registrar): registrar.register(shots)",
        "class Tool:\n    @match(entity_type='Shot')\n    def shots(self, event): ...\n"
        "@hookimpl\ndef register_callbacks(registrar): registrar.register(Tool().shots)",
        "registerCallbacks = None",
    ],
)
def test_nothing_is_said_about_what_is_right(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change has an attribute, and a registered function is called."""
    text = text.replace("(e)", "(event)")
    assert _warnings(dedent(HOOK) + "\n" + text, monkeypatch) == []


def _bare(function: Any) -> Any:
    marked: Any = match
    return marked(function)


def test_match_without_parentheses() -> None:
    """The message says how to write it."""
    with pytest.raises(MatchError, match=r"it needs parentheses and conditions") as caught:

        @_bare
        def on_new(event: Any) -> None: ...

    assert '@match(entity_type="Shot")' in str(caught.value)


@pytest.mark.parametrize("value", ["Shot", 7, ["Shot", "Asset"], int])
def test_condition_by_position(value: Any) -> None:
    """It has a name to be given."""
    with pytest.raises(MatchError, match="without the name of a condition"):
        _bare(value)
