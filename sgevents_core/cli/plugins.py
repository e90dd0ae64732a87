"""`sgevents plugins`: the plugins: which of them run, in which order, and why the others do not."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from sgevents_core.cli.plugins_new import new
from sgevents_core.cli.plugins_retry import retry
from sgevents_core.cli.plugins_show import show
from sgevents_core.cli.printing import (
    cell,
    echo,
    echo_json,
    echo_line,
    read_for_inspection,
    without_empty,
)
from sgevents_core.cli.root import config_option
from sgevents_core.cli.tables import new_table, print_table
from sgevents_core.errors import StateError
from sgevents_core.printable import lines

if TYPE_CHECKING:
    from sgevents_core.plugins.discovery import Discovery
    from sgevents_core.plugins.plugin_status import PluginStatus

_STATUS_STYLES: Final = {"enabled": "green", "disabled": "dim"}
_WAITING_STYLES: Final = {"held": "yellow", "paused": "bold red", "not started": "bold red"}


@click.group()
def plugins() -> None:
    """List the installed plugins, or start a new one."""


plugins.add_command(new)
plugins.add_command(retry)
plugins.add_command(show)


@plugins.command("list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def list_plugins(ctx: click.Context, config: Path, as_json: bool) -> None:
    """List all plugins, in the order in which they are called.

    Plugins that are not enabled come last and are not imported. Also shows which are held, paused
    or not started, and where a running daemon has loaded a version other than the installed one.
    Without a configuration file it lists what is installed.
    """
    is_default_config = ctx.get_parameter_source("config") is ParameterSource.DEFAULT
    discovery, statuses, state_folder = _read_statuses(config, may_be_missing=is_default_config)
    if as_json:
        echo_json({"version": 1, "plugins": [_as_json(status) for status in statuses]})
    else:
        _print_table(statuses)
        _print_differences(statuses, state_folder)
    for problem in discovery.problems:
        echo_line(f"unreadable: {problem}", err=True)
    for remark in discovery.remarks:
        echo_line(f"note: {remark.text}; {remark.fix}", err=True)


def _as_json(status: PluginStatus) -> dict[str, Any]:
    problems = [problem._asdict() for problem in status.problems]
    status_fields: dict[str, Any] = without_empty({**asdict(status), "problems": problems})
    return status_fields


def _read_statuses(
    config: Path, *, may_be_missing: bool
) -> tuple[Discovery, tuple[PluginStatus, ...], Path | None]:
    """Return all plugins, their statuses, and the state's folder if a configuration names one."""
    from sgevents_core.classic.finding import find_plugins
    from sgevents_core.crashes.loading_apart import inspect_apart
    from sgevents_core.plugins.discovery import discover
    from sgevents_core.plugins.loading import load, statuses_unconfigured
    from sgevents_core.reading.plugin_standing import with_standing

    if may_be_missing and not os.path.lexists(config):
        echo_line(f"There is no {config} here, so no plugin is enabled.", err=True)
        discovery = discover()
        return discovery, statuses_unconfigured(discovery), None
    settings = read_for_inspection(config)
    discovery = find_plugins(settings)
    state_folder = settings.state.path
    plugin_statuses = inspect_apart(
        settings, lambda watch: load(settings, discovery, watch=watch).statuses
    )
    try:
        return discovery, with_standing(plugin_statuses, state_folder), state_folder
    except StateError as error:
        echo_line(f"Which plugins are held or paused is not known: {error}", err=True)
        return discovery, plugin_statuses, None


def _print_table(plugin_statuses: tuple[PluginStatus, ...]) -> None:
    if not plugin_statuses:
        echo("No plugin is installed, and none is configured.")
        return
    has_several_lanes = len({status.lane for status in plugin_statuses if status.lane}) > 1
    column_titles = ("group", *["lane"] * has_several_lanes, "distribution", "version")
    titles = ("#", "name", "status", *column_titles, "callbacks")
    table = new_table(*titles, numbers=("#", "callbacks"))
    for status in plugin_statuses:
        status_style = {**_STATUS_STYLES, **_WAITING_STYLES}.get(status.status, "bold red")
        table.add_row(
            _shown_value(status.order),
            cell(status.name),
            cell(status.status, status_style),
            *(cell(_shown_value(getattr(status, title))) for title in column_titles),
            _shown_value(status.callbacks),
        )
    print_table(table)
    for status in plugin_statuses:
        _print_details(status)
    _print_idle(plugin_statuses)


def _print_differences(statuses: tuple[PluginStatus, ...], state_folder: Path | None) -> None:
    """Print where the plugins that a running daemon has loaded differ from the installed ones."""
    from sgevents_core.reading.plugin_standing import version_differences

    for difference in version_differences(statuses, state_folder) if state_folder else ():
        echo()
        echo_line(difference)


def _print_details(status: PluginStatus) -> None:
    """Print the problem of a plugin as plain lines; in a table they would be squeezed."""
    from sgevents_core.plugins.plugin_status import status_words

    if status.status not in _STATUS_STYLES:
        echo()
        echo_line(f"{status.name} is {status_words(status.status)}: {status.reason}")
        for problem in status.problems:
            echo(f"    {lines(str(problem), indent='    ')}")
        echo_line(f"    fix: {status.fix}")
        if status.traceback:
            echo(f"    {lines(status.traceback.rstrip(), indent='    ')}")
    for warning in status.warnings:
        echo()
        echo_line(f"{status.name}: warning: {warning}")


def _print_idle(plugin_statuses: tuple[PluginStatus, ...]) -> None:
    idle_names = [status.name for status in plugin_statuses if status.status == "disabled"]
    if idle_names:
        echo()
        echo_line(f"not enabled: {', '.join(idle_names)}")
        echo("    to enable one: enabled = true in [plugins.NAME]")


def _shown_value(value: object) -> str:
    return "" if value is None else str(value)
