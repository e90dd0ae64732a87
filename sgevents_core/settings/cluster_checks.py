"""Rules of a state that several hosts share: `[state] url` with its keys, and `[hosts]`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sgevents_core.settings.diagnostics import Diagnostics
from sgevents_core.settings.listen_address import LOOPBACK_NAME
from sgevents_core.settings.model import DEFAULT_LANE, Settings
from sgevents_core.settings.spelling import nearest_name, toml_string
from sgevents_core.settings.state_settings import HostSettings, StateSettings

_KEYS_OF_ALL: Final = frozenset({"path", "retention", "url"})
"""Keys of `[state]` that have a meaning without servers too."""
_PAIRS: Final = (("user", "password"), ("password", "user"), ("cert", "key"), ("key", "cert"))
_WAYS_TO_SIGN_IN: Final = ("user", "credentials", "nkey")


def check_cluster(
    settings: Settings, given_keys: Collection[str], diagnostics: Diagnostics
) -> None:
    """Record every broken rule.

    Args:
        settings: All settings.
        given_keys: The keys of `[state]` that the file has.
        diagnostics: Where they are recorded.
    """
    state = settings.state
    if not diagnostics.are_valid(("state", "url")):
        return
    if state.url is None:
        _check_without_servers(settings, given_keys, diagnostics)
        return
    for given, missing in _PAIRS:
        is_alone = getattr(state, given) is not None and getattr(state, missing) is None
        if is_alone and diagnostics.are_valid(("state", missing)):
            fix = f"add {missing}, or leave {given} out"
            diagnostics.add_problem(("state", given), f"it needs {missing} as well", fix)
    _check_ways_to_sign_in(state, diagnostics)
    _check_plain_password(state, diagnostics)
    _check_hosts(settings, diagnostics)


def _check_without_servers(
    settings: Settings, given_keys: Collection[str], diagnostics: Diagnostics
) -> None:
    fix = 'add url = "nats://HOST:4222" to [state], or leave it out'
    for name in given_keys:
        if name not in _KEYS_OF_ALL and hasattr(settings.state, name):
            diagnostics.add_problem(("state", name), "it needs url, the NATS servers", fix)
    if settings.hosts:
        message = "without url in [state], only this host works at the state"
        diagnostics.add_warning(("hosts",), message, fix)


def _check_ways_to_sign_in(state: StateSettings, diagnostics: Diagnostics) -> None:
    ways = [name for name in _WAYS_TO_SIGN_IN if getattr(state, name) is not None]
    if len(ways) > 1:
        message = f"{ways[0]} and {ways[1]} are two ways to sign in"
        diagnostics.add_problem(("state", ways[1]), message, f"leave out {' or '.join(ways)}")


def _check_plain_password(state: StateSettings, diagnostics: Diagnostics) -> None:
    if state.url is None or state.url.is_encrypted or state.password is None:
        return
    remote = [server for server in state.url.servers if not _is_local(server)]
    if remote:
        message = f"the password may travel unencrypted to {remote[0]}"
        fix = "write tls://, and give the servers certificates"
        diagnostics.add_warning(("state", "url"), message, fix)


def _is_local(server: str) -> bool:
    return server.startswith((f"{LOOPBACK_NAME}:", "127.", "[::1]:"))


def _check_hosts(settings: Settings, diagnostics: Diagnostics) -> None:
    lane_names = {group.lane for group in settings.groups if group.lane} | {DEFAULT_LANE}
    lane_names |= set(settings.lanes)
    hosts_by_pinned: dict[str, str] = {}
    for name, host in settings.hosts.items():
        _check_lanes_of_host(name, host, lane_names, diagnostics)
        for lane_name in host.pinned:
            other = hosts_by_pinned.setdefault(lane_name, name)
            if other != name:
                message = f"the lane {toml_string(lane_name)} is pinned to {other} too"
                fix = "pin it to one host"
                diagnostics.add_problem(("hosts", name, "pinned"), message, fix)


def _check_lanes_of_host(
    name: str, host: HostSettings, lane_names: Collection[str], diagnostics: Diagnostics
) -> None:
    for key in ("lanes", "pinned"):
        for lane_name in getattr(host, key) or ():
            if lane_name not in lane_names:
                similar = nearest_name(lane_name, lane_names)
                fix = f"did you mean {toml_string(similar)}?" if similar else "leave it out"
                message = f"there is no lane {toml_string(lane_name)}"
                diagnostics.add_problem(("hosts", name, key), message, fix)
    for lane_name in host.pinned:
        if host.lanes is not None and lane_name not in host.lanes:
            message = f"the host may not work at {toml_string(lane_name)}: lanes leaves it out"
            fix = "add it to lanes, or leave it out here"
            diagnostics.add_problem(("hosts", name, "pinned"), message, fix)
