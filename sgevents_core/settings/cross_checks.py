"""Rules that span several values, and values that this version does not support.

A rule skips values that are invalid themselves, so that each mistake is reported once.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from sgevents_core.settings.diagnostics import Diagnostics
from sgevents_core.settings.durations import format_duration
from sgevents_core.settings.model import (
    DEFAULT_GROUP,
    DEFAULT_LANE,
    AlertSettings,
    ConsoleAccess,
    ConsoleSettings,
    GroupSettings,
    LaneSettings,
    LogSettings,
    PluginSettings,
    Settings,
)
from sgevents_core.settings.spelling import dotted_key, nearest_name, toml_string

_FEED_RULES: Final = (
    ("settle", operator.lt, "shorter than", "backlog_timeout"),
    ("audit_horizon", operator.ge, "at least as long as", "backlog_timeout"),
    ("idle_interval", operator.ge, "at least as long as", "poll_interval"),
)
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADERS_OF_BROWSERS: Final = ("accept", "content-", "if-", "sec-", "hx-", "access-control-")
_HEADERS_OF_CALLERS: Final = frozenset(
    [
        "authorization",
        "cookie",
        "connection",
        "date",
        "expect",
        "forwarded",
        "from",
        "host",
        "keep-alive",
        "origin",
        "pragma",
        "range",
        "referer",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
        "x-form-token",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-real-ip",
        "x-sg-signature",
    ]
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
    _check_log(settings.log, settings.plugins, diagnostics)
    _check_certificate(settings.console, diagnostics)
    _check_hosts(settings.console.hosts, diagnostics)
    if settings.console_access is not None:
        _check_console_access(settings.console_access, diagnostics)
    _check_metrics(settings, diagnostics)
    for index, table in enumerate(settings.alerts):
        _check_alerts(index, table, settings.plugins, diagnostics)


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


def _check_certificate(console: ConsoleSettings, diagnostics: Diagnostics) -> None:
    keys = {"certificate": console.certificate, "certificate_key": console.certificate_key}
    given = [key for key, value in keys.items() if value is not None]
    missing = [key for key in keys if key not in given]
    if len(given) == 1 and diagnostics.are_valid(("console", missing[0])):
        message = f"{given[0]} needs {missing[0]}"
        fix = f'add {missing[0]} = "FILE", or leave {given[0]} out'
        diagnostics.add_problem(("console", given[0]), message, fix)


def _check_hosts(hosts: Sequence[str], diagnostics: Diagnostics) -> None:
    for index, host in enumerate(hosts):
        if _HOST_NAME.fullmatch(host) is None:
            message = f"{toml_string(host)} is no name that a browser could call"
            fix = 'write each name in full, without scheme and port, such as "console.example"'
            diagnostics.add_problem(("console", "hosts", index), message, fix)


def _check_proxy_header(header: str, diagnostics: Diagnostics) -> None:
    """Check that a header can only come from the proxy: callers set many others themselves."""
    fix = 'use one that only the proxy sets, such as header = "X-Remote-User"'
    key_path = ("console", "access", "header")
    if _HEADER_NAME.fullmatch(header) is None:
        diagnostics.add_problem(key_path, f"{toml_string(header)} is no name of a header", fix)
    elif header.lower() in _HEADERS_OF_CALLERS or header.lower().startswith(_HEADERS_OF_BROWSERS):
        diagnostics.add_problem(key_path, f"callers themselves say what is in {header}", fix)


def _check_console_access(access: ConsoleAccess, diagnostics: Diagnostics) -> None:
    key_path = ("console", "access")
    if access.header is not None and diagnostics.are_valid((*key_path, "header")):
        _check_proxy_header(access.header, diagnostics)
    if access.header is not None and access.users:
        message = "users and header exclude each other"
        fix = "leave out users if a proxy says who people are, otherwise header and from"
        diagnostics.add_problem((*key_path, "header"), message, fix)
    elif access.header is not None and not access.proxies:
        message = "header needs from, the addresses of the proxy that sets it"
        if diagnostics.are_valid((*key_path, "from")):
            diagnostics.add_problem((*key_path, "header"), message, 'add from = ["ADDRESS"]')
    elif access.header is None and access.proxies:
        message = "from needs header, in which the proxy names the person"
        diagnostics.add_problem((*key_path, "from"), message, 'add header = "X-Remote-User"')
    elif access.header is None and not access.users:
        if diagnostics.are_valid((*key_path, "users")):
            fix = "list users with hashes of their passwords, or header and from of a proxy"
            diagnostics.add_problem(key_path, "nobody could come in", fix)
    else:
        _check_operators(access, diagnostics)


def _check_operators(access: ConsoleAccess, diagnostics: Diagnostics) -> None:
    for name in access.operators if access.users else ():
        if name not in access.users:
            similar = nearest_name(name, access.users)
            fix = f"did you mean {similar}?" if similar else "add the user, or leave the name out"
            message = f"operators names {toml_string(name)}, who is not one of the users"
            diagnostics.add_problem(("console", "access", "operators"), message, fix)


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


def _check_metrics(settings: Settings, diagnostics: Diagnostics) -> None:
    """Warn if a daemon with nothing to do would count as not ready, and of who can connect."""
    metrics, idle_interval = settings.metrics, settings.feed.idle_interval
    if metrics.listen is None:
        return
    valid_keys = [("metrics", "ready_within"), ("feed", "idle_interval"), ("feed", "poll_interval")]
    if diagnostics.are_valid(*valid_keys) and metrics.ready_within <= idle_interval:
        message = (
            f"ready_within ({format_duration(metrics.ready_within)}) is not longer than "
            f"idle_interval ({format_duration(idle_interval)}): while nothing happens, the daemon "
            "will not be ready"
        )
        fix = "change ready_within, or idle_interval in [feed]"
        diagnostics.add_warning(("metrics", "ready_within"), message, fix)
    if not metrics.listen.is_loopback:
        message = (
            f"other machines can connect to {metrics.listen} and read the names of plugins and "
            "callbacks, versions and figures, without a password"
        )
        fix = "let a firewall admit the monitoring alone, or listen on 127.0.0.1"
        diagnostics.add_warning(("metrics", "listen"), message, fix)


def _check_alerts(
    index: int, table: AlertSettings, names: Collection[str], diagnostics: Diagnostics
) -> None:
    """Refuse heartbeats that are no web addresses; warn of plugins that there are not."""
    heartbeat = table.heartbeat
    if heartbeat is not None and heartbeat.is_there:
        parts = _split_address(heartbeat.reveal())
        if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
            message, fix = "it is not the address of a page", "write it like https://HOST/PATH"
            diagnostics.add_problem(("alerts", index, "heartbeat"), message, fix)
    for number, name in enumerate(table.plugins):
        if name not in names:
            similar = nearest_name(name, names)
            fix = f"did you mean {toml_string(similar)}?" if similar else "leave it out"
            message = "there is no such plugin here"
            diagnostics.add_warning(("alerts", index, "plugins", number), message, fix)


def _split_address(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        return parts if parts.port != 0 else None
    except ValueError:
        return None


def _plugin_table_header(plugin_name: str) -> str:
    return f"[{dotted_key(('plugins', plugin_name))}]"
