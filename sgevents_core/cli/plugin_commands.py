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

DEFAULT: Final = "sgevents.toml"
VARIABLE: Final = "SGEVENTS_CONFIG"


class CommandRow(NamedTuple):
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

    rows: Mapping[str, CommandRow] = {}
    missing: Sequence[str] = ()
    settings: Settings | None = None


def plugin_commands(arguments: Sequence[str], taken: Container[str]) -> PluginCommands:
    """Return the commands of the enabled plugins, which are imported in another process.

    Args:
        arguments: The arguments after `sgevents`, which may name the configuration.
        taken: The names of existing commands.
    """
    from sgevents_core.crashes.loading_apart import looked_at_apart

    config = config_named(arguments)
    if config == Path(DEFAULT) and not os.path.lexists(config):
        return PluginCommands()
    try:
        settings = read_configuration(config, secrets=False)
    except ConfigError as error:
        return PluginCommands(missing=[f"Commands of plugins are not known, as {error}"])
    rows, missing = looked_at_apart(settings, lambda watch: _rows(settings, taken, watch))
    return PluginCommands(rows, missing, settings)


def command_of(plugin: str, name: str, settings: Settings) -> click.Command | None:
    """Import a plugin that has loaded elsewhere, and return its command; None if it is gone."""
    from msgspec.structs import replace

    from sgevents_core.plugins.discovery import discover
    from sgevents_core.plugins.loading import load

    only = replace(settings, plugins={plugin: settings.plugins[plugin]})
    for loaded in load(only, discover()).plugins:
        return _added(loaded, (), {}, []).get(name)
    return None


def _rows(
    settings: Settings, taken: Container[str], watch: PluginWatch
) -> tuple[dict[str, CommandRow], list[str]]:
    """Load all plugins; return their commands, and why some are missing."""
    from sgevents_core.plugins.discovery import discover
    from sgevents_core.plugins.load_watching import LoadingTurn, watch_loading
    from sgevents_core.plugins.loading import load
    from sgevents_core.plugins.plugin_status import status_words

    loaded = load(settings, discover(), watch=watch)
    missing = [
        f"Commands of {one.name} are missing, if it has any: "
        f"it is {status_words(one.status)}: {one.reason}"
        for one in loaded.statuses
        if one.status not in ("enabled", "disabled")
    ]
    rows: dict[str, CommandRow] = {}
    for plugin in loaded.plugins:
        with watch_loading(watch, plugin.turn or LoadingTurn(plugin.name, 0.0)):
            added = _added(plugin, taken, rows, missing)
            rows |= {
                name: CommandRow(plugin.name, command.get_short_help_str())
                for name, command in added.items()
            }
    return rows, missing


def config_named(arguments: Sequence[str]) -> Path:
    """Return the configuration that an unparsed command line refers to."""
    words = iter(arguments)
    for word in words:
        if word == "--":
            break
        if word in ("--config", "-c"):
            return Path(next(words, DEFAULT))
        if word.startswith("--config="):
            return Path(word.partition("=")[2])
    return Path(os.environ.get(VARIABLE) or DEFAULT)


def _added(
    plugin: LoadedPlugin,
    taken: Container[str],
    others: Container[str],
    missing: list[str],
) -> dict[str, click.Command]:
    """Return the commands of one plugin; append to `missing` why any is left out."""
    from sgevents_core.plugins.guarding import run_guarded

    group = click.Group("sgevents")
    hook = plugin.hooks.get("register_commands")
    if hook is None:
        return {}
    try:
        run_guarded("register_commands", lambda: hook(group))
    except UnusablePluginError as error:
        missing.append(f"Commands of {plugin.name} are missing: {error.reason}")
        return {}
    added = {}
    for name, command in group.commands.items():
        if name in taken:
            missing.append(f"{name} of {plugin.name} is left out: sgevents has a command like that")
        elif name in others:
            missing.append(f"{name} of {plugin.name} is left out: another plugin has it already")
        else:
            added[name] = command
            _give_config(command)
    return added


def _give_config(command: click.Command) -> None:
    """Add --config to a command and its subcommands, as all others have it."""
    for one in _with_inner(command):
        known = {name for parameter in one.params for name in parameter.opts}
        if "--config" not in known:
            names = ["--config", *({"-c"} - known)]
            option = click.Option(
                names,
                type=click.Path(path_type=Path, dir_okay=False),
                envvar=VARIABLE,
                default=Path(DEFAULT),
                show_default=True,
                expose_value=False,
                help="The configuration file.",
            )
            one.params.append(option)


def _with_inner(command: click.Command) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from _with_inner(inner)
