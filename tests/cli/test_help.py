"""What `--help` says of commands, on a screen of eighty columns."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from sgevents_core.cli.root import COMMANDS, sgevents


def groups(group: click.Group, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words that call a group of commands, for each there is."""
    yield above
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, click.Group):
            yield from groups(command, (*above, name))


@pytest.mark.parametrize("arguments", list(groups(sgevents)), ids=" ".join)
def test_lists_of_commands_break_off_no_sentence(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command's line says all that it has to say."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        sgevents.main([*arguments, "--help"], prog_name="sgevents")
    _, heading_found, command_list = capsys.readouterr().out.partition("\nCommands:\n")
    assert heading_found
    assert [line for line in command_list.splitlines() if line.endswith("...")] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_list_of_commands_has_the_first_sentence_of_each(name: str) -> None:
    """The list is written down so that listing imports nothing; it says what each command says."""
    command = sgevents.get_command(click.Context(sgevents), name)
    assert command is not None
    assert COMMANDS[name].summary == command.get_short_help_str(limit=200)
