"""Start plugins and shut them down, and commit the changes of their hooks."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence

from sgevents_core.calling.context import CallContext, Services
from sgevents_core.calling.describing import describe_error
from sgevents_core.calling.late_start import LateStart
from sgevents_core.calling.store import recorded_changes
from sgevents_core.dispatch.alerting import call_hook
from sgevents_core.dispatch.late_start import late_start_of
from sgevents_core.errors import SgEventsError, StaleWriter, StateError
from sgevents_core.plugins.load_watching import (
    LoadingStopped,
    LoadingTurn,
    PluginWatch,
    run_watched,
    watch_loading,
)
from sgevents_core.plugins.loading import Loaded, LoadedPlugin
from sgevents_core.plugins.process_state import change_warnings
from sgevents_core.state.held_lane import HeldLane
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import LaneWriter
from sgevents_core.state.steps import Step

logger = logging.getLogger("sgevents.dispatch")


def start_plugins(
    loaded_plugins: Loaded,
    services: Mapping[str, Services],
    held_lanes: Mapping[str, HeldLane],
    watch: PluginWatch | None = None,
) -> list[LoadedPlugin]:
    """Call the plugins' `startup`, and return the plugins that may get events.

    Args:
        loaded_plugins: The plugins.
        services: The services of each plugin's calls.
        held_lanes: The lanes of these plugins, by name.
        watch: Watches the plugins' code; by default it is not watched.

    Raises:
        LoadingStopped: The daemon must stop; plugins that had started are shut down.
    """
    ready_plugins: list[LoadedPlugin] = []
    for plugin in loaded_plugins.plugins:
        plugin_services, held_lane = services[plugin.name], held_lanes[plugin.lane]
        if plugin_services.store.damage is not None:
            _record_failed_start(plugin, held_lane, plugin_services.store.damage)
            continue
        context = CallContext(plugin_services, None, "startup")
        began_at = time.monotonic()
        startup_error = _call_watched(context, plugin, plugin_services, "startup", watch)
        if isinstance(startup_error, LoadingStopped):
            stop_plugins(ready_plugins, services, held_lanes)
            raise startup_error
        if startup_error is not None:
            context.end()
            context.release_store()
            plugin_services.late_start = late_start_of(plugin_services, startup_error, began_at)
            if plugin_services.late_start is not None:
                _wait_for_site(plugin, plugin_services.late_start, held_lane)
                ready_plugins.append(plugin)
                continue
            _record_failed_start(
                plugin, held_lane, describe_error(startup_error, plugin_services.redact)[0]
            )
            continue
        _forget_failed_start(plugin, held_lane)
        _commit_store(plugin, plugin_services, context, held_lane)
        ready_plugins.append(plugin)
    return ready_plugins


def _call_watched(
    context: CallContext,
    plugin: LoadedPlugin,
    services: Services,
    hook_name: str,
    watch: PluginWatch | None,
) -> BaseException | None:
    """Call a plugin's `startup` or `shutdown` as a watched step; return what it raised."""
    hook_function = plugin.hooks.get(hook_name)
    if hook_function is None:
        return None
    watched_hook = {hook_name: lambda *args: run_watched(hook_name, lambda: hook_function(*args))}
    with watch_loading(
        watch or PluginWatch(), plugin.turn or LoadingTurn(plugin.name, math.inf)
    ) as changed_state:
        hook_error = call_hook(context, services, watched_hook, hook_name)
    for warning_text in change_warnings(changed_state):
        extra = {"action": "plugin.put_back", "plugin": plugin.name}
        logger.warning(
            "Plugin %s: in its %s, %s", plugin.name, hook_name, warning_text, extra=extra
        )
    return hook_error


def stop_plugins(
    plugins: Sequence[LoadedPlugin],
    services: Mapping[str, Services],
    held_lanes: Mapping[str, HeldLane],
    watch: PluginWatch | None = None,
) -> SgEventsError | None:
    """Call the plugins' `shutdown`, and close their connections.

    Args:
        plugins: The plugins.
        services: The services of each plugin's calls.
        held_lanes: The lanes of these plugins, by name.
        watch: Watches the plugins' code; by default it is not watched.

    Returns:
        Why changes to their stores could not be committed; None if they were.
    """
    commit_error: SgEventsError | None = None
    for plugin in plugins:
        plugin_services = services[plugin.name]
        if plugin_services.late_start is not None:
            continue
        context = CallContext(plugin_services, None, "shutdown")
        if _call_watched(context, plugin, plugin_services, "shutdown", watch) is not None:
            context.end()
            context.release_store()
            continue
        try:
            _commit_store(plugin, plugin_services, context, held_lanes[plugin.lane])
        except (StateError, StaleWriter) as error:
            commit_error = error
    for plugin_services in services.values():
        plugin_services.close()
    return commit_error


def _forget_failed_start(plugin: LoadedPlugin, held_lane: HeldLane) -> None:
    """Make a plugin active that had not started before and has started now."""
    plugin_record = held_lane.writer.plugins()[plugin.name]
    if plugin_record.state == "not started":
        plugin_record.resume()
        held_lane.record(Step(plugins=[plugin_record]))


def _leave_lane(plugin_record: PluginRecord, state_writer: LaneWriter) -> None:
    """Separate a plugin from its lane, which does not run yet, at the lane's position."""
    strand_places = state_writer.lane_places(plugin_record.lane)
    if strand_places is None:
        plugin_record.leave_lane(
            state_writer.lane_progress(plugin_record.lane) or Progress(state_writer.end())
        )
    else:
        plugin_record.leave_strands(strand_places)


def _wait_for_site(plugin: LoadedPlugin, late_start: LateStart, held_lane: HeldLane) -> None:
    """Keep the position of a plugin that will start once the site answers."""
    plugin_record = held_lane.writer.plugins()[plugin.name]
    if plugin_record.state != "paused":
        late_start.hold(plugin_record)
    _leave_lane(plugin_record, held_lane.writer)
    held_lane.record(Step(plugins=[plugin_record], durable=True))


def _record_failed_start(plugin: LoadedPlugin, held_lane: HeldLane, error_line: str) -> None:
    """Keep the position of a plugin whose `startup` failed, while its lane continues without it."""
    plugin_record = held_lane.writer.plugins()[plugin.name]
    plugin_record.fail_to_start(error_line)
    _leave_lane(plugin_record, held_lane.writer)
    held_lane.record(Step(plugins=[plugin_record], durable=True))
    logger.error(
        "Plugin %s is broken: its startup failed. It is handed no events and loses none.",
        plugin.name,
        extra={"action": "plugin.broken", "plugin": plugin.name},
    )


def _commit_store(
    plugin: LoadedPlugin, services: Services, context: CallContext, held_lane: HeldLane
) -> None:
    """Commit the changes that a hook made to the plugin's store, if it is not an event hook."""
    store_changes = context.end()
    if store_changes:
        held_lane.record(Step(store={plugin.name: recorded_changes(store_changes)}))
        services.store.commit(store_changes)
    context.release_store()
