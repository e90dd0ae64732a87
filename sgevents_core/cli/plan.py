"""`sgevents plan`: who is called for events of a type, in which order, and through what."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sgevents_core.cli.printing import cell, echo, echo_json, echo_line, read_to_look
from sgevents_core.cli.root import config_option
from sgevents_core.cli.tables import print_table

if TYPE_CHECKING:
    from sgevents_core.plugins.loading import Loaded


@click.command()
@click.argument("event_type")
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")
def plan(event_type: str, config: Path, as_json: bool) -> None:
    """Show which callbacks an event type calls, in order.

    Shows the hook and the filter of each callback, and where it is written. Whether a filter lets
    an event of EVENT_TYPE through depends on the event: `sgevents explain` says so for one. Imports
    the enabled plugins.
    """
    from sgevents_core.hookspecs import hook_of  # noqa: PLC0415 - none of it for --help
    from sgevents_core.plugins.discovery import discover  # noqa: PLC0415
    from sgevents_core.plugins.loading import load  # noqa: PLC0415
    from sgevents_core.plugins.status import told_status  # noqa: PLC0415

    loaded = load(read_to_look(config), discover())
    calls = _calls(loaded, event_type)
    if as_json:
        told = {"event_type": event_type, "hook": hook_of(event_type), "calls": calls}
        echo_json(told)
    else:
        echo_line(f"{event_type} fires {hook_of(event_type)} and on_event.")
        echo()
        _print(calls)
    for status in loaded.statuses:
        if status.status not in ("enabled", "disabled"):
            text = f"{status.name} is {told_status(status.status)} and not called: {status.reason}"
            echo_line(text, err=True)


def _calls(loaded: Loaded, event_type: str) -> list[dict[str, Any]]:
    """Return one entry for each call, in order; numbers count within a lane."""
    from sgevents_core.dispatch.plan import Plan  # noqa: PLC0415 - as above

    calls: list[dict[str, Any]] = []
    numbers: Counter[str] = Counter()
    plugins = {plugin.name: plugin for plugin in loaded.plugins}
    for _, callback in Plan(loaded.callbacks).for_type(event_type):
        plugin = plugins[callback.plugin]
        numbers[plugin.lane] += 1
        calls.append(
            {
                "number": numbers[plugin.lane],
                "lane": plugin.lane,
                "group": plugin.group,
                "plugin": plugin.name,
                "callback": callback.name,
                "hook": callback.hook,
                "filter": callback.match.describe(),
                "where": callback.where,
            }
        )
    lanes = list(numbers)
    return sorted(calls, key=lambda call: lanes.index(call["lane"]))


def _print(calls: list[dict[str, Any]]) -> None:
    from rich.table import Table  # noqa: PLC0415 - slow to import, and not for --json

    if not calls:
        echo("No callback is called.")
        return
    columns = ["group", "plugin", "callback", "hook", "filter", "where"]
    several = len({call["lane"] for call in calls}) > 1
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("#", justify="right", no_wrap=True)
    for title in [*["lane"] * several, *columns]:
        table.add_column(title, no_wrap=title != "filter")
    for call in calls:
        cells = [call[title] or "register_callbacks" for title in [*["lane"] * several, *columns]]
        table.add_row(str(call["number"]), *(cell(one) for one in cells))
    print_table(table)
    if several:
        echo("\nLanes run side by side: the numbers count within each.")
