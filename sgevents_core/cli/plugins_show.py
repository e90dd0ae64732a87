"""`sgevents plugins show`: one plugin: whether it runs, what it is called for, how it is set."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sgevents_core.cli.completing import complete_plugin_name
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
from sgevents_core.printable import counted, lines
from sgevents_core.settings.durations import format_duration

if TYPE_CHECKING:
    from sgevents_core.plugins.plugin_status import PluginStatus
    from sgevents_core.reading.overview import PluginOverview
    from sgevents_core.reading.plugin_details import CallbackDetails, PluginDetails
    from sgevents_core.settings import LaneSettings, Settings

_NO_FILTER: Final = "every event"


@click.command()
@click.argument("name", shell_complete=complete_plugin_name)
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")
def show(name: str, config: Path, as_json: bool) -> None:
    """Show everything about plugin NAME.

    Whether it runs and why not, its place in the order, its callbacks with their filters, its own
    settings with all defaults, its progress and failures, and what it keeps in `ctx.store`. Imports
    the enabled plugins. Secrets are hidden.
    """
    from sgevents_core.errors import UnknownPluginError
    from sgevents_core.reading.plugin_details import read_plugin_details
    from sgevents_core.settings.spelling import nearest_name

    settings = read_for_inspection(config)
    plugin_details = read_plugin_details(settings, name)
    if plugin_details is None:
        likely_name = nearest_name(name, settings.plugins)
        hint = f"did you mean {likely_name}?" if likely_name else "sgevents plugins list shows all"
        raise UnknownPluginError(plugin=name, hint=hint)
    if as_json:
        echo_json({"version": 1, **_details_fields(plugin_details)})
    else:
        _print_details(plugin_details, settings)


def _details_fields(plugin_details: PluginDetails) -> dict[str, Any]:
    from sgevents_core.settings.spelling import dotted_key

    status = asdict(plugin_details.status)
    status["problems"] = [problem._asdict() for problem in plugin_details.status.problems]
    overview = plugin_details.overview
    return {
        "plugin": without_empty(status),
        "callbacks": [_callback_fields(callback) for callback in plugin_details.callbacks],
        "settings": [
            {
                "key": dotted_key(own_value.key_path[3:]),
                "value": own_value.value_text or None,
                "source": own_value.source_text,
            }
            for own_value in plugin_details.own_settings
        ],
        "behind": overview.behind if overview else None,
        "dead_letters": overview.dead_letters if overview else None,
        "failures": overview.failures if overview else None,
        "last_error": (overview.last_error or None) if overview else None,
        "store": dict(plugin_details.store),
    }


def _callback_fields(callback: CallbackDetails) -> dict[str, Any]:
    return {
        "callback": callback.name,
        "hook": callback.hook,
        "filter": callback.filter_text or None,
        "on_error": callback.on_error,
        "timeout_s": callback.timeout,
        "where": callback.where,
    }


def _print_details(plugin_details: PluginDetails, settings: Settings) -> None:
    _print_status(plugin_details.status)
    _print_order(plugin_details.status, settings)
    if plugin_details.overview is not None:
        _print_progress(plugin_details.overview)
    if plugin_details.callbacks:
        echo()
        _print_callbacks(plugin_details.callbacks)
    if plugin_details.own_settings:
        _print_own_settings(plugin_details)
    if plugin_details.store:
        echo()
        echo_line(f"{counted(len(plugin_details.store), 'value')} in its store: see --json")


def _print_status(status: PluginStatus) -> None:
    from sgevents_core.plugins.plugin_status import status_words

    echo_line(f"{status.name} is {status_words(status.status)}{_origin_text(status)}")
    if status.version is not None and status.running not in (None, status.version):
        echo_line(f"    the daemon runs {status.running}; `sgevents reload` applies the other")
    if status.reason:
        echo_line(f"    {status.reason}")
    for problem in status.problems:
        echo(f"    {lines(str(problem), indent='    ')}")
    if status.fix:
        echo_line(f"    fix: {status.fix}")
    if status.traceback:
        echo(f"    {lines(status.traceback.rstrip(), indent='    ')}")
    for warning in status.warnings:
        echo_line(f"    warning: {warning}")


def _origin_text(status: PluginStatus) -> str:
    if not status.distribution:
        return ""
    return f", from {status.distribution} {status.version or ''}".rstrip()


def _print_order(status: PluginStatus, settings: Settings) -> None:
    if status.order is None or status.lane is None:
        return
    lane_text = _lane_text(settings.lanes[status.lane])
    echo_line(f"called as number {status.order}, in group {status.group}, lane {status.lane}")
    echo_line(f"the lane has {lane_text}")


def _lane_text(lane: LaneSettings) -> str:
    worker_text = counted(lane.workers, "worker")
    if lane.executor == "process":
        worker_text = counted(lane.workers, "worker process", "worker processes")
    return f"{worker_text}, in order by {lane.order_by}" if lane.order_by else worker_text


def _print_progress(overview: PluginOverview) -> None:
    behind_text = "it has handled every event"
    if overview.behind:
        oldest_text = format_duration(round(overview.behind_s))
        behind_text = f"{counted(overview.behind, 'event')} behind, the oldest {oldest_text} old"
    echo_line(behind_text)
    if overview.dead_letters:
        echo_line(f"{counted(overview.dead_letters, 'dead letter')}: {overview.last_error}")


def _print_callbacks(callbacks: tuple[CallbackDetails, ...]) -> None:
    titles = ("callback", "hook", "filter", "on_error", "timeout", "where")
    table = new_table("#", *titles, numbers=("#",), sentences="filter")
    for number, callback in enumerate(callbacks, start=1):
        cells = (
            callback.name,
            callback.hook or "register_callbacks",
            callback.filter_text or _NO_FILTER,
            callback.on_error,
            format_duration(callback.timeout) if callback.timeout else "none",
            callback.where,
        )
        table.add_row(str(number), *(cell(value) for value in cells))
    print_table(table)


def _print_own_settings(plugin_details: PluginDetails) -> None:
    from sgevents_core.settings.spelling import dotted_key

    echo()
    echo_line("Its own settings:")
    for own_value in plugin_details.own_settings:
        key_name = dotted_key(own_value.key_path[3:])
        value_text = own_value.value_text or "none"
        echo_line(f"    {key_name} = {value_text}  # {own_value.source_text}")
