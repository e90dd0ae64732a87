"""Words that the shell completes: plugins and event types, read without running anything."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import click

from sgevents_core.errors import SgEventsError


def complete_plugin_name(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the configured plugins whose names begin with a word; click calls this."""
    return _beginning_with(incomplete, _configured_plugins(_config_path(ctx)))


def complete_event_type(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the event types seen lately that begin with a word; click calls this."""
    return _beginning_with(incomplete, _seen_event_types(_config_path(ctx)))


def _beginning_with(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def _config_path(ctx: click.Context) -> Path:
    """Return the configuration that the command line names so far, or the default."""
    return Path(ctx.params.get("config") or "sgevents.toml")


def _configured_plugins(config_path: Path) -> Iterable[str]:
    """Return the plugins of a configuration, even of one with mistakes; none without one."""
    from sgevents_core.settings import load_settings
    from sgevents_core.settings.config_file import parse_file

    try:
        return load_settings(config_path, secrets_required=False).plugins
    except SgEventsError:
        pass
    try:
        plugin_tables = parse_file(config_path)[1].get("plugins")
    except SgEventsError:
        return ()
    return plugin_tables if isinstance(plugin_tables, dict) else ()


def _seen_event_types(config_path: Path) -> Iterable[str]:
    """Return the event types of the last events; none before a daemon has run."""
    from sgevents_core.settings.config_file import state_path
    from sgevents_core.state.opening import open_state

    state_folder = state_path(config_path)
    if state_folder is None:
        return ()
    try:
        with closing(open_state(state_folder).reader()) as state:
            return state.event_types()
    except SgEventsError:
        return ()
