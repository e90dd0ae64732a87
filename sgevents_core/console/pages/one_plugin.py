"""One plugin: why it is in its state, its callbacks with their figures, settings and store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from typing import Any, Final

import msgspec

from sgevents_core.console.charting import ChartView, Span, chart_of, span_seconds
from sgevents_core.console.page import Page, Query, View, Visit, utc_time
from sgevents_core.console.pages.plugins import ShownPlugin, shown_plugin
from sgevents_core.console.problems import PageMissing
from sgevents_core.printable import one_line
from sgevents_core.reading.figures import read_call_figures, read_callback_timeline, span_for
from sgevents_core.reading.overview import PluginOverview, read_overview
from sgevents_core.state.call_figures import CallFigure
from sgevents_core.state.failures import Failure
from sgevents_core.state.letters import LetterChoice
from sgevents_core.state.opening import open_state

_FIGURES_OF: Final = 86400.0
"""Seconds that the figures of a callback cover."""
LONGEST_STORE_VALUE: Final = 20_000
"""The most characters shown of one value in a store."""
MOST_STORE_VALUES: Final = 500
"""The most values shown of one store."""


class PluginQuery(Query, frozen=True, kw_only=True):
    """The plugin."""

    name: str


class CallbackTimesQuery(Query, frozen=True, kw_only=True):
    """The callback, and the time."""

    name: str
    callback: str
    span: Span = "hour"


class ShownCallback(View, frozen=True, kw_only=True):
    """One callback, with the figures of the last day."""

    name: str
    hook: str | None
    filter: str
    on_error: str
    timeout_s: float | None
    where: str
    calls: int
    failures: int
    dead_letters: int
    median_s: float | None
    p99_s: float | None


class OwnSetting(View, frozen=True, kw_only=True):
    """One value of the plugin's own settings; secrets are hidden."""

    key: str
    value: str
    source: str


class StoreValue(View, frozen=True, kw_only=True):
    """One value of `ctx.store`, as JSON text."""

    key: str
    value: str


class FailedCall(View, frozen=True, kw_only=True):
    """The newest call of a plugin that failed and left no dead letter."""

    callback: str
    event_id: int
    at: datetime | None
    error: str
    traceback: str


class PluginView(View, frozen=True, kw_only=True):
    """Everything about one plugin."""

    plugin: ShownPlugin
    last_failed_call: FailedCall | None
    """While it is paused or held; None otherwise."""
    traceback: str
    """Why it could not be loaded, if its code raised."""
    problems: list[str]
    """What is wrong with its own settings."""
    warnings: list[str]
    callbacks: list[ShownCallback]
    settings: list[OwnSetting]
    store: list[StoreValue]
    store_size: int
    """How many values the store holds; only the first are listed."""
    inspected_at: datetime | None
    is_inspecting: bool
    problem: str
    """Why the plugins could not be inspected."""


def read_plugin(visit: Visit, query: PluginQuery) -> PluginView:
    """Read everything about one plugin."""
    overview = find_overview(visit, query.name)
    is_configured = query.name in visit.site.settings.plugins
    listed = visit.site.inspections.read("plugins", "list")
    listed_names = {status["name"] for status in (listed.result or {}).get("plugins", ())}
    if overview is None and not is_configured and query.name not in listed_names:
        raise PageMissing(f"There is no plugin {one_line(query.name[:100])}.")
    inspection = visit.site.inspections.read("plugins", "show", subject=query.name)
    details: Mapping[str, Any] = inspection.result or {}
    status: Mapping[str, Any] = details.get("plugin") or {}
    store = _read_store(visit, query.name)
    plugin = shown_plugin(query.name, status, overview)
    return PluginView(
        plugin=plugin,
        last_failed_call=_read_failed_call(visit, query.name) if plugin.can_resume else None,
        traceback=status.get("traceback") or "",
        problems=[
            f"{problem['key']}: {problem['message']}; {problem['fix']}"
            for problem in status.get("problems") or ()
        ],
        warnings=list(status.get("warnings") or ()),
        callbacks=list(_shown_callbacks(visit, query.name, details, overview)),
        settings=[
            OwnSetting(key=setting["key"], value=setting["value"] or "", source=setting["source"])
            for setting in details.get("settings") or ()
        ],
        store=[_store_value(key, store[key]) for key in list(store)[:MOST_STORE_VALUES]],
        store_size=len(store),
        inspected_at=utc_time(inspection.read_at),
        is_inspecting=inspection.is_running,
        problem=inspection.problem,
    )


def find_overview(visit: Visit, plugin_name: str) -> PluginOverview | None:
    """Return the progress of a plugin; None if it was never enabled."""
    settings = visit.site.settings
    enabled = frozenset(name for name, table in settings.plugins.items() if table.enabled)
    overview = read_overview(visit.site.state_folder, enabled)
    plugins = overview.plugins if overview else ()
    return next((plugin for plugin in plugins if plugin.name == plugin_name), None)


def _shown_callbacks(
    visit: Visit, plugin_name: str, details: Mapping[str, Any], overview: PluginOverview | None
) -> Iterator[ShownCallback]:
    """Yield the callbacks in call order, then those that only have figures left."""
    since = visit.now - _FIGURES_OF
    figures = _figures_of(visit, plugin_name, since) if overview is not None else {}
    letters = _count_letters(visit, plugin_name) if overview is not None else {}
    inspected = {callback["callback"]: callback for callback in details.get("callbacks") or ()}
    for callback_name in dict.fromkeys([*inspected, *figures, *letters]):
        callback = inspected.get(callback_name, {})
        call_figure = figures.get(callback_name)
        yield ShownCallback(
            name=callback_name,
            hook=callback.get("hook"),
            filter=callback.get("filter") or "",
            on_error=callback.get("on_error") or "",
            timeout_s=callback.get("timeout_s"),
            where=callback.get("where") or "",
            calls=call_figure.calls if call_figure else 0,
            failures=call_figure.failures if call_figure else 0,
            dead_letters=letters.get(callback_name, 0),
            median_s=call_figure.quantile(0.5) if call_figure and call_figure.calls else None,
            p99_s=call_figure.quantile(0.99) if call_figure and call_figure.calls else None,
        )


def _figures_of(visit: Visit, plugin_name: str, since: float) -> dict[str, CallFigure]:
    figures = read_call_figures(visit.site.state_folder, since)
    return {figure.callback: figure for figure in figures if figure.plugin == plugin_name}


def _count_letters(visit: Visit, plugin_name: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    with closing(open_state(visit.site.state_folder).letters()) as letters:
        for group in letters.groups(LetterChoice(plugin=plugin_name)):
            counts[group.callback] = counts.get(group.callback, 0) + group.letters
    return counts


def _read_failed_call(visit: Visit, plugin_name: str) -> FailedCall | None:
    """Return the newest failed call of a plugin that left no dead letter."""
    state = open_state(visit.site.state_folder)
    with closing(state.letters()) as letters:
        groups = letters.failure_groups(plugin_name)
    if not groups:
        return None
    with closing(state.past()) as past:
        failures = [
            recorded.failure
            for recorded in past.failures(groups[0].event_id)
            if recorded.failure.plugin == plugin_name and not recorded.dead
        ]
    return _failed_call(failures[-1]) if failures else None


def _failed_call(failure: Failure) -> FailedCall:
    return FailedCall(
        callback=failure.callback,
        event_id=failure.event_id,
        at=utc_time(failure.at),
        error=failure.error,
        traceback=failure.traceback,
    )


def _read_store(visit: Visit, plugin_name: str) -> dict[str, Any]:
    state = open_state(visit.site.state_folder)
    if not state.is_made():
        return {}
    with closing(state.reader()) as reader:
        return reader.store(plugin_name) if reader.is_ready else {}


def _store_value(key: str, stored_value: Any) -> StoreValue:
    value_text = msgspec.json.encode(stored_value).decode()
    left_out = len(value_text) - LONGEST_STORE_VALUE
    if left_out > 0:
        value_text = f"{value_text[:LONGEST_STORE_VALUE]}... ({left_out:,} more characters)"
    return StoreValue(key=key, value=value_text)


def read_callback_times(visit: Visit, query: CallbackTimesQuery) -> ChartView:
    """Read how long a callback took over time."""
    overview = find_overview(visit, query.name)
    if overview is None:
        raise PageMissing(f"There is no plugin {one_line(query.name[:100])}.")
    since = visit.now - span_seconds(query.span)
    timelines = read_callback_timeline(
        visit.site.state_folder, span_for(span_seconds(query.span)), since, visit.now, query.name
    )
    points = timelines.get(query.callback, [])
    return chart_of(
        [point.starts_at for point in points],
        median=[_milliseconds(point.p50) for point in points],
        p99=[_milliseconds(point.p99) for point in points],
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


PAGES: Final = (
    Page(
        path="plugin",
        title="Plugin",
        summary="Show one plugin: its state, callbacks with figures, settings and store.",
        template="plugin.html",
        view_type=PluginView,
        query_type=PluginQuery,
        read=read_plugin,
        in_navigation=False,
        tab="plugins",
        shared_for=2.0,
    ),
    Page(
        path="callback-times",
        title="Times of a callback",
        summary="Chart the durations of a callback over time, in milliseconds.",
        view_type=ChartView,
        query_type=CallbackTimesQuery,
        read=read_callback_times,
        in_navigation=False,
        shared_for=5.0,
    ),
)
