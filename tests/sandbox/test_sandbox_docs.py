"""The reference page describes everything."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from sgevents_core.cli.sandbox import sandbox
from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.control import CONTROL_ORDERS
from sgevents_core.sandbox.faults import FAULT_KINDS, parse_fault
from sgevents_core.sandbox.traffic import STEP_WEIGHTS

PAGE = (Path(__file__).parents[2] / "docs/reference/sandbox.md").read_text("utf-8")


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_each_fault_has_its_row(kind: str) -> None:
    """The row of a kind of fault names its options with their defaults."""
    row = re.search(rf"^\| `{kind}` \|(.*?)\|", PAGE, re.MULTILINE)
    assert row
    for name, value in FAULT_KINDS[kind].items():
        shown = f"`{name}`" if isinstance(value, str) else f"`{name}={value:g}`"
        assert shown in row[1]


@pytest.mark.parametrize("address", CONTROL_ORDERS)
def test_each_order_has_its_row(address: str) -> None:
    """Each address of the control endpoint is documented."""
    assert re.search(rf"^\| `{address}` \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("option", [option.opts[0] for option in sandbox.params])
def test_each_option_has_its_row(option: str) -> None:
    """Each option of the command is documented."""
    assert re.search(rf"^\| `{option}\b", PAGE, re.MULTILINE)


@pytest.mark.parametrize("kind", STEP_WEIGHTS)
def test_each_step_is_named(kind: str) -> None:
    """Each kind of step is documented."""
    assert f"`{kind}`" in PAGE


def test_each_public_name_of_a_sandbox_is_documented() -> None:
    """Every public member of `Sandbox` is on the page, except those for its own modules."""
    undocumented = {"database", "keep", "kept"}
    with Sandbox(project=False) as site:
        names = {name for name in dir(site) if not name.startswith("_")} - undocumented
    missing = {
        name
        for name in names
        if f"site.{name}" not in PAGE and f"`{name}" not in PAGE and f"{name}=" not in PAGE
    }
    assert missing == set()


def test_fault_options_in_examples_are_right() -> None:
    """The faults in the page's commands can be parsed."""
    examples = re.findall(r"--fault (\S+)", PAGE)
    assert examples
    assert all(parse_fault(text)["kind"] in FAULT_KINDS for text in examples)


def test_help_is_of_the_same_options() -> None:
    """The command's help can be printed, and each option has its own line."""
    context = click.Context(sandbox, info_name="sandbox")
    text = sandbox.get_help(context)
    assert all(option.opts[0] in text for option in sandbox.params)
