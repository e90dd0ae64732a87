"""The group of all commands: it knows their names, and imports a command's module when called."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from sgevents_core import __version__
from sgevents_core.cli.printing import echo_error, echo_line, redacted
from sgevents_core.errors import SgEventsError
from sgevents_core.printable import one_line


class ListedCommand(NamedTuple):
    """A command as listed by the help, so that listing it imports nothing."""

    import_path: str
    """The module in `sgevents_core.cli`, and the command in it."""
    summary: str


COMMANDS: Final = {
    "alerts": ListedCommand("alerts:alerts", "Try out who is told when something is wrong."),
    "check": ListedCommand("check:check", "Check everything a run needs, before anything runs."),
    "cluster": ListedCommand(
        "cluster:cluster",
        "Make and show the streams that several hosts share, on the servers of [state] url.",
    ),
    "completion": ListedCommand(
        "completion:completion", "Write the script that lets a shell complete commands."
    ),
    "config": ListedCommand("config:config", "Show the configuration in effect."),
    "console": ListedCommand(
        "console:console",
        "Serve web pages that show what the daemons do, and take people's requests.",
    ),
    "dead-letters": ListedCommand(
        "dead_letters:dead_letters", "List, retry or dismiss events that callbacks failed on."
    ),
    "demo": ListedCommand("demo:demo", "Show in a few seconds what sgevents does and promises."),
    "events": ListedCommand("events:events", "Search the journal for events, newest first."),
    "explain": ListedCommand(
        "explain:explain", "Explain what happened to an event, callback by callback."
    ),
    "feed": ListedCommand("feed:feed", "Decide how the site's event log is followed."),
    "init": ListedCommand("init:init", "Write a first configuration, and say what to do next."),
    "migrate": ListedCommand(
        "migrate:migrate", "Move over from the classic daemon, whose configuration is CONF."
    ),
    "pause": ListedCommand("pausing:pause", "Pause a plugin until it is resumed."),
    "plan": ListedCommand("plan:plan", "Show which callbacks an event type calls, in order."),
    "plugins": ListedCommand("plugins:plugins", "List the installed plugins, or start a new one."),
    "record": ListedCommand(
        "record:record", "Write events to a file, for tests to run plugins on."
    ),
    "reload": ListedCommand("reload:reload", "Make the daemon use changed settings and packages."),
    "replay": ListedCommand("replay:replay", "Call a plugin for past events again."),
    "requests": ListedCommand("requests:requests", "Show people's requests and the answers."),
    "resume": ListedCommand("pausing:resume", "Let a paused or held plugin continue."),
    "run": ListedCommand("run:run", "Pass the site's events to the enabled plugins."),
    "sandbox": ListedCommand(
        "sandbox:sandbox", "Serve a stand-in site on this machine, to try things on."
    ),
    "service": ListedCommand("service:service", "Run the daemon as a service of this machine."),
    "skip": ListedCommand("pausing:skip", "Let a plugin continue after the event it stopped at."),
    "state": ListedCommand("state:state", "Check, back up or move the journal and the ledger."),
    "stats": ListedCommand(
        "stats:stats", "Show how often callbacks were called, and how long they took."
    ),
    "status": ListedCommand(
        "status:status", "Show how far everything has come, and what is wrong."
    ),
    "support-bundle": ListedCommand(
        "support_bundle:support_bundle", "Write a file for whoever helps you."
    ),
    "tail": ListedCommand("tail:tail", "Show the last events, and their outcome in plugins."),
}
"""Name of a command -> its module, and the first sentence of its help."""

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
"""The option --config of every command: `config`, a Path."""


class _LazyGroup(click.Group):
    """The group of commands: it imports a command when called, and prints errors as messages.

    Plugins' commands are looked up only for an unknown command and for help.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        listed_command = COMMANDS.get(cmd_name)
        if listed_command is None:
            return None
        module, _, command_name = listed_command.import_path.partition(":")
        command = getattr(importlib.import_module(f"sgevents_core.cli.{module}"), command_name)
        assert isinstance(command, click.Command)  # noqa: S101 - our own table
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        command_name = args[0]
        if command_name in COMMANDS or command_name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        from sgevents_core.cli.plugin_commands import (
            load_command,
            plugin_commands,
        )
        from sgevents_core.settings.spelling import nearest_name

        listed_commands = plugin_commands(args[1:], COMMANDS)
        plugin_command = listed_commands.rows.get(command_name)
        command = (
            load_command(plugin_command.plugin, command_name, listed_commands.settings)
            if plugin_command and listed_commands.settings
            else None
        )
        if command is not None:
            return command_name, command, args[1:]
        for reason in listed_commands.missing:
            echo_line(reason, err=True)
        likely_command = nearest_name(command_name, [*COMMANDS, *listed_commands.rows])
        hint = f" Did you mean {likely_command}?" if likely_command else ""
        raise click.UsageError(f"No such command {command_name!r}.{hint}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from sgevents_core.cli.plugin_commands import plugin_commands

        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].summary) for name in self.list_commands(ctx)])
        listed_commands = plugin_commands((), COMMANDS)
        command_rows = [
            (one_line(command_name), one_line(plugin_command.help))
            for command_name, plugin_command in listed_commands.rows.items()
        ]
        if command_rows:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(sorted(command_rows))
        for reason in listed_commands.missing:
            formatter.write_paragraph()
            formatter.write_text(one_line(redacted(reason)))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SgEventsError as error:
            echo_error(f"sgevents: {error}")
            sys.exit(error.exit_code)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="sgevents %(version)s")
def sgevents() -> None:
    """Pass the events of a Flow Production Tracking site to plugins, none lost, in order."""
