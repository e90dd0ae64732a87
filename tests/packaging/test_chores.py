"""The commands that the texts tell people to type."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def sessions() -> set[str]:
    """The names of the sessions in noxfile.py, read without running it."""
    module = ast.parse((ROOT / "noxfile.py").read_text())
    return {
        name
        for function in module.body
        if isinstance(function, ast.FunctionDef)
        for decorator in function.decorator_list
        if "nox.session" in (text := ast.unparse(decorator))
        for name in re.findall(r"name='([^']+)'", text) or [function.name]
    }


@pytest.mark.parametrize("text", ["README.md", "CONTRIBUTING.md", ".ci/run", "docs/index.md"])
def test_commands_in_the_texts_exist(text: str) -> None:
    """Every `python3 noxfile.py -s ...` that a text gives names sessions that there are."""
    commands = re.findall(r"noxfile\.py -s ([a-z -]+)", (ROOT / text).read_text())
    named = {name for command in commands for name in command.partition(" -- ")[0].split()}
    assert named
    assert named <= sessions()


def test_ci_starts_with_the_tests_of_the_readme() -> None:
    """What guards a change begins with the very command that the README gives for the tests."""
    command = "python3 noxfile.py -s tests"
    assert command in (ROOT / "README.md").read_text()
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    first = next(line for line in lines if "noxfile.py" in line)
    assert first.startswith(command)
