"""What must hold between values, and what this version does not do.

A rule passes over values that are wrong by themselves, so that each mistake is reported once.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping
from typing import Any, Final

from sgevents_core.settings.diagnostics import Diagnostics
from sgevents_core.settings.durations import format_duration
from sgevents_core.settings.model import (
    DEFAULT_GROUP,
    DEFAULT_LANE,
    GroupSettings,
    LaneSettings,
    LogSettings,
    PluginSettings,
    Settings,
)
from sgevents_core.settings.spelling import dotted, nearest, quoted

_ONE_THREAD: Final = "this version works through a lane with one thread"
_FEED_RULES: Final = (
    ("settle", operator.lt, "shorter than", "backlog_timeout"),
    ("audit_horizon", operator.ge, "at least as long as", "backlog_timeout"),
    ("idle_interval", operator.ge, "at least as long as", "poll_interval"),
)


def check_rules(settings: Settings, raw: Mapping[str, Any], diagnostics: Diagnostics) -> None:
    """Record every broken rule of `settings`, which were read from `raw`."""
    _check_feed(settings, raw, diagnostics)
    _check_groups(settings.groups, settings.lanes, diagnostics)
    for name, lane in settings.lanes.items():
        _check_lane(name, lane, diagnostics)
    _check_lanes_used(settings, diagnostics)
    for name, plugin in settings.plugins.items():
        _check_credentials(name, plugin, diagnostics)
        _check_ignore_own(name, settings, diagnostics)
        _check_group_of_plugin(name, plugin, settings.groups, diagnostics)
    _check_log(settings.log, settings.plugins, diagnostics)


def _check_feed(settings: Settings, raw: Mapping[str, Any], diagnostics: Diagnostics) -> None:
    for key, holds, relation, other in _FEED_RULES:
        value, limit = getattr(settings.feed, key), getattr(settings.feed, other)
        if holds(value, limit) or not diagnostics.are_valid(("feed", key), ("feed", other)):
            continue
        written = key if key in raw.get("feed", {}) else other
        message = (
            f"{key} ({format_duration(value)}) must be {relation} {other} "
            f"({format_duration(limit)})"
        )
        diagnostics.problem(("feed", written), message, f"change {key} or {other}")


def _check_groups(
    groups: Collection[GroupSettings], lanes: Collection[str], diagnostics: Diagnostics
) -> None:
    seen: set[str] = set()
    for index, group in enumerate(groups):
        if group.name and group.name in seen:
            message = f"the group {quoted(group.name)} is listed twice"
            diagnostics.problem(("groups", index, "name"), message, "leave one of the two out")
        seen.add(group.name)
        if group.lane is None or group.lane in lanes or group.lane == DEFAULT_LANE:
            continue
        meant = nearest(group.lane, lanes)
        if meant:
            message = f"there is no table [{dotted(('lanes', group.lane))}]"
            fix = f"did you mean {quoted(meant)}? If not, add that table, which may be empty"
            diagnostics.problem(("groups", index, "lane"), message, fix)


def _check_lane(name: str, lane: LaneSettings, diagnostics: Diagnostics) -> None:
    """Refuse what would change how a lane works and is not there yet."""
    asked = {
        "workers": (lane.workers == 1, "workers = 1"),
        "order_by": (lane.order_by == "none", 'order_by = "none"'),
        "executor": (lane.executor == "thread", 'executor = "thread"'),
        "max_rss": (lane.max_rss is None, ""),
    }
    for key, (supported, instead) in asked.items():
        if not supported:
            fix = f"write {instead}, or leave it out" if instead else "leave it out"
            message = f"not supported: {_ONE_THREAD}"
            diagnostics.problem(("lanes", name, key), message, fix)


def _check_lanes_used(settings: Settings, diagnostics: Diagnostics) -> None:
    used = {group.lane for group in settings.groups} | {DEFAULT_LANE}
    for name in settings.lanes:
        if name not in used:
            message = "no group names this lane, so nothing runs in it"
            diagnostics.warning(("lanes", name), message, f"add lane = {quoted(name)} to a group")


def _check_credentials(name: str, plugin: PluginSettings, diagnostics: Diagnostics) -> None:
    given = {"script_name": plugin.script_name, "api_key": plugin.api_key}
    lacking = [key for key, value in given.items() if value is None]
    places = [("plugins", name, key) for key in given]
    if len(lacking) != 1 or not diagnostics.are_valid(*places):
        return
    (there,) = set(given) - set(lacking)
    fix = f"add {lacking[0]}, or leave {there} out to use those of [site]"
    diagnostics.problem(("plugins", name, there), f"it needs {lacking[0]} as well", fix)


def _check_ignore_own(name: str, settings: Settings, diagnostics: Diagnostics) -> None:
    """Check that `ignore_own` can distinguish the plugin's own events from all others."""
    plugin, place = settings.plugins[name], ("plugins", name, "ignore_own")
    if not plugin.ignore_own or not diagnostics.are_valid(("plugins", name, "script_name")):
        return
    fix = "make a script for this plugin on the site, and add its script_name and api_key"
    if plugin.script_name is None:
        diagnostics.problem(place, "it needs the plugin's own script_name", fix)
    elif plugin.script_name == settings.site.script_name != "":
        message = "the plugin has the script_name of [site]: its own events cannot be distinguished"
        diagnostics.problem(place, message, fix)
    elif plugin.script_name:
        same = [
            other
            for other, table in settings.plugins.items()
            if other != name and table.script_name == plugin.script_name
        ]
        if same:
            message = f"what {same[0]} does is ignored too: it has the same script_name"
            diagnostics.warning(place, message, fix)


def _check_group_of_plugin(
    name: str, plugin: PluginSettings, groups: Collection[GroupSettings], diagnostics: Diagnostics
) -> None:
    names = [group.name for group in groups] + [DEFAULT_GROUP]
    if plugin.group is None or plugin.group in names:
        return
    meant = nearest(plugin.group, names)
    fix = f"did you mean {quoted(meant)}?" if meant else "add it there, where it is to come"
    message = f"the group {quoted(plugin.group)} is not listed in [[groups]]"
    diagnostics.problem(("plugins", name, "group"), message, fix)


def _check_log(log: LogSettings, plugins: Collection[str], diagnostics: Diagnostics) -> None:
    if log.per_plugin and log.file is None and diagnostics.are_valid(("log", "file")):
        fix = 'add file = "..."; the files of the plugins are written beside it'
        diagnostics.problem(("log", "per_plugin"), "it needs a file", fix)
    for name in log.levels:
        if name not in plugins:
            meant = nearest(name, plugins)
            fix = f"did you mean {quoted(meant)}?" if meant else f"add {_table_of(name)}"
            diagnostics.warning(("log", "levels", name), "there is no such plugin here", fix)


def _table_of(plugin: str) -> str:
    return f"[{dotted(('plugins', plugin))}]"
