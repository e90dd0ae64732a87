"""The state of plugins beyond their loading: in the ledger, and in the running daemon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from sgevents_core import __version__
from sgevents_core.plugins.plugin_status import PluginStatus, Standing
from sgevents_core.reading.overview import PluginOverview, overview
from sgevents_core.state.running import Running, running

_TAKE_UP: Final = "`sgevents reload` takes it up"
_REFUSED: Final = "`sgevents reload` is refused until it is put right"
_UNKNOWN: Final = "?"
_STANDINGS: Final[Mapping[str, tuple[Standing, str]]] = {
    "paused": ("paused", "Put right what it was, then: sgevents resume {name}"),
    "held": (
        "held",
        "Nothing: it is called again by itself; at once with: sgevents resume {name}",
    ),
    "not started": (
        "not started",
        "Put right what it was, then start the daemon again, or: sgevents reload",
    ),
}
"""The states of a plugin in the ledger, each with its fix."""
_HANGS: Final = (
    "Nothing, if the call returns: the plugin continues by itself. If it never does, start the "
    "daemon again."
)


def with_standing(statuses: Sequence[PluginStatus], state: Path) -> tuple[PluginStatus, ...]:
    """Return `statuses`, completed from the ledger and a running daemon.

    Args:
        statuses: The statuses from loading.
        state: The state's folder.

    Raises:
        StateError: The state cannot be read.
    """
    enabled = frozenset(one.name for one in statuses if one.status == "enabled")
    found = overview(state, enabled)
    records = {one.name: one for one in found.plugins} if found else {}
    daemon = running(state)
    return tuple(_standing(one, records.get(one.name), daemon) for one in statuses)


def differences(statuses: Sequence[PluginStatus], state: Path) -> Iterator[str]:
    """Yield, for people, how the daemon's loaded plugins differ from what would load now."""
    daemon = running(state)
    if daemon is None:
        return
    if daemon.version != __version__:
        yield f"sgevents: the daemon runs {daemon.version}, this is {__version__}; {_TAKE_UP}"
    for one in statuses:
        installed = one.version or _UNKNOWN
        if one.order is None and one.running is not None:
            then = _TAKE_UP if one.status == "disabled" else _REFUSED
            yield f"{one.name}: the daemon still runs {one.running}; {then}"
        elif one.order is not None and one.running is None:
            yield f"{one.name}: the daemon has not loaded it; {_TAKE_UP}"
        elif one.order is not None and one.running != installed:
            yield (
                f"{one.name}: the daemon runs {one.running}, installed is {installed}; {_TAKE_UP}"
            )


def _standing(
    status: PluginStatus, record: PluginOverview | None, daemon: Running | None
) -> PluginStatus:
    if daemon is not None and status.name in daemon.plugins:
        status = replace(status, running=daemon.plugins[status.name] or _UNKNOWN)
    if record is None or record.state not in _STANDINGS:
        return status
    stands, fix = _STANDINGS[record.state]
    told = _HANGS if record.hangs else fix.format(name=status.name)
    return replace(status, status=stands, reason=record.reason, fix=told)
