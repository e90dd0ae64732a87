"""Rules that span several values, and values that this version does not support.

A rule skips values that are invalid themselves, so that each mistake is reported once.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping
from typing import Any, Final

from sgevents_core.settings.cluster_checks import check_cluster
from sgevents_core.settings.console_checks import check_console
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
from sgevents_core.settings.monitoring_checks import check_alerts, check_metrics
from sgevents_core.settings.spelling import dotted_key, nearest_name, toml_string

_FEED_RULES: Final = (
    ("settle", operator.lt, "shorter than", "backlog_timeout"),
    ("audit_horizon", operator.ge, "at least as long as", "backlog_timeout"),
    ("idle_interval", operator.ge, "at least as long as", "poll_interval"),
)


def check_cross_rules(
    settings: Settings, raw_tables: Mapping[str, Any], diagnostics: Diagnostics
) -> None:
    """Record every broken rule of `settings`, which were read from `raw_tables`."""
    _check_feed(settings, raw_tables, diagnostics)
    _check_groups(settings.groups, settings.lanes, diagnostics)
    for name, lane in settings.lanes.items():
        _check_lane(name, lane, diagnostics)
    _check_unused_lanes(settings, diagnostics)
    for name, plugin in settings.plugins.items():
        _check_credentials(name, plugin, diagnostics)
        _check_ignore_own(name, settings, diagnostics)
        _check_plugin_group(name, plugin, settings.groups, diagnostics)
    state_table = raw_tables.get("state")
    given_keys = tuple(state_table) if isinstance(state_table, Mapping) else ()
    check_cluster(settings, given_keys, diagnostics)
    _check_log(settings.log, settings.plugins, diagnostics)
    check_console(settings, diagnostics)
    check_metrics(settings, diagnostics)
    for index, table in enumerate(settings.alerts):
        check_alerts(index, table, settings.plugins, diagnostics)


def _check_feed(settings: Settings, tables: Mapping[str, Any], diagnostics: Diagnostics) -> None:
    for feed_key, is_satisfied, relation_text, other_key in _FEED_RULES:
        duration, other_duration = (
            getattr(settings.feed, feed_key),
            getattr(settings.feed, other_key),
        )
        if is_satisfied(duration, other_duration) or not diagnostics.are_valid(
            ("feed", feed_key), ("feed", other_key)
        ):
            continue
        configured_key = feed_key if feed_key in tables.get("feed", {}) else other_key
        message = (
            f"{feed_key} ({format_duration(duration)}) must be {relation_text} {other_key} "
            f"({format_duration(other_duration)})"
        )
        diagnostics.add_problem(
            ("feed", configured_key), message, f"change {feed_key} or {other_key}"
        )


def _check_groups(
    groups: Collection[GroupSettings], lane_names: Collection[str], diagnostics: Diagnostics
) -> None:
    seen_names: set[str] = set()
    for index, group in enumerate(groups):
        if group.name and group.name in seen_names:
            message = f"the group {toml_string(group.name)} is listed twice"
            diagnostics.add_problem(("groups", index, "name"), message, "leave one of the two out")
        seen_names.add(group.name)
        if group.lane is None or group.lane in lane_names or group.lane == DEFAULT_LANE:
            continue
        similar = nearest_name(group.lane, lane_names)
        if similar:
            message = f"there is no table [{dotted_key(('lanes', group.lane))}]"
            fix = f"did you mean {toml_string(similar)}? If not, add that table, which may be empty"
            diagnostics.add_problem(("groups", index, "lane"), message, fix)


def _check_lane(name: str, lane: LaneSettings, diagnostics: Diagnostics) -> None:
    """Refuse workers that nothing could be divided among; warn of limits without effect."""
    order_is_valid = diagnostics.are_valid(("lanes", name, "order_by"))
    if lane.workers > 1 and lane.order_by is None and order_is_valid:
        message = "without order_by all events of the lane come one after another, by one worker"
        fix = 'add order_by = "entity", "project" or "none", or write workers = 1'
        diagnostics.add_problem(("lanes", name, "workers"), message, fix)
    if lane.max_rss is not None and lane.executor != "process":
        message = "it limits worker processes, and the lane has none"
        fix = 'add executor = "process", or leave it out'
        diagnostics.add_warning(("lanes", name, "max_rss"), message, fix)


def _check_unused_lanes(settings: Settings, diagnostics: Diagnostics) -> None:
    used_lanes = {group.lane for group in settings.groups} | {DEFAULT_LANE}
    for name in settings.lanes:
        if name not in used_lanes:
            message = "no group names this lane, so nothing runs in it"
            diagnostics.add_warning(
                ("lanes", name), message, f"add lane = {toml_string(name)} to a group"
            )


def _check_credentials(name: str, plugin: PluginSettings, diagnostics: Diagnostics) -> None:
    credentials = {"script_name": plugin.script_name, "api_key": plugin.api_key}
    missing = [key for key, credential in credentials.items() if credential is None]
    key_paths = [("plugins", name, credential_key) for credential_key in credentials]
    if len(missing) != 1 or not diagnostics.are_valid(*key_paths):
        return
    (present_key,) = set(credentials) - set(missing)
    fix = f"add {missing[0]}, or leave {present_key} out to use those of [site]"
    diagnostics.add_problem(("plugins", name, present_key), f"it needs {missing[0]} as well", fix)


def _check_ignore_own(name: str, settings: Settings, diagnostics: Diagnostics) -> None:
    """Check that `ignore_own` can distinguish the plugin's own events from all others."""
    plugin, key_path = settings.plugins[name], ("plugins", name, "ignore_own")
    if not plugin.ignore_own or not diagnostics.are_valid(("plugins", name, "script_name")):
        return
    fix = "make a script for this plugin on the site, and add its script_name and api_key"
    if plugin.script_name is None:
        diagnostics.add_problem(key_path, "it needs the plugin's own script_name", fix)
    elif plugin.script_name == settings.site.script_name != "":
        message = "the plugin has the script_name of [site]: its own events cannot be distinguished"
        diagnostics.add_problem(key_path, message, fix)
    elif plugin.script_name:
        sharing_plugins = [
            other_plugin
            for other_plugin, plugin_table in settings.plugins.items()
            if other_plugin != name and plugin_table.script_name == plugin.script_name
        ]
        if sharing_plugins:
            message = f"what {sharing_plugins[0]} does is ignored too: it has the same script_name"
            diagnostics.add_warning(key_path, message, fix)


def _check_plugin_group(
    name: str, plugin: PluginSettings, groups: Collection[GroupSettings], diagnostics: Diagnostics
) -> None:
    group_names = [group.name for group in groups] + [DEFAULT_GROUP]
    if plugin.group is None or plugin.group in group_names:
        return
    similar_group = nearest_name(plugin.group, group_names)
    fix = (
        f"did you mean {toml_string(similar_group)}?"
        if similar_group
        else "add it there, where it is to come"
    )
    message = f"the group {toml_string(plugin.group)} is not listed in [[groups]]"
    diagnostics.add_problem(("plugins", name, "group"), message, fix)


def _check_log(settings: LogSettings, names: Collection[str], diagnostics: Diagnostics) -> None:
    if settings.per_plugin and settings.file is None and diagnostics.are_valid(("log", "file")):
        fix = 'add file = "..."; the files of the plugins are written beside it'
        diagnostics.add_problem(("log", "per_plugin"), "it needs a file", fix)
    for name in settings.levels:
        if name not in names:
            similar_plugin = nearest_name(name, names)
            fix = (
                f"did you mean {toml_string(similar_plugin)}?"
                if similar_plugin
                else f"add {_plugin_table_header(name)}"
            )
            diagnostics.add_warning(("log", "levels", name), "there is no such plugin here", fix)


def _plugin_table_header(plugin_name: str) -> str:
    return f"[{dotted_key(('plugins', plugin_name))}]"
