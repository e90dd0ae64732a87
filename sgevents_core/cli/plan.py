"""`sgevents plan`: the callbacks called for events of a type, in order, with their filters."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sgevents_core.cli.printing import cell, echo, echo_json, echo_line, read_to_look
from sgevents_core.cli.root import config_option
from sgevents_core.cli.tables import print_table
from sgevents_core.errors import StateError
from sgevents_core.state.opening import open_state

if TYPE_CHECKING:
    from collections.abc import Collection

    from sgevents_core.plugins.loading import Loaded
    from sgevents_core.settings import Settings


@click.command()
@click.argument("event_type")
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")
def plan(event_type: str, config: Path, as_json: bool) -> None:
    """Show which callbacks an event type calls, in order.

    Shows the hook and the filter of each callback, and where it is defined. Whether a filter
    accepts an event of EVENT_TYPE depends on the event: see `sgevents explain` for a single one.
    Imports the enabled plugins.
    """
    from sgevents_core.crashes.loading_apart import looked_at_apart
    from sgevents_core.hookspecs import hook_of
    from sgevents_core.plugins.discovery import discover
    from sgevents_core.plugins.load_watching import PluginWatch
    from sgevents_core.plugins.loading import load
    from sgevents_core.plugins.plugin_status import PluginStatus, status_words

    settings = read_to_look(config)

    def look(watch: PluginWatch) -> tuple[list[dict[str, Any]], tuple[PluginStatus, ...]]:
        loaded = load(settings, discover(), watch=watch)
        return _calls(loaded, event_type), loaded.statuses

    calls, statuses = looked_at_apart(settings, look)
    seen = _seen_types(settings)
    meant = None if event_type in seen else meant_type(event_type, seen)
    if as_json:
        told = {
            "version": 1,
            "event_type": event_type,
            "seen": event_type in seen,
            "did_you_mean": meant,
            "hook": hook_of(event_type),
            "calls": calls,
        }
        echo_json(told)
    else:
        echo_line(f"{event_type} fires {hook_of(event_type)} and on_event.")
        echo()
        _print(calls)
    if meant and not as_json:
        unknown = f"No event of type {event_type} is in the journal."
        echo_line(f"{unknown} Did you mean {meant}?", err=True)
    for status in statuses:
        if status.status not in ("enabled", "disabled"):
            text = f"{status.name} is {status_words(status.status)} and not called: {status.reason}"
            echo_line(text, err=True)


def meant_type(event_type: str, seen: Collection[str]) -> str | None:
    """Return the event type that a misspelled one probably means; None if it may be right.

    Args:
        event_type: The type as given.
        seen: The event types that the site is known to have.
    """
    from sgevents_core.events import RECORD_ACTIONS, type_parts
    from sgevents_core.hookspecs import APPLICATION_HOOKS, hook_of
    from sgevents_core.settings.spelling import nearest_name

    if event_type in APPLICATION_HOOKS:
        return None
    close = nearest_name(event_type, [*seen, *APPLICATION_HOOKS])
    if close is not None or hook_of(event_type) != "on_other":
        return close
    parts = type_parts(event_type)
    domain = nearest_name(parts.domain, ["Shotgun"])
    action = nearest_name(parts.action or "", RECORD_ACTIONS)
    middle = event_type.removeprefix(f"{parts.domain}_").removesuffix(f"_{parts.action}")
    return f"{domain}_{middle}_{action}" if domain and action and middle else None


def _seen_types(settings: Settings) -> frozenset[str]:
    """Return the event types in the journal; none if there is no journal yet."""

    try:
        with closing(open_state(settings.state.path).reader()) as state:
            return frozenset(state.event_types())
    except StateError:
        return frozenset()


def _calls(loaded: Loaded, event_type: str) -> list[dict[str, Any]]:
    """Return one entry per call, in order, numbered within each lane."""
    from sgevents_core.dispatch.plan import Plan

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
    from rich.table import Table

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
