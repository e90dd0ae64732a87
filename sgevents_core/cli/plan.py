"""`sgevents plan`: the callbacks that are called for each event type, in order."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from sgevents_core.cli.completing import complete_event_type
from sgevents_core.cli.printing import cell, echo, echo_json, echo_line, read_for_inspection
from sgevents_core.cli.root import config_option
from sgevents_core.cli.tables import new_table, print_table
from sgevents_core.errors import StateError
from sgevents_core.printable import counted
from sgevents_core.state.opening import open_state

if TYPE_CHECKING:
    from collections.abc import Collection

    from sgevents_core.plugins.loading import Loaded
    from sgevents_core.settings import Settings

_PlannedCalls: TypeAlias = "list[dict[str, Any]]"
_CallsByType: TypeAlias = dict[str, _PlannedCalls]


@click.command()
@click.argument(
    "event_type", metavar="[EVENT_TYPE]", default="", shell_complete=complete_event_type
)
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")
def plan(event_type: str, config: Path, as_json: bool) -> None:
    """Show which callbacks an event type calls, in order.

    Shows the hook and the filter of each callback, and where it is defined. Whether a filter
    accepts an event of EVENT_TYPE depends on the event: see `sgevents explain` for a single one.
    Without EVENT_TYPE it lists the types of the last events, each with its callbacks. Imports the
    enabled plugins.
    """
    from sgevents_core.classic.finding import find_plugins
    from sgevents_core.crashes.loading_apart import inspect_apart
    from sgevents_core.plugins.load_watching import PluginWatch
    from sgevents_core.plugins.loading import load
    from sgevents_core.plugins.plugin_status import PluginStatus, status_words

    settings = read_for_inspection(config)

    seen_types = _seen_types(settings)
    planned_types = [event_type] if event_type else sorted(seen_types)

    def load_calls(watch: PluginWatch) -> tuple[_CallsByType, tuple[PluginStatus, ...]]:
        loaded = load(settings, find_plugins(settings), watch=watch)
        calls_by_type = {name: _planned_calls(loaded, name, settings) for name in planned_types}
        return calls_by_type, loaded.statuses

    calls_by_type, statuses = inspect_apart(settings, load_calls)
    if not event_type:
        _show_all_types(calls_by_type, as_json=as_json)
    else:
        _show_type(event_type, calls_by_type[event_type], seen_types, as_json=as_json)
    for status in statuses:
        if status.status not in ("enabled", "disabled"):
            status_text = (
                f"{status.name} is {status_words(status.status)} and not called: {status.reason}"
            )
            echo_line(status_text, err=True)


def _show_type(
    event_type: str, planned_calls: _PlannedCalls, seen_types: Collection[str], *, as_json: bool
) -> None:
    from sgevents_core.hookspecs import hook_of

    likely_type = None if event_type in seen_types else likely_event_type(event_type, seen_types)
    if as_json:
        plan_fields = {
            "version": 1,
            "event_type": event_type,
            "seen": event_type in seen_types,
            "did_you_mean": likely_type,
            "hook": hook_of(event_type),
            "calls": planned_calls,
        }
        echo_json(plan_fields)
        return
    echo_line(f"{event_type} fires {hook_of(event_type)} and on_event.")
    echo()
    _print_calls(planned_calls)
    if likely_type:
        unknown_text = f"No event of type {event_type} is in the journal."
        echo_line(f"{unknown_text} Did you mean {likely_type}?", err=True)


def _show_all_types(calls_by_type: _CallsByType, *, as_json: bool) -> None:
    """Show the callbacks of every type seen lately, those that nobody wants last."""
    from sgevents_core.hookspecs import hook_of

    if as_json:
        type_fields = [
            {"event_type": event_type, "hook": hook_of(event_type), "calls": planned_calls}
            for event_type, planned_calls in calls_by_type.items()
        ]
        echo_json({"version": 1, "types": type_fields})
        return
    if not calls_by_type:
        echo_line("The journal has no events yet, so no event type is known.")
        return
    table = new_table("event type", "hook", "called, in order", sentences="called, in order")
    for event_type, planned_calls in calls_by_type.items():
        if planned_calls:
            callbacks = ", ".join(_short_name(call) for call in planned_calls)
            table.add_row(cell(event_type), cell(hook_of(event_type)), cell(callbacks))
    if table.row_count:
        print_table(table)
    unwanted_types = [event_type for event_type, calls in calls_by_type.items() if not calls]
    if unwanted_types:
        echo_line(f"No callback wants: {', '.join(unwanted_types)}")


def _short_name(planned_call: dict[str, Any]) -> str:
    """Return a callback's name for people, without its module: `chat on_new`."""
    return f"{planned_call['plugin']} {planned_call['callback'].rpartition(':')[2]}"


def likely_event_type(event_type: str, seen_types: Collection[str]) -> str | None:
    """Return the likely event type for a misspelled one; None if it may be right.

    Args:
        event_type: The type that the person typed.
        seen_types: The event types that the site is known to have.
    """
    from sgevents_core.events import RECORD_ACTIONS, type_parts
    from sgevents_core.hookspecs import APPLICATION_HOOKS, hook_of
    from sgevents_core.settings.spelling import nearest_name

    if event_type in APPLICATION_HOOKS:
        return None
    similar_type = nearest_name(event_type, [*seen_types, *APPLICATION_HOOKS])
    if similar_type is not None or hook_of(event_type) != "on_other":
        return similar_type
    parsed_type = type_parts(event_type)
    domain = nearest_name(parsed_type.domain, ["Shotgun"])
    action = nearest_name(parsed_type.action or "", RECORD_ACTIONS)
    type_middle = event_type.removeprefix(f"{parsed_type.domain}_").removesuffix(
        f"_{parsed_type.action}"
    )
    return f"{domain}_{type_middle}_{action}" if domain and action and type_middle else None


def _seen_types(settings: Settings) -> frozenset[str]:
    """Return the event types in the journal; none if there is no journal yet."""

    try:
        with closing(open_state(settings.state.path).reader()) as state:
            return frozenset(state.event_types())
    except StateError:
        return frozenset()


def _planned_calls(loaded_plugins: Loaded, event_type: str, settings: Settings) -> _PlannedCalls:
    """Return one entry per call, in order, numbered within each lane."""
    from sgevents_core.dispatch.plan import Plan
    from sgevents_core.settings import LaneSettings

    planned_calls: list[dict[str, Any]] = []
    call_numbers: Counter[str] = Counter()
    plugins_by_name = {plugin.name: plugin for plugin in loaded_plugins.plugins}
    for _, callback in Plan(loaded_plugins.callbacks).for_type(event_type):
        plugin = plugins_by_name[callback.plugin]
        call_numbers[plugin.lane] += 1
        lane_table = settings.lanes.get(plugin.lane, LaneSettings())
        planned_calls.append(
            {
                "number": call_numbers[plugin.lane],
                "lane": plugin.lane,
                "executor": lane_table.executor,
                "workers": lane_table.workers,
                "order_by": lane_table.order_by,
                "group": plugin.group,
                "plugin": plugin.name,
                "callback": callback.name,
                "hook": callback.hook,
                "filter": callback.describe(),
                "where": callback.where,
            }
        )
    lane_order = list(call_numbers)
    return sorted(planned_calls, key=lambda call: lane_order.index(call["lane"]))


def _print_calls(planned_calls: _PlannedCalls) -> None:
    if not planned_calls:
        echo("No callback is called.")
        return
    has_several_lanes = len({call["lane"] for call in planned_calls}) > 1
    titles = ["group", "plugin", "callback", "hook", "filter", "where"]
    titles[:0] = ["lane"] if has_several_lanes else []
    table = new_table("#", *titles, numbers=("#",), sentences="filter")
    for call in planned_calls:
        cells = [call[title] or "register_callbacks" for title in titles]
        table.add_row(str(call["number"]), *(cell(value) for value in cells))
    print_table(table)
    for lane_line in dict.fromkeys(_lane_text(call) for call in planned_calls):
        if lane_line:
            echo_line(lane_line)
    if has_several_lanes:
        echo("\nLanes run side by side: the numbers count within each.")


def _lane_text(call: dict[str, Any]) -> str:
    """Return how the lane of a call makes calls; empty if as lanes do by default."""
    order_by, worker_count = call["order_by"], call["workers"]
    if order_by is None and call["executor"] == "thread":
        return ""
    kind_text = "worker process" if call["executor"] == "process" else "worker"
    plural_text = "worker processes" if call["executor"] == "process" else "workers"
    lane_text = f"Lane {call['lane']}: {counted(worker_count, kind_text, plural_text)}"
    if order_by is None:
        return f"{lane_text}, one event after another."
    if order_by == "none":
        return f"{lane_text}, events in no order."
    return f"{lane_text}, the events of one {order_by} in order."
