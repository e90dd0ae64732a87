"""The group of all commands: knows their names, imports a command's module when it is called."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any, Final

import click

from sgevents_core import __version__
from sgevents_core.cli.printing import echo
from sgevents_core.errors import SgEventsError

COMMANDS: Final = {
    "check": "sgevents_core.cli.check:check",
    "config": "sgevents_core.cli.config:config",
    "dead-letters": "sgevents_core.cli.dead_letters:dead_letters",
    "demo": "sgevents_core.cli.demo:demo",
    "explain": "sgevents_core.cli.explain:explain",
    "feed": "sgevents_core.cli.feed:feed",
    "init": "sgevents_core.cli.init:init",
    "pause": "sgevents_core.cli.pausing:pause",
    "plan": "sgevents_core.cli.plan:plan",
    "plugins": "sgevents_core.cli.plugins:plugins",
    "record": "sgevents_core.cli.record:record",
    "replay": "sgevents_core.cli.replay:replay",
    "resume": "sgevents_core.cli.pausing:resume",
    "reload": "sgevents_core.cli.reload:reload",
    "run": "sgevents_core.cli.run:run",
    "sandbox": "sgevents_core.cli.sandbox:sandbox",
    "service": "sgevents_core.cli.service:service",
    "skip": "sgevents_core.cli.pausing:skip",
    "state": "sgevents_core.cli.state:state",
    "status": "sgevents_core.cli.status:status",
    "tail": "sgevents_core.cli.tail:tail",
}
"""Name of a command -> module and object that implement it."""

config_option = click.option(
    "--config",
    "-c",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="SGEVENTS_CONFIG",
    default=Path("sgevents.toml"),
    show_default=True,
    help="The configuration file.",
)
"""The option --config as every command takes it: `config`, a Path."""


class _LazyGroup(click.Group):
    """Imports a command's module only when that command is called; tells errors as messages.

    Plugins are asked for theirs only when a command is not one of ours, and for help.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        where = COMMANDS.get(cmd_name)
        if where is None:
            return None
        module, _, name = where.partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)  # noqa: S101 - our own table
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in COMMANDS or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        from sgevents_core.cli.plugin_commands import plugin_commands  # noqa: PLC0415 - seldom
        from sgevents_core.settings.spelling import nearest  # noqa: PLC0415

        known = plugin_commands(args[1:], COMMANDS)
        if name in known.commands:
            return name, known.commands[name], args[1:]
        for reason in known.missing:
            echo(reason, err=True)
        meant = nearest(name, [*COMMANDS, *known.commands])
        hint = f" Did you mean {meant}?" if meant else ""
        raise click.UsageError(f"No such command {name!r}.{hint}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from sgevents_core.cli.plugin_commands import plugin_commands  # noqa: PLC0415 - seldom

        super().format_commands(ctx, formatter)
        known = plugin_commands((), COMMANDS)
        rows = [(name, command.get_short_help_str()) for name, command in known.commands.items()]
        if rows:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(sorted(rows))
        for reason in known.missing:
            formatter.write_paragraph()
            formatter.write_text(reason)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SgEventsError as error:
            echo(f"sgevents: {error}", err=True)
            sys.exit(error.exit_code)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="sgevents %(version)s")
def sgevents() -> None:
    """Hand the events of a Flow Production Tracking site to plugins, none lost, in order."""
