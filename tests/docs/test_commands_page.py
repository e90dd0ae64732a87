"""The page on the commands knows every command and option, with its default, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from sgevents_core.cli.root import COMMANDS, sgevents

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "commands.md").read_text("utf-8")


def commands(
    group: click.Group = sgevents, above: str = "sgevents"
) -> Iterator[tuple[str, click.Command]]:
    """Every command with the words that call it, groups included."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        yield f"{above} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{above} {name}")


ALL = {"sgevents": sgevents, **dict(commands())}


def section(words: str) -> str:
    """The text on the page about one command."""
    _, found, rest = PAGE.partition(f"\n### `{words}`\n")
    assert found, f"the page has no heading `{words}`"
    return re.split(r"\n#{2,3} ", rest)[0]


def rows(words: str) -> dict[frozenset[str], list[str]]:
    """The options on the page about one command: their spellings -> the cells of the row."""
    lines = re.findall(r"^\| (`-[^\n]*) \|$", section(words), re.MULTILINE)
    cells = [line.split(" | ") for line in lines]
    return {frozenset(re.findall(r"`([^`]+)`", row[0])): row for row in cells}


def spellings(parameter: click.Parameter) -> frozenset[str]:
    """How an option is written."""
    return frozenset([*parameter.opts, *parameter.secondary_opts])


@pytest.mark.parametrize("words", sorted(ALL))
def test_every_command_is_on_the_page_with_exactly_its_options(words: str) -> None:
    """In all their spellings, and arguments by name."""
    parameters = [p for p in ALL[words].params if isinstance(p, click.Option) and not p.hidden]
    assert set(rows(words)) == {spellings(parameter) for parameter in parameters}
    for parameter in ALL[words].params:
        if isinstance(parameter, click.Argument):
            assert f"`{parameter.human_readable_name.strip('[].')}`" in section(words)
    assert all(row[-1].endswith(".") for row in rows(words).values())


@pytest.mark.parametrize("words", sorted(ALL))
def test_defaults_on_the_page_are_those_of_the_code(words: str) -> None:
    """A flag that is off says so, and a value that is shown is the value."""
    for parameter in ALL[words].params:
        if not isinstance(parameter, click.Option) or parameter.hidden:
            continue
        if "--version" in parameter.opts:
            continue
        default = rows(words)[spellings(parameter)][1]
        if parameter.is_flag:
            assert default == ("with" if parameter.default is True else "off")
        elif isinstance(parameter.default, str | int | float | Path) and parameter.default != "":
            assert default == f"`{parameter.default}`"


def test_the_page_has_no_command_that_is_not_there() -> None:
    """A command that was removed leaves the page too."""
    assert set(re.findall(r"^### `([^`]+)`$", PAGE, re.MULTILINE)) == set(ALL)


def test_every_command_of_the_table_is_looked_at() -> None:
    """The commands found are those that there are."""
    assert {words.split()[1] for words in ALL if " " in words} == set(COMMANDS)
