"""Starting plugins and shutting them down, and committing what their hooks changed."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence

from sgevents_core.calling.context import CallContext, Services
from sgevents_core.calling.describing import describe_error
from sgevents_core.calling.store import recorded_changes
from sgevents_core.dispatch.alerting import call_hook
from sgevents_core.dispatch.late_start import LateStart, late_start_of
from sgevents_core.errors import StateError
from sgevents_core.plugins.load_watching import (
    LoadingStopped,
    LoadingTurn,
    PluginWatch,
    run_watched,
    watch_loading,
)
from sgevents_core.plugins.loading import Loaded, LoadedPlugin
from sgevents_core.plugins.process_state import change_warnings
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import LaneWriter
from sgevents_core.state.steps import Step

logger = logging.getLogger("sgevents.dispatch")


def start_plugins(
    loaded: Loaded,
    services: Mapping[str, Services],
    state: LaneWriter,
    watch: PluginWatch | None = None,
) -> list[LoadedPlugin]:
    """Call the plugins' `startup`, and return the plugins that may get events.

    Args:
        loaded: The plugins.
        services: What each plugin's calls share.
        state: The journal and the ledger.
        watch: Watches the plugins' code; by default it is not watched.

    Raises:
        LoadingStopped: The daemon must stop; plugins that had started are shut down.
    """
    ready: list[LoadedPlugin] = []
    for plugin in loaded.plugins:
        own = services[plugin.name]
        if own.store.damage is not None:
            _set_aside(plugin, state, own.store.damage)
            continue
        context = CallContext(own, None, "startup")
        began = time.monotonic()
        error = _call_watched(context, plugin, own, "startup", watch)
        if isinstance(error, LoadingStopped):
            stop_plugins(ready, services, state)
            raise error
        if error is not None:
            context.end()
            context.release_store()
            own.late_start = late_start_of(plugin, own, error, began)
            if own.late_start is not None:
                _wait_for_site(plugin, own.late_start, state)
                ready.append(plugin)
                continue
            _set_aside(plugin, state, describe_error(error, own.redact)[0])
            continue
        _forget_failed_start(plugin, state)
        _keep_store(plugin, own, context, state)
        ready.append(plugin)
    return ready


def _call_watched(
    context: CallContext,
    plugin: LoadedPlugin,
    services: Services,
    hook: str,
    watch: PluginWatch | None,
) -> BaseException | None:
    """Call a plugin's `startup` or `shutdown` as a watched step; return what it raised."""
    function = plugin.hooks.get(hook)
    if function is None:
        return None
    watched = {hook: lambda *args: run_watched(hook, lambda: function(*args))}
    with watch_loading(
        watch or PluginWatch(), plugin.turn or LoadingTurn(plugin.name, math.inf)
    ) as changed:
        error = call_hook(context, services, watched, hook)
    for text in change_warnings(changed):
        extra = {"action": "plugin.put_back", "plugin": plugin.name}
        logger.warning("Plugin %s: in its %s, %s", plugin.name, hook, text, extra=extra)
    return error


def stop_plugins(
    plugins: Sequence[LoadedPlugin],
    services: Mapping[str, Services],
    state: LaneWriter,
    watch: PluginWatch | None = None,
) -> StateError | None:
    """Call the plugins' `shutdown`, and close their connections.

    Args:
        plugins: The plugins.
        services: What each plugin's calls share.
        state: The journal and the ledger.
        watch: Watches the plugins' code; by default it is not watched.

    Returns:
        Why changes to their stores could not be committed; None if they were.
    """
    failed = None
    for plugin in plugins:
        own = services[plugin.name]
        if own.late_start is not None:
            continue
        context = CallContext(own, None, "shutdown")
        if _call_watched(context, plugin, own, "shutdown", watch) is not None:
            context.end()
            context.release_store()
            continue
        try:
            _keep_store(plugin, own, context, state)
        except StateError as error:
            failed = error
    for own in services.values():
        own.close()
    return failed


def _forget_failed_start(plugin: LoadedPlugin, state: LaneWriter) -> None:
    """Make a plugin active that had not started before and has started now."""
    record = state.plugins()[plugin.name]
    if record.state == "not started":
        record.resume()
        fence = state.take_lane(plugin.lane)
        state.record(plugin.lane, fence, Step(plugins=[record]))


def _leave_lane(record: PluginRecord, state: LaneWriter) -> None:
    """Separate a plugin from its lane, which does not run yet, where the lane is."""
    places = state.lane_places(record.lane)
    if places is None:
        record.leave_lane(state.lane_progress(record.lane) or Progress(state.end()))
    else:
        record.leave_strands(places)


def _wait_for_site(plugin: LoadedPlugin, late_start: LateStart, state: LaneWriter) -> None:
    """Keep the position of a plugin that will start once the site answers."""
    record = state.plugins()[plugin.name]
    if record.state != "paused":
        late_start.hold(record)
    _leave_lane(record, state)
    fence = state.take_lane(plugin.lane)
    state.record(plugin.lane, fence, Step(plugins=[record], durable=True))


def _set_aside(plugin: LoadedPlugin, state: LaneWriter, error: str) -> None:
    """Keep the position of a plugin whose `startup` failed, while its lane continues without it."""
    record = state.plugins()[plugin.name]
    record.fail_to_start(error)
    _leave_lane(record, state)
    fence = state.take_lane(plugin.lane)
    state.record(plugin.lane, fence, Step(plugins=[record], durable=True))
    logger.error(
        "Plugin %s is broken: its startup failed. It is handed no events and loses none.",
        plugin.name,
        extra={"action": "plugin.broken", "plugin": plugin.name},
    )


def _keep_store(
    plugin: LoadedPlugin, services: Services, context: CallContext, state: LaneWriter
) -> None:
    """Commit what a hook that is not an event hook changed in the plugin's store."""
    changes = context.end()
    if changes:
        fence = state.take_lane(plugin.lane)
        state.record(plugin.lane, fence, Step(store={plugin.name: recorded_changes(changes)}))
        services.store.commit(changes)
    context.release_store()
