"""Rules about metrics and alerts that span several values."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from sgevents_core.settings.diagnostics import Diagnostics
from sgevents_core.settings.durations import format_duration
from sgevents_core.settings.model import Settings
from sgevents_core.settings.monitoring_settings import AlertSettings
from sgevents_core.settings.spelling import nearest_name, toml_string


def check_metrics(settings: Settings, diagnostics: Diagnostics) -> None:
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


def check_alerts(
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
