"""The types of what plugin authors import, as pyright sees them, strict; and what editors offer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest
from language_server import LanguageServer, language_server
from typed_samples import ACCEPTED, GIVEN, IMPORTS, REFUSED, TYPES

SEEN_BY_MYPY_ALONE = {
    "an event that is changed",
    "match on what is no function",
}
"""Mistakes that pyright reports in another way, or not at all."""
CONFIG: dict[str, Any] = {
    "typeCheckingMode": "strict",
    "pythonVersion": "3.11",
    # samples define and look at things without using them
    **dict.fromkeys(
        ["reportUnusedExpression", "reportUnusedFunction", "reportUnusedVariable"], "none"
    ),
    **dict.fromkeys(["reportUnusedImport", "reportUnusedClass", "reportRedeclaration"], "none"),
    **dict.fromkeys(["reportUnnecessaryComparison", "reportUnreachable"], "none"),
}


class Checked:
    """One run of pyright over all samples, each in a function of its own."""

    def __init__(self, folder: Path) -> None:
        self._lines = IMPORTS.splitlines()
        self._places: dict[str, tuple[int, int]] = {}
        typed = {text: f"assert_type({text}, {kind})" for text, kind in TYPES.items()}
        refused = {name: text for name, (text, _) in REFUSED.items()}
        for name, text in {**typed, **ACCEPTED, **refused}.items():
            first = len(self._lines) + 1
            self._lines.append(f"def sample_{first}({GIVEN}) -> None:")
            self._lines += indent(dedent(text).strip(), "    ").splitlines()
            self._places[name] = (first, len(self._lines))
        (folder / "samples.py").write_text("\n".join(self._lines) + "\n")
        (folder / "pyrightconfig.json").write_text(json.dumps(CONFIG))
        run = subprocess.run(
            [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        self._found = json.loads(run.stdout)["generalDiagnostics"]

    def of(self, name: str) -> list[str]:
        """What pyright says about a sample."""
        first, last = self._places[name]
        return [
            found["message"]
            for found in self._found
            if found["severity"] == "error" and first <= found["range"]["start"]["line"] + 1 <= last
        ]


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """All samples, checked once."""
    return Checked(tmp_path_factory.mktemp("pyright"))


@pytest.mark.parametrize("expression", TYPES)
def test_what_authors_are_given_has_a_type(checked: Checked, expression: str) -> None:
    """The same as for mypy."""
    assert checked.of(expression) == []


@pytest.mark.parametrize("sample", ACCEPTED)
def test_right_uses_are_accepted(checked: Checked, sample: str) -> None:
    """Strict pyright has nothing to say about what the documentation lets authors write."""
    assert checked.of(sample) == []


@pytest.mark.parametrize("sample", sorted(REFUSED.keys() - SEEN_BY_MYPY_ALONE))
def test_wrong_uses_are_errors(checked: Checked, sample: str) -> None:
    """A mistake is seen where it is typed."""
    assert checked.of(sample)


PLUGIN = """\
from dataclasses import dataclass
from sgevents_core import Context, Defer, Event, hookimpl, match


@dataclass
class ChatSettings:
    channel: str
    token: str


@hookimpl
def on_new(event: Event, ctx: Context[ChatSettings]) -> None:
    """


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageServer]:
    """Pyright's language server, as an editor starts it."""
    folder = tmp_path_factory.mktemp("editor")
    (folder / "pyrightconfig.json").write_text(json.dumps(CONFIG))
    with language_server(folder) as started:
        yield started


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ctx.settings.", {"channel", "token"}),
        ("event.", {"entity_id", "new_value", "user", "added", "in_create", "created_at"}),
        ("ctx.", {"sg", "entity", "once", "ignore", "url", "store", "settings", "logger"}),
        ("ctx.sg.", {"find", "find_one", "create", "update", "batch", "summarize"}),
        ("ctx.sg.find(", {"filters=", "fields=", "order=", "limit=", "retired_only="}),
        ("ctx.sg.create(", {"entity_type=", "data=", "return_fields="}),
        ("match(", {"entity_type=", "attribute=", "batch=", "by=", "at_most=", "retry_on="}),
        ("raise Defer(", {"after="}),
        ("event.entity[", {'"name"', '"id"', '"type"'}),
        ("event.meta[", {'"old_value"', '"new_value"'}),
        ("event.user[", {'"name"', '"id"', '"type"'}),
    ],
)
def test_editor_offers(server: LanguageServer, typed: str, offered: set[str]) -> None:
    """Completion knows the settings' own fields, the client's methods and arguments, the event."""
    text = PLUGIN + ("assert event.user\n    " if typed.endswith("[") else "") + typed
    lines = text.splitlines()
    found = server.completions(text, len(lines) - 1, len(lines[-1]))
    assert offered <= {label.replace("'", '"') for label in found}
