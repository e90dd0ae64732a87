"""`sgevents completion`: the script that lets a shell complete commands, plugins and types."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from sgevents_core.cli.printing import echo

PROGRAM_NAME: Final = "sgevents"
SHELLS: Final = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Write the script that lets a shell complete commands.

    It also completes options, names of plugins and event types. For bash, add to ~/.bashrc:
    eval "$(sgevents completion bash)". For zsh, the same in ~/.zshrc. For fish: sgevents
    completion fish > ~/.config/fish/completions/sgevents.fish
    """
    from sgevents_core.cli.root import sgevents

    completion_class = get_completion_class(shell)
    assert completion_class is not None  # noqa: S101 - click has all of SHELLS
    completer = completion_class(sgevents, {}, PROGRAM_NAME, f"_{PROGRAM_NAME.upper()}_COMPLETE")
    echo(completer.source())
