"""Puts lanes together: which plugins ride, where each goes on, what a dead process left behind."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from sgevents_core.dispatch import deaths, recovery
from sgevents_core.dispatch.alerting import Announcer, call_hook
from sgevents_core.dispatch.calls import key_of, rules_of
from sgevents_core.dispatch.context import CallContext, Services
from sgevents_core.dispatch.invoke import describe
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.last_words import left_behind
from sgevents_core.dispatch.late_start import LateStart, late_start_of
from sgevents_core.dispatch.own_thread import Hear, heard_by_nobody
from sgevents_core.dispatch.rider import failure_rules, rider_of
from sgevents_core.dispatch.store import Store
from sgevents_core.errors import StateDamaged, StateError
from sgevents_core.journal import register
from sgevents_core.journal.base import Place, PluginRecord, Step
from sgevents_core.journal.deaths import read_deaths
from sgevents_core.journal.sqlite import SqliteState
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.loading import Loaded, LoadedPlugin
from sgevents_core.plugins.process_state import told
from sgevents_core.plugins.watching import LoadingStopped, Turn, Watch, looked_after, watching
from sgevents_core.scripts import Scripts
from sgevents_core.settings import Ago, PluginSettings, Settings, Start
from sgevents_core.site.health import SiteHealth

logger = logging.getLogger("sgevents.dispatch")


class LaneStart(NamedTuple):
    """Where one lane goes on, and the calls its last process died in."""

    name: str
    place: Place
    doubts: Sequence[recovery.Doubt]


def services_of(
    settings: Settings,
    loaded: Loaded,
    state: SqliteState,
    kind: type[Services] = Services,
    *,
    health: SiteHealth | None = None,
) -> dict[str, Services]:
    """Return what the calls of each plugin share, by its name, in call order.

    Args:
        settings: The configuration.
        loaded: The plugins.
        state: Where their stores are.
        kind: The class of what is returned.
        health: What is known of the site; None where nobody follows it.
    """
    site_key = urlsplit(settings.site.url).netloc
    redact = Redactor.of(settings)
    return {
        plugin.name: kind(
            plugin,
            settings.site,
            settings.plugins[plugin.name],
            store=_store_of(plugin.name, state),
            site_key=site_key,
            redact=redact,
            health=health,
        )
        for plugin in loaded.plugins
    }


def _store_of(plugin: str, state: SqliteState) -> Store:
    """Return a plugin's store; one that is damaged keeps that plugin alone from starting."""
    try:
        return Store(plugin, state.store(plugin))
    except StateDamaged as error:
        return Store(plugin, {}, damage=f"its store is damaged: {error.reason}")


def recover(settings: Settings, loaded: Loaded, state: SqliteState) -> dict[str, LaneStart]:
    """Bring the ledger up to date with what registers say, and return where lanes go on.

    A plugin that does not ride its lane now (not enabled, or broken) keeps its own cursor, so that
    nothing is lost for it. What is returned is in the ledger already.
    """
    records = state.plugins()
    lanes = _lane_names(settings, loaded, records)
    starts = {name: _recover_lane(name, settings.state.path, state, records) for name in lanes}
    riding = {plugin.name: plugin.lane for plugin in loaded.plugins}
    for record in records.values():
        if riding.get(record.name) != record.lane and record.lane in starts:
            record.leave_lane(starts[record.lane].place)
        record.lane = riding.get(record.name, record.lane)
    for status in loaded.statuses:
        table = settings.plugins.get(status.name)
        if table is not None and table.enabled:
            lane = status.lane or next(iter(lanes))
            if status.name not in records:
                records[status.name] = _new_record(status.name, lane, table, state)
            record = records[status.name]
            _check_kept(record, table, state)
            if status.name in riding:
                _join(record, starts[record.lane].place)
    _keep(starts, records, settings.state.path, state)
    state.note_joined()
    return starts


def fold(folder: Path, state: SqliteState) -> None:
    """Bring the ledger up to date with what registers say; nothing is to run yet.

    What `recover` does first, for those who change the ledger and start no lane.
    """
    records = state.plugins()
    lanes = dict.fromkeys(record.lane for record in records.values())
    starts = {name: _recover_lane(name, folder, state, records) for name in lanes}
    _keep(starts, records, folder, state)


def _keep(
    starts: Mapping[str, LaneStart],
    records: Mapping[str, PluginRecord],
    folder: Path,
    state: SqliteState,
) -> None:
    """Write down where lanes and plugins are, and count the deaths; then registers may go."""
    words = left_behind(folder)
    for start in starts.values():
        mine = [record for record in records.values() if record.lane == start.name]
        died = deaths.counted(start.doubts, start.name, words, read_deaths(folder))
        step = Step(place=start.place, plugins=mine, doubts=_doubted(start, state), durable=True)
        step.deaths = died
        state.record(start.name, state.take_lane(start.name), step)
    for name in starts:  # not before all of it is in the ledger
        register.forget(register.path_of(folder, name))


def condemned(settings: Settings, loaded: Loaded, state: SqliteState) -> list[deaths.Condemned]:
    """Give up the calls in which the process died too often; those are returned."""
    rules = {
        key_of(callback): rules_of(callback, failure_rules(settings.plugins[plugin.name]))
        for plugin in loaded.plugins
        for callback in plugin.callbacks
    }
    redact = Redactor.of(settings)
    return deaths.condemn(read_deaths(settings.state.path), rules, state, redact)


def start_plugins(
    loaded: Loaded,
    services: Mapping[str, Services],
    state: SqliteState,
    watch: Watch | None = None,
) -> list[LoadedPlugin]:
    """Call the plugins' `startup`, and return those that may be handed events.

    Args:
        loaded: The plugins.
        services: What the calls of each share.
        state: Journal and ledger.
        watch: Looks after their code; by default nobody does.

    Raises:
        LoadingStopped: The daemon is to stop; those that had started are shut down.
    """
    ready: list[LoadedPlugin] = []
    for plugin in loaded.plugins:
        own = services[plugin.name]
        if own.store.damage:
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
            own.late_start = late_start_of(plugin, own, error, began)
            if own.late_start is not None:
                _wait_for_site(plugin, own.late_start, state)
                ready.append(plugin)
                continue
            _set_aside(plugin, state, describe(error, own.redact)[0])
            continue
        _forget_failed_start(plugin, state)
        _keep_store(plugin, context, state)
        ready.append(plugin)
    return ready


def _call_watched(
    context: CallContext, plugin: LoadedPlugin, services: Services, hook: str, watch: Watch | None
) -> BaseException | None:
    """Call `startup` or `shutdown` of a plugin as a step of loading it; return what it raised."""
    function = plugin.hooks.get(hook)
    if function is None:
        return None
    watched = {hook: lambda *args: looked_after(hook, lambda: function(*args))}
    with watching(watch or Watch(), plugin.turn or Turn(plugin.name, math.inf)) as changed:
        error = call_hook(context, services, watched, hook)
    for text in told(changed):
        extra = {"action": "plugin.put_back", "plugin": plugin.name}
        logger.warning("Plugin %s: in its %s, %s", plugin.name, hook, text, extra=extra)
    return error


def stop_plugins(
    plugins: Sequence[LoadedPlugin],
    services: Mapping[str, Services],
    state: SqliteState,
    watch: Watch | None = None,
) -> StateError | None:
    """Call the plugins' `shutdown`, and close what they have used.

    Args:
        plugins: The plugins.
        services: What the calls of each share.
        state: Journal and ledger.
        watch: Looks after their code; by default nobody does.

    Returns:
        Why changes of their stores could not be kept, None if they could.
    """
    failed = None
    for plugin in plugins:
        own = services[plugin.name]
        if own.late_start is not None:
            continue
        context = CallContext(own, None, "shutdown")
        if _call_watched(context, plugin, own, "shutdown", watch) is not None:
            continue
        try:
            _keep_store(plugin, context, state)
        except StateError as error:
            failed = error
    for own in services.values():
        own.close()
    return failed


def _forget_failed_start(plugin: LoadedPlugin, state: SqliteState) -> None:
    """Let a plugin be called that had not started and has started now."""
    record = state.plugins()[plugin.name]
    if record.state == "not started":
        record.resume()
        fence = state.take_lane(plugin.lane)
        state.record(plugin.lane, fence, Step(plugins=[record]))


def _wait_for_site(plugin: LoadedPlugin, late_start: LateStart, state: SqliteState) -> None:
    """Let a plugin keep its place that is to be started when the site answers."""
    record = state.plugins()[plugin.name]
    if record.state != "paused":
        late_start.hold(record)
    record.leave_lane(state.lane_place(plugin.lane) or Place(state.end()))
    fence = state.take_lane(plugin.lane)
    state.record(plugin.lane, fence, Step(plugins=[record], durable=True))


def _set_aside(plugin: LoadedPlugin, state: SqliteState, error: str) -> None:
    """Let a plugin whose startup failed keep its place, while its lane goes on without it."""
    record = state.plugins()[plugin.name]
    record.fail_to_start(error)
    record.leave_lane(state.lane_place(plugin.lane) or Place(state.end()))
    fence = state.take_lane(plugin.lane)
    state.record(plugin.lane, fence, Step(plugins=[record], durable=True))
    logger.error(
        "Plugin %s is broken: its startup failed. It is handed no events and loses none.",
        plugin.name,
        extra={"action": "plugin.broken", "plugin": plugin.name},
    )


def _keep_store(plugin: LoadedPlugin, context: CallContext, state: SqliteState) -> None:
    """Commit what a hook that is no event's has changed in the plugin's store."""
    store = context.end()
    changes = {} if store is None else store.changes()
    if store is not None and changes:
        fence = state.take_lane(plugin.lane)
        state.record(plugin.lane, fence, Step(store={plugin.name: changes}))
        store.committed()


def lanes_of(
    settings: Settings,
    plugins: Sequence[LoadedPlugin],
    services: Mapping[str, Services],
    open_state: Callable[[], SqliteState],
    announcer: Announcer,
    *,
    hear: Hear = heard_by_nobody,
    scripts: Scripts | None = None,
) -> list[Lane]:
    """Return the lanes, ready to run, each with its plugins in call order.

    `hear` is told which threads of plugins work for which lane, `scripts` knows what the scripts
    of the site are called.
    """
    lanes = []
    for name in dict.fromkeys(plugin.lane for plugin in plugins):
        state = open_state()
        records = state.plugins()
        place = state.lane_place(name) or Place(state.end())
        riders = [
            rider_of(plugin, records[plugin.name], services[plugin.name], settings, hear)
            for plugin in plugins
            if plugin.lane == name
        ]
        lane = Lane(
            name,
            riders,
            state=state,
            place=place,
            tried=state.tried(),
            folder=settings.state.path,
            announcer=announcer,
            scripts=scripts,
        )
        lanes.append(lane)
    return lanes


def _lane_names(
    settings: Settings, loaded: Loaded, records: Mapping[str, PluginRecord]
) -> list[str]:
    used = [status.lane for status in loaded.statuses if status.lane is not None]
    known = [record.lane for record in records.values()]
    return list(dict.fromkeys([*used, *known, *settings.lanes]))


def _recover_lane(
    name: str, folder: Path, state: SqliteState, records: Mapping[str, PluginRecord]
) -> LaneStart:
    place = state.lane_place(name)
    found = _left_behind(name, folder, state)
    if place is None:
        return LaneStart(name, Place(state.end()), ())
    mine = [record for record in records.values() if record.lane == name]
    doubts = recovery.doubts(found, place, mine, state.tried())
    for record in mine:
        recovery.catches_up(record, found.apart)
    return LaneStart(name, recovery.goes_on(place, found.lane), doubts)


def _left_behind(name: str, folder: Path, state: SqliteState) -> register.Found:
    """Return what the lane's register says, if it speaks of this journal: it may be restored."""
    found = register.read(register.path_of(folder, name))
    end = state.end()
    if any(word is not None and word.seq > end for word in (found.lane, found.apart)):
        text = "The register of lane %s is ahead of the journal, and left aside"
        logger.warning(text, name, extra={"action": "lane.register_ahead", "lane": name})
        return register.NOTHING
    return found


def _doubted(start: LaneStart, state: SqliteState) -> list[tuple[str, str, int, int]]:
    """Count an attempt for each call the process died in, so that `ctx.attempt` tells of it."""
    tried = state.tried()
    counted = []
    for doubt in start.doubts:
        plugin, callback = doubt.callback
        attempts = tried.get((doubt.callback, doubt.seq), 0) + 1
        counted.append((plugin, callback, doubt.seq, attempts))
        logger.warning(
            "The process died in %s of plugin %s; it is called again",
            callback,
            plugin,
            extra={"action": "callback.in_doubt", "plugin": plugin, "callback": callback},
        )
    return counted


def _join(record: PluginRecord, place: Place) -> None:
    """Let a plugin that is exactly where its lane is go with it."""
    if record.state in {"active", "not started"} and record.is_level_with(place):
        record.rejoin_lane()


def _new_record(name: str, lane: str, table: PluginSettings, state: SqliteState) -> PluginRecord:
    return PluginRecord(name, lane, cursor=_start(table.start, state), apart=True)


def _start(start: Start | None, state: SqliteState) -> int:
    """Return the cursor from which a plugin starts that has none: the journal's end by default."""
    if isinstance(start, Ago):
        return state.seq_before("created_at", int(time.time() - start.seconds))
    if isinstance(start, datetime):
        return state.seq_before("created_at", int(start.timestamp()))
    if isinstance(start, int):
        return state.seq_before("event_id", start)
    return state.end()


def _check_kept(record: PluginRecord, table: PluginSettings, state: SqliteState) -> None:
    """A plugin whose events are no longer kept starts where its config says, or is paused."""
    lowest = state.lowest()
    if not record.apart or record.cursor >= lowest - 1:
        return
    if table.start is None:
        record.pause(
            "the events behind its cursor are no longer kept; say where it goes on with"
            f' start = "now" (or an id, a date, a duration) in [plugins.{record.name}]'
        )
        return
    record.finish(max(_start(table.start, state), lowest - 1))
    record.resume_afresh()
