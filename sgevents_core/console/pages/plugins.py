"""The plugins of a site: their order, their state and why, and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sgevents_core.console.page import (
    Action,
    Form,
    NewRequest,
    NoQuery,
    Page,
    View,
    Visit,
    utc_time,
)
from sgevents_core.reading.overview import PluginOverview, read_overview

_LEDGER_STATES: Final = frozenset(
    {"held", "paused", "not started", "not loaded", "catching up", "active"}
)


class ShownPlugin(View, frozen=True, kw_only=True):
    """One plugin: what loading it tells, and what the state says of it."""

    name: str
    order: int | None
    """Its place in the order of calls; None unless it is loaded."""
    state: str
    reason: str
    fix: str
    distribution: str | None
    version: str | None
    """The installed version."""
    running: str | None
    """The version that the daemon has loaded."""
    group: str | None
    lane: str | None
    callbacks: int | None
    behind: int
    behind_s: float
    dead_letters: int
    failures_in_a_row: int
    last_error: str
    retry_in_s: float
    can_pause: bool
    can_resume: bool


class PluginsView(View, frozen=True, kw_only=True):
    """All plugins, as they are called; those that are not loaded follow."""

    plugins: list[ShownPlugin]
    inspected_at: datetime | None
    """When the plugins were last loaded to be inspected."""
    is_inspecting: bool
    problem: str
    """Why they could not be inspected; empty if they could."""


def read_plugins(visit: Visit, query: NoQuery) -> PluginsView:
    """Read all plugins of a site."""
    settings = visit.site.settings
    enabled = frozenset(name for name, table in settings.plugins.items() if table.enabled)
    overview = read_overview(visit.site.state_folder, enabled)
    by_name = {plugin.name: plugin for plugin in overview.plugins} if overview else {}
    inspection = visit.site.inspections.read("plugins", "list")
    statuses = {status["name"]: status for status in (inspection.result or {}).get("plugins", ())}
    names = dict.fromkeys([*statuses, *by_name])
    return PluginsView(
        plugins=[shown_plugin(name, statuses.get(name, {}), by_name.get(name)) for name in names],
        inspected_at=utc_time(inspection.read_at),
        is_inspecting=inspection.is_running,
        problem=inspection.problem,
    )


def shown_plugin(
    name: str, status: Mapping[str, Any], overview: PluginOverview | None
) -> ShownPlugin:
    """Return one plugin as pages show it.

    Args:
        name: Its name.
        status: What `sgevents plugins` says of it; empty if that is not known.
        overview: Its progress; None if it has never been enabled.
    """
    state, reason = _state_of(status, overview)
    return ShownPlugin(
        name=name,
        order=status.get("order"),
        state=state,
        reason=reason,
        fix=status.get("fix") or "",
        distribution=status.get("distribution"),
        version=status.get("version"),
        running=status.get("running"),
        group=status.get("group"),
        lane=status.get("lane") or (overview.lane if overview else None),
        callbacks=status.get("callbacks"),
        behind=overview.behind if overview else 0,
        behind_s=overview.behind_s if overview and overview.behind else 0.0,
        dead_letters=overview.dead_letters if overview else 0,
        failures_in_a_row=overview.failures if overview else 0,
        last_error=overview.last_error if overview else "",
        retry_in_s=overview.retry_in_s if overview else 0.0,
        can_pause=overview is not None and state in _LEDGER_STATES - {"paused"},
        can_resume=overview is not None and state in {"paused", "held"},
    )


def _state_of(status: Mapping[str, Any], overview: PluginOverview | None) -> tuple[str, str]:
    """Return a plugin's state and the reason for it: of loading, or of the ledger."""
    loaded_as = status.get("status", "")
    is_loadable = loaded_as in {"", "enabled", "held", "paused", "not started"}
    if overview is not None and is_loadable and overview.state in _LEDGER_STATES:
        return overview.state, overview.reason
    return loaded_as or (overview.state if overview else "unknown"), status.get("reason") or ""


class PluginForm(Form, frozen=True, kw_only=True):
    """The plugin that an action is about."""

    plugin: str


def plan_pause(visit: Visit, form: PluginForm) -> list[NewRequest]:
    """Ask for a pause."""
    return [NewRequest(kind="pause", plugin=form.plugin)]


def plan_resume(visit: Visit, form: PluginForm) -> list[NewRequest]:
    """Ask for the end of a pause or a hold."""
    return [NewRequest(kind="resume", plugin=form.plugin)]


PAGES: Final = (
    Page(
        path="plugins",
        title="Plugins",
        summary="List the plugins as they are called, with their state and the reason for it.",
        template="plugins.html",
        view_type=PluginsView,
        read=read_plugins,
        shared_for=1.0,
    ),
)
ACTIONS: Final = (
    Action(
        path="plugins/pause",
        summary="Pause a plugin until it is resumed; it loses nothing.",
        form_type=PluginForm,
        plan=plan_pause,
    ),
    Action(
        path="plugins/resume",
        summary="Let a paused or held plugin continue.",
        form_type=PluginForm,
        plan=plan_resume,
    ),
)
