"""The state of plugins after loading: in the ledger, and in the running daemon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from sgevents_core import __version__
from sgevents_core.plugins.plugin_status import PluginStatus, Standing
from sgevents_core.reading.overview import PluginOverview, read_overview
from sgevents_core.state.running import Running, read_running_daemon

_RELOAD_APPLIES: Final = "`sgevents reload` applies it"
_RELOAD_REFUSED: Final = "`sgevents reload` is refused until it is fixed"
_UNKNOWN_VERSION: Final = "?"
_LEDGER_STANDINGS: Final[Mapping[str, tuple[Standing, str]]] = {
    "paused": ("paused", "Fix the cause, then: sgevents resume {name}"),
    "held": (
        "held",
        "Nothing: it is called again automatically; at once with: sgevents resume {name}",
    ),
    "not started": (
        "not started",
        "Fix the cause, then restart the daemon, or: sgevents reload",
    ),
}
"""The states of a plugin in the ledger, each with its fix."""
_HANGING_FIX: Final = (
    "Nothing, if the call returns: the plugin continues automatically. If it never "
    "does, restart the daemon."
)


def with_standing(statuses: Sequence[PluginStatus], state_folder: Path) -> tuple[PluginStatus, ...]:
    """Return `statuses`, completed from the ledger and a running daemon.

    Args:
        statuses: The statuses from loading.
        state_folder: The state's folder.

    Raises:
        StateError: The state cannot be read.
    """
    enabled_plugins = frozenset(status.name for status in statuses if status.status == "enabled")
    overview = read_overview(state_folder, enabled_plugins)
    by_name = {status.name: status for status in overview.plugins} if overview else {}
    daemon = read_running_daemon(state_folder)
    return tuple(_complete_status(status, by_name.get(status.name), daemon) for status in statuses)


def version_differences(statuses: Sequence[PluginStatus], state_folder: Path) -> Iterator[str]:
    """Yield, for people, how the daemon's loaded plugins differ from those that would load now."""
    daemon = read_running_daemon(state_folder)
    if daemon is None:
        return
    if daemon.version != __version__:
        yield (
            f"sgevents: the daemon runs {daemon.version}, this is {__version__}; {_RELOAD_APPLIES}"
        )
    for status in statuses:
        installed_version = status.version or _UNKNOWN_VERSION
        if status.order is None and status.running is not None:
            next_step = _RELOAD_APPLIES if status.status == "disabled" else _RELOAD_REFUSED
            yield f"{status.name}: the daemon still runs {status.running}; {next_step}"
        elif status.order is not None and status.running is None:
            yield f"{status.name}: the daemon has not loaded it; {_RELOAD_APPLIES}"
        elif status.order is not None and status.running != installed_version:
            yield (
                f"{status.name}: the daemon runs {status.running}, installed is "
                f"{installed_version}; {_RELOAD_APPLIES}"
            )


def _complete_status(
    status: PluginStatus, plugin_overview: PluginOverview | None, daemon: Running | None
) -> PluginStatus:
    if daemon is not None and status.name in daemon.plugins:
        status = replace(status, running=daemon.plugins[status.name] or _UNKNOWN_VERSION)
    if plugin_overview is None or plugin_overview.state not in _LEDGER_STANDINGS:
        return status
    standing, fix = _LEDGER_STANDINGS[plugin_overview.state]
    fix_text = _HANGING_FIX if plugin_overview.hangs else fix.format(name=status.name)
    return replace(status, status=standing, reason=plugin_overview.reason, fix=fix_text)
