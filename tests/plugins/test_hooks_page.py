"""The pages on hooks, callbacks and events have every hook, argument and attribute; samples run."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from pathlib import Path

import pytest

from sgevents_core import Context, Event, Registrar, hookspecs, match
from sgevents_core.hookspecs import (
    APPLICATION_HOOKS,
    EVENT_HOOKS,
    Attention,
    BacklogTimeout,
    CallbackFailure,
    DeadLetter,
    PluginPause,
    hook_arguments,
    hook_of,
)
from sgevents_core.plugins.members import members_of
from sgevents_core.plugins.registrar import CallbackRegistrar

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
HOOKS = (REFERENCE / "hooks.md").read_text("utf-8")
CALLBACKS = (REFERENCE / "callbacks.md").read_text("utf-8")
EVENT = (REFERENCE / "event.md").read_text("utf-8")
DETAILS = {
    "callback_failed": CallbackFailure,
    "dead_lettered": DeadLetter,
    "plugin_paused": PluginPause,
    "backlog_timed_out": BacklogTimeout,
    "attention_needed": Attention,
}


def section(heading: str, page: str = HOOKS) -> str:
    """Return the text under a heading."""
    _, heading_found, following_text = page.partition(f"\n{heading}\n")
    assert heading_found, f"the page has no heading {heading}"
    return re.split(r"\n#{2,3} ", following_text)[0]


def first_cells(page_section: str) -> list[str]:
    """Return what is in the first column of the tables in a text."""
    return re.findall(r"^\| `([^`]+)` \|", page_section, re.MULTILINE)


def public(kind: type) -> set[str]:
    """Return the names that a class offers."""
    return {name for name in vars(kind) if not name.startswith("_")}


@pytest.mark.parametrize("hook", sorted(hook_arguments()))
def test_every_hook_is_on_the_page_with_its_exact_signature(hook: str) -> None:
    """Event hooks have a row, the others a section."""
    signature = f"{hook}({', '.join(hook_arguments()[hook])})"
    if hook in EVENT_HOOKS:
        assert signature in first_cells(section("## Event hooks"))
    else:
        assert len(section(f"### `{signature}`")) > 100


def test_the_page_has_no_hook_that_does_not_exist() -> None:
    """Every signature on it is one."""
    named = set(re.findall(r"^(?:\| |### )`(\w+)\([\w, ]*\)`", HOOKS, re.MULTILINE))
    assert named == set(hook_arguments())


def test_the_page_says_which_types_fire_which_hook() -> None:
    """As the code does."""
    rows = re.findall(r"^\| `(on_\w+)\([^|]*\| `([^`]+)`", HOOKS, re.MULTILINE)
    assert len(rows) == len(APPLICATION_HOOKS) + 4
    for hook, event_type in rows:
        assert hook_of(event_type.replace("<EntityType>", "Shot")) == hook


@pytest.mark.parametrize("hook", sorted(hook_arguments()))
def test_every_specification_is_typed_and_says_what_it_promises(hook: str) -> None:
    """When it fires; the first of its kind also says thread, order, result and errors."""
    function = getattr(hookspecs, hook)
    assert function.__doc__.startswith(("Fires ", "Asks ", "Adds "))
    signature = inspect.signature(function)
    assert all(p.annotation is not p.empty for p in signature.parameters.values())
    assert signature.return_annotation is not signature.empty
    refers = re.search(r"(?:Thread, order, result\s+and\s+errors|errors) as for", function.__doc__)
    assert refers or "raises" in function.__doc__


def test_every_argument_of_match_is_on_the_page() -> None:
    """In the order of its signature."""
    arguments = list(inspect.signature(match).parameters)
    assert (arguments.pop(0), arguments.pop()) == ("by_position", "unknown")
    assert first_cells(section("## `@match`", CALLBACKS)) == arguments


def test_the_registrar_takes_what_match_takes() -> None:
    """With the same types and defaults; and it is what its protocol says."""
    takes = inspect.signature(CallbackRegistrar.register).parameters
    for name, parameter in inspect.signature(match).parameters.items():
        assert name == "by_position" or takes[name] == parameter
    promised = inspect.signature(Registrar.register).parameters
    assert takes == promised
    assert public(Registrar) <= set(dir(CallbackRegistrar("p", {})))


def test_everything_of_the_context_is_on_the_page() -> None:
    """And nothing else."""
    assert set(first_cells(section("## `ctx`", CALLBACKS))) == public(Context)


@pytest.mark.parametrize("hook", sorted(DETAILS))
def test_every_field_of_the_details_is_on_the_page(hook: str) -> None:
    """And they are frozen, with keywords only: a new field breaks no plugin."""
    kind = DETAILS[hook]
    page_section = section(f"### `{hook}(details, ctx)`")
    for field in dataclasses.fields(kind):
        assert f"`{field.name}`" in page_section
        assert field.kw_only
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]  # dataclasses keep it


def test_every_attribute_of_an_event_is_on_its_page() -> None:
    """And nothing else."""
    assert set(first_cells(EVENT)) == public(Event)


def samples() -> list[str]:
    """Return the Python samples of the pages."""
    return re.findall(r"```python\n(.*?)```", HOOKS + CALLBACKS + EVENT, re.DOTALL)


@pytest.mark.parametrize("sample", samples())
def test_the_samples_run(sample: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what they implement is accepted."""
    module = type(hookspecs)("sample")
    monkeypatch.setitem(sys.modules, "sample", module)
    exec(sample, vars(module))
    members = members_of(module)
    assert members.warnings == ()
    model = getattr(module, "settings_model", lambda: dict)()
    for implementation in members.implementations:
        if implementation.hook == "register_callbacks":
            registrar = CallbackRegistrar("p", model())
            implementation.function(registrar)
            assert registrar.callbacks
