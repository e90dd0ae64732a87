"""Puts lanes together: which plugins ride, where each goes on, what a dead process left behind."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from sgevents_core.dispatch import recovery
from sgevents_core.dispatch.alerting import Announcer, call_hook
from sgevents_core.dispatch.context import Services
from sgevents_core.dispatch.lane import Lane, register_path
from sgevents_core.dispatch.policy import FailureRules
from sgevents_core.dispatch.rider import Rider
from sgevents_core.dispatch.store import Store
from sgevents_core.journal import register
from sgevents_core.journal.base import Place, PluginRecord, Step
from sgevents_core.journal.sqlite import SqliteState
from sgevents_core.plugins.loading import Loaded, LoadedPlugin
from sgevents_core.settings import Ago, PluginSettings, Settings, Start

logger = logging.getLogger("sgevents.dispatch")

LONGEST_HOLD: Final = 86_400.0
"""Most seconds a hold can still last at a start: the host's clock may have jumped."""


class LaneStart(NamedTuple):
    """Where one lane goes on, and the calls its last process died in."""

    name: str
    place: Place
    doubts: Sequence[recovery.Doubt]


def services_of(settings: Settings, loaded: Loaded, state: SqliteState) -> dict[str, Services]:
    """Return what the calls of each plugin share, by its name, in call order."""
    feed = state.load_feed()
    era = feed.state.era if feed else 1
    site_key = f"{urlsplit(settings.site.url).netloc}:{era}"
    return {
        plugin.name: Services(
            plugin,
            settings.site,
            settings.plugins[plugin.name],
            Store(plugin.name, partial(state.store, plugin.name)),
            site_key,
        )
        for plugin in loaded.plugins
    }


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
            recovery.detach(record, starts[record.lane].place)
        record.lane = riding.get(record.name, record.lane)
    for status in loaded.statuses:
        table = settings.plugins.get(status.name)
        if table is not None and table.enabled:
            lane = status.lane or next(iter(lanes))
            record = records.setdefault(status.name, _new_record(status.name, lane, table, state))
            _check_kept(record, table, state)
            _join(record, starts[record.lane].place)
    for start in starts.values():
        mine = [record for record in records.values() if record.lane == start.name]
        fence = state.take_lane(start.name)
        step = Step(place=start.place, plugins=mine, doubts=_doubted(start, state), durable=True)
        state.record(start.name, fence, step)
    return starts


def start_plugins(
    loaded: Loaded, services: Mapping[str, Services], state: SqliteState
) -> list[LoadedPlugin]:
    """Call the plugins' `startup`, and return those that may be handed events."""
    ready = []
    for plugin in loaded.plugins:
        own = services[plugin.name]
        if call_hook(own, plugin.hooks, "startup") is not None:
            own.store.rollback()
            logger.error(
                "Plugin %s is broken: its startup failed. It is handed no events and loses none.",
                plugin.name,
                extra={"action": "plugin.broken", "plugin": plugin.name},
            )
            continue
        keep_store(plugin, own, state)
        ready.append(plugin)
    return ready


def keep_store(plugin: LoadedPlugin, services: Services, state: SqliteState) -> None:
    """Commit what a hook that is no event's has changed in the plugin's store."""
    changes = services.store.changes()
    if changes:
        fence = state.take_lane(plugin.lane)
        state.record(plugin.lane, fence, Step(store={plugin.name: changes}))
        services.store.committed()


def lanes_of(
    settings: Settings,
    plugins: Sequence[LoadedPlugin],
    services: Mapping[str, Services],
    open_state: Callable[[], SqliteState],
    announcer: Announcer,
) -> list[Lane]:
    """Return the lanes, ready to run, each with its plugins in call order."""
    lanes = []
    for name in dict.fromkeys(plugin.lane for plugin in plugins):
        state = open_state()
        records = state.plugins()
        place = state.lane_place(name) or Place(state.end())
        riders = [
            _rider(plugin, records[plugin.name], services, settings.plugins[plugin.name])
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
        )
        lanes.append(lane)
    return lanes


def _rider(
    plugin: LoadedPlugin,
    record: PluginRecord,
    services: Mapping[str, Services],
    table: PluginSettings,
) -> Rider:
    rules = FailureRules(table.on_error, table.max_attempts, table.pause_after)
    rider = Rider(plugin, record, services[plugin.name], rules)
    if record.state == "held":
        left = min(max(record.retry_at - time.time(), 0.0), LONGEST_HOLD)
        rider.hold_until = time.monotonic() + left
    return rider


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
    if place is None:
        return LaneStart(name, Place(state.end()), ())
    found = register.read(register_path(folder, name))
    mine = [record for record in records.values() if record.lane == name]
    doubts = recovery.doubts(found, place, mine)
    for record in mine:
        recovery.catches_up(record, found.apart)
    return LaneStart(name, recovery.goes_on(place, found.lane), doubts)


def _doubted(start: LaneStart, state: SqliteState) -> list[tuple[str, str, int, int]]:
    """Count an attempt for each call the process died in, so that `ctx.attempt` tells of it."""
    tried = state.tried()
    counted = []
    for doubt in start.doubts:
        plugin, _, callback = doubt.callback.partition("\0")
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
    at_place = place.done is None and record.cursor == place.seq and not record.done
    if record.apart and record.state == "active" and at_place:
        record.apart = False


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
    if not record.apart or record.cursor >= state.lowest() - 1:
        return
    if table.start is not None:
        record.cursor, record.done = (
            max(_start(table.start, state), state.lowest() - 1),
            frozenset(),
        )
        return
    record.state = "paused"
    record.reason = (
        "the events behind its cursor are no longer kept; say where it goes on with"
        f' start = "now" (or an id, a date, a duration) in [plugins.{record.name}]'
    )
