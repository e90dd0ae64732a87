"""The commands that plugins add to `sgevents` with `register_commands`."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from sgevents_core.cli.printing import read_configuration
from sgevents_core.errors import ConfigError, UnusablePluginError

if TYPE_CHECKING:
    from sgevents_core.plugins.load_watching import PluginWatch
    from sgevents_core.plugins.loading import LoadedPlugin
    from sgevents_core.settings import Settings

DEFAULT_CONFIG: Final = "sgevents.toml"
CONFIG_VARIABLE: Final = "SGEVENTS_CONFIG"


class PluginCommand(NamedTuple):
    """A command added by a plugin: the plugin, and its short help."""

    plugin: str
    help: str


class PluginCommands(NamedTuple):
    """The commands of all enabled plugins.

    Args:
        rows: The commands, by name.
        missing: Why some commands are missing, for people.
        settings: The configuration; None if there is none.
    """

    rows: Mapping[str, PluginCommand] = {}
    missing: Sequence[str] = ()
    settings: Settings | None = None


def plugin_commands(arguments: Sequence[str], taken_names: Container[str]) -> PluginCommands:
    """Return the commands of the enabled plugins, which are imported in another process.

    Args:
        arguments: The arguments after `sgevents`, which may name the configuration.
        taken_names: The names of existing commands.
    """
    from sgevents_core.crashes.loading_apart import inspect_apart

    config_path = config_from_arguments(arguments)
    if config_path == Path(DEFAULT_CONFIG) and not os.path.lexists(config_path):
        return PluginCommands()
    try:
        settings = read_configuration(config_path, secrets_required=False)
    except ConfigError as error:
        return PluginCommands(missing=[f"Commands of plugins are not known, as {error}"])
    commands_by_name, missing_reasons = inspect_apart(
        settings, lambda watch: _load_commands(settings, taken_names, watch)
    )
    return PluginCommands(commands_by_name, missing_reasons, settings)


def load_command(plugin: str, command_name: str, settings: Settings) -> click.Command | None:
    """Import a plugin that has loaded elsewhere, and return its command; None if it is gone."""
    from msgspec.structs import replace

    from sgevents_core.plugins.discovery import discover
    from sgevents_core.plugins.loading import load

    single_plugin_settings = replace(settings, plugins={plugin: settings.plugins[plugin]})
    for loaded_plugins in load(single_plugin_settings, discover()).plugins:
        return _commands_of_plugin(loaded_plugins, (), {}, []).get(command_name)
    return None


def _load_commands(
    settings: Settings, taken_names: Container[str], watch: PluginWatch
) -> tuple[dict[str, PluginCommand], list[str]]:
    """Load all packaged plugins; return their commands, and why some are missing."""
    from sgevents_core.classic.finding import without_classic
    from sgevents_core.plugins.discovery import discover
    from sgevents_core.plugins.load_watching import LoadingTurn, watch_loading
    from sgevents_core.plugins.loading import load
    from sgevents_core.plugins.plugin_status import status_words

    loaded_plugins = load(without_classic(settings), discover(), watch=watch)
    missing_reasons = [
        f"Commands of {status.name} are missing, if it has any: "
        f"it is {status_words(status.status)}: {status.reason}"
        for status in loaded_plugins.statuses
        if status.status not in ("enabled", "disabled")
    ]
    commands_by_name: dict[str, PluginCommand] = {}
    for plugin in loaded_plugins.plugins:
        with watch_loading(watch, plugin.turn or LoadingTurn(plugin.name, 0.0)):
            commands = _commands_of_plugin(plugin, taken_names, commands_by_name, missing_reasons)
            commands_by_name |= {
                command_name: PluginCommand(plugin.name, command.get_short_help_str())
                for command_name, command in commands.items()
            }
    return commands_by_name, missing_reasons


def config_from_arguments(arguments: Sequence[str]) -> Path:
    """Return the path of the configuration that an unparsed command line names."""
    argument_words = iter(arguments)
    for argument_word in argument_words:
        if argument_word == "--":
            break
        if argument_word in ("--config", "-c"):
            return Path(next(argument_words, DEFAULT_CONFIG))
        if argument_word.startswith("--config="):
            return Path(argument_word.partition("=")[2])
    return Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)


def _commands_of_plugin(
    plugin: LoadedPlugin,
    taken_names: Container[str],
    other_names: Container[str],
    missing_reasons: list[str],
) -> dict[str, click.Command]:
    """Return one plugin's commands; append to `missing_reasons` the reason for each left out."""
    from sgevents_core.plugins.guarding import run_guarded

    command_group = click.Group("sgevents")
    register_hook = plugin.hooks.get("register_commands")
    if register_hook is None:
        return {}
    try:
        run_guarded("register_commands", lambda: register_hook(command_group))
    except UnusablePluginError as error:
        missing_reasons.append(f"Commands of {plugin.name} are missing: {error.reason}")
        return {}
    added_commands = {}
    for command_name, command in command_group.commands.items():
        if command_name in taken_names:
            missing_reasons.append(
                f"{command_name} of {plugin.name} is left out: sgevents has a command of that name"
            )
        elif command_name in other_names:
            missing_reasons.append(
                f"{command_name} of {plugin.name} is left out: another plugin has it already"
            )
        else:
            added_commands[command_name] = command
            _add_config_option(command)
    return added_commands


def _add_config_option(command: click.Command) -> None:
    """Add --config to a command and its subcommands, as all others have it."""
    for target_command in _with_subcommands(command):
        known_options = {name for parameter in target_command.params for name in parameter.opts}
        if "--config" not in known_options:
            option_names = ["--config", *({"-c"} - known_options)]
            config_option = click.Option(
                option_names,
                type=click.Path(path_type=Path, dir_okay=False),
                envvar=CONFIG_VARIABLE,
                default=Path(DEFAULT_CONFIG),
                show_default=True,
                expose_value=False,
                help="The configuration file.",
            )
            target_command.params.append(config_option)


def _with_subcommands(command: click.Command) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            yield from _with_subcommands(subcommand)
