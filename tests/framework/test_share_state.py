"""The ways to share state, as the page has them: each counts, and keeps what it says it keeps."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TypeAlias

import pytest
from doc_pages import DOCS

from sgevents_core.testing import EventBuilder, Harness

Make: TypeAlias = "Callable[[str, str], ModuleType]"
PAGE = (DOCS / "how-to" / "share-state.md").read_text("utf-8")
HEADINGS = (
    "A global variable",
    "An imported module",
    "`args`",
    "Callable instances",
    "`ctx.store`",
)
KEPT = {"`ctx.store`"}
ONCE = "A replay counts again"
FAIL_ONCE = """
from sgevents_core import Retry
failed = []
def fail_once():
    if not failed:
        failed.append(1)
        raise Retry("once")
"""
ADA = {"type": "HumanUser", "id": 1, "name": "Ada"}


def samples(heading: str) -> list[str]:
    """The Python samples under a heading of the page."""
    _, found, rest = PAGE.partition(f"\n## {heading}\n")
    assert found, heading
    return re.findall(r"```python\n(.*?)```", rest.partition("\n## ")[0], re.DOTALL)


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a module of a sample, importable by others; a new one each time, as after a restart."""

    def make(name: str, text: str) -> ModuleType:
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(text, vars(module))
        return module

    return make


def plugin(heading: str, modules: Make, *, failing: bool = False) -> ModuleType:
    """The plugin under a heading, freshly imported; `failing` once, right after it has counted."""
    *others, text = samples(heading)
    if failing:
        text = FAIL_ONCE + re.sub(r"^( +)(.* \+?= .*1)$", r"\1\2\n\1fail_once()", text, flags=re.M)
        assert " fail_once()\n" in text
    for other in others:
        modules("studio_counts", other)
    return modules("sample_plugin", text)


@pytest.mark.parametrize("heading", HEADINGS)
def test_callbacks_share_what_they_count(heading: str, modules: Make) -> None:
    """Three versions, then a playlist: the second callback knows of the first one's."""
    event = EventBuilder()
    with Harness(plugin(heading, modules)) as harness:
        versions = [event.new("Version", user=ADA) for _ in range(3)]
        result = harness.run(*versions, event.new("Playlist", user=ADA))
        result.raise_errors()
        assert "Ada made 3" in result.messages


@pytest.mark.parametrize("heading", HEADINGS)
def test_what_is_kept_over_a_restart_is_what_the_table_says(heading: str, modules: Make) -> None:
    """Memory is gone, the store is there."""
    event = EventBuilder()
    with Harness(plugin(heading, modules)) as harness:
        result = harness.run(event.new("Version", user=ADA))
        result.raise_errors()
        store = result.store
    with Harness(plugin(heading, modules), store=store) as harness:
        messages = harness.run(event.new("Playlist", user=ADA)).messages
    assert messages[0] == f"Ada made {int(heading in KEPT)}"
    assert cells(heading)[1] == ("kept" if heading in KEPT else "gone")


@pytest.mark.parametrize("heading", HEADINGS)
def test_what_a_callback_that_raises_leaves_is_what_the_table_says(
    heading: str, modules: Make
) -> None:
    """It is called again: what memory holds was counted twice, the store once."""
    made = plugin(heading, modules, failing=True)
    event = EventBuilder()
    with Harness(made) as harness:
        events = event.new("Version", user=ADA), event.new("Playlist", user=ADA)
        messages = harness.run(*events).messages
    assert f"Ada made {1 if heading in KEPT else 2}" in messages
    assert cells(heading)[2] == ("dropped" if heading in KEPT else "stays")


@pytest.mark.parametrize("heading", [*HEADINGS, ONCE])
def test_a_replay_counts_again_unless_the_key_is_noted(heading: str, modules: Make) -> None:
    """Whatever a callback changes is changed again; what has noted `ctx.key` can tell."""
    event = EventBuilder()
    with Harness(plugin(heading, modules)) as harness:
        version = event.new("Version", user=ADA)
        harness.run(version).raise_errors()
        harness.replay(version).raise_errors()
        messages = harness.run(event.new("Playlist", user=ADA)).messages
    assert f"Ada made {1 if heading == ONCE else 2}" in messages


def cells(heading: str) -> list[str]:
    """The row of the table about a way."""
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {short(heading)} |"))
    return row.strip("| ").split(" | ")


def short(heading: str) -> str:
    """A heading as the table has it."""
    return heading if heading.startswith("`") else heading[0].lower() + heading[1:]


def test_the_page_has_no_other_ways() -> None:
    """Each heading is tried here."""
    assert tuple(re.findall(r"^## (.+)$", PAGE, re.MULTILINE)) == (*HEADINGS, ONCE)
