"""Carrying out recovery: the ledger is brought up to date with what a dead process left behind."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from sgevents_core.choices import OrderBy
from sgevents_core.crashes import giving_up as deaths
from sgevents_core.crashes import recovery
from sgevents_core.crashes.evidence import left_behind
from sgevents_core.dispatch.caller import key_of, rules_of
from sgevents_core.dispatch.lane_plugin import failure_rules
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.loading import Loaded
from sgevents_core.settings import Ago, PluginSettings, Settings, Start
from sgevents_core.state import register
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import LaneWriter, RecordedLane
from sgevents_core.state.steps import Step
from sgevents_core.state.strand_places import StrandPlaces

logger = logging.getLogger("sgevents.dispatch")


class LaneStart(NamedTuple):
    """The progress of one lane, and the calls that were running when its last process died.

    Args:
        name: The lane's name.
        progress: Its progress; of a divided lane, the lowest place.
        doubts: The calls that were running.
        places: The places of its strands; None if it is not divided.
    """

    name: str
    progress: Progress
    doubts: Sequence[recovery.Doubt]
    places: StrandPlaces | None = None

    def part_with(self, record: PluginRecord) -> None:
        """Separate a plugin from the lane; do nothing if it is separate already."""
        if self.places is None:
            record.leave_lane(self.progress)
        else:
            record.leave_strands(self.places)

    def divided_by(self, order_by: OrderBy | None) -> LaneStart:
        """Return where the lane continues if its events are divided in another way from now on.

        It begins where nothing was begun; its plugins have to finish the events before that.
        """
        if self.places is None and order_by is not None:
            return self._replace(places=StrandPlaces.at(order_by, self.progress))
        if self.places is None or self.places.order_by == order_by:
            return self
        progress = Progress(self.places.highest)
        places = None if order_by is None else StrandPlaces.at(order_by, progress)
        return self._replace(progress=progress, places=places)


def recover(settings: Settings, loaded: Loaded, state: LaneWriter) -> dict[str, LaneStart]:
    """Bring the ledger up to date with the registers, and return where lanes continue.

    A plugin that is not in its lane now (not enabled, or broken) keeps its own cursor, so that it
    loses nothing. What is returned is already in the ledger.
    """
    records = state.plugins()
    lanes = _lane_names(settings, loaded, records)
    starts = {name: _recover_lane(name, settings.state.path, state, records) for name in lanes}
    riding = {plugin.name: plugin.lane for plugin in loaded.plugins}
    for record in records.values():
        start = starts.get(record.lane)
        if start is not None and _parts(record, start, riding, settings):
            start.part_with(record)
        record.lane = riding.get(record.name, record.lane)
    starts = {n: start.divided_by(_order_of(n, settings)) for n, start in starts.items()}
    for status in loaded.statuses:
        table = settings.plugins.get(status.name)
        if table is not None and table.enabled:
            lane = status.lane or next(iter(lanes))
            if status.name not in records:
                records[status.name] = _new_record(status.name, lane, table, state)
            record = records[status.name]
            _check_kept(record, table, state)
            if status.name in riding:
                _join(record, starts[record.lane])
    _keep(starts, records, settings.state.path, state)
    state.record_first_cursors()
    return starts


def fold(folder: Path, state: LaneWriter) -> None:
    """Bring the ledger up to date with the registers; no lane may run yet.

    This is the first part of `recover`, for commands that change the ledger and start no lane.
    """
    records = state.plugins()
    lanes = dict.fromkeys(record.lane for record in records.values())
    starts = {name: _recover_lane(name, folder, state, records) for name in lanes}
    _keep(starts, records, folder, state)


def _keep(
    starts: Mapping[str, LaneStart],
    records: Mapping[str, PluginRecord],
    folder: Path,
    state: LaneWriter,
) -> None:
    """Record where lanes and plugins are, and count the deaths; then remove the registers."""
    words = left_behind(folder)
    for start in starts.values():
        mine = [record for record in records.values() if record.lane == start.name]
        died = deaths.counted(start.doubts, start.name, words, state.deaths())
        step = Step(deaths=died, durable=True)
        step.whole = [record.name for record in mine]
        step.plugins = [*mine, *(strand for one in mine for strand in one.strands.values())]
        step.doubts = _doubted(start, state)
        fence = state.take_lane(start.name)
        if start.places is not None:
            step.places = start.places
        else:
            step.progress = start.progress
            step.undivided = state.lane_places(start.name) is not None
        state.record(start.name, fence, step)
    for name in starts:  # only once everything is in the ledger
        register.forget(register.path_of(folder, name))


def condemned(settings: Settings, loaded: Loaded, state: LaneWriter) -> list[deaths.Condemned]:
    """Give up the calls in which the process died too often, and return them."""
    rules = {
        key_of(callback): rules_of(callback, failure_rules(settings.plugins[plugin.name]))
        for plugin in loaded.plugins
        for callback in plugin.callbacks
    }
    redact = Redactor.of(settings)
    return deaths.condemn(state.deaths(), rules, state, redact)


def _lane_names(
    settings: Settings, loaded: Loaded, records: Mapping[str, PluginRecord]
) -> list[str]:
    used = [status.lane for status in loaded.statuses if status.lane is not None]
    known = [record.lane for record in records.values()]
    return list(dict.fromkeys([*used, *known, *settings.lanes]))


def _recover_lane(
    name: str, folder: Path, state: LaneWriter, records: Mapping[str, PluginRecord]
) -> LaneStart:
    progress = state.lane_progress(name)
    noted = _left_behind(name, folder, state)
    if progress is None:
        return LaneStart(name, Progress(state.end()), ())
    mine = [record for record in records.values() if record.lane == name]
    recorded = RecordedLane(progress, state.lane_places(name), mine)
    doubts = recovery.doubts(noted, recorded, state.attempts())
    recovery.move_plugins(noted, mine)
    if recorded.places is not None:
        places = recovery.places_go_on(recorded.places, noted)
        return LaneStart(name, Progress(places.lowest), doubts, places)
    if noted.order_by is None:
        progress = recovery.goes_on(progress, noted.of().lane)
    return LaneStart(name, progress, doubts)


def _order_of(lane: str, settings: Settings) -> OrderBy | None:
    """Return what the config divides a lane by; None for nothing."""
    table = settings.lanes.get(lane)
    return None if table is None else table.order_by


def _parts(
    record: PluginRecord, start: LaneStart, riding: Mapping[str, str], settings: Settings
) -> bool:
    """Return whether a plugin must be separated from the lane that it was in.

    It is in another now, or in none; or events that it has not finished were divided in another way
    than those that come now.
    """
    if riding.get(record.name) != record.lane:
        return True
    places = start.places
    return places is not None and places.order_by != _order_of(start.name, settings)


def _left_behind(name: str, folder: Path, state: LaneWriter) -> register.NotedLane:
    """Return the content of a lane's register if it fits this journal, maybe a restored one."""
    noted = register.read(register.path_of(folder, name))
    if noted.highest > state.end():
        text = "The register of lane %s is ahead of the journal, and left aside"
        logger.warning(text, name, extra={"action": "lane.register_ahead", "lane": name})
        return register.NotedLane(noted.order_by, {})
    return noted


def _doubted(start: LaneStart, state: LaneWriter) -> list[tuple[str, str, int, int]]:
    """Count an attempt for each call in which the process died, so that `ctx.attempt` shows it."""
    tried = state.attempts()
    counted = []
    for doubt in start.doubts:
        plugin, callback = doubt.key
        attempts = tried.get((doubt.key, doubt.seq), 0) + 1
        counted.append((plugin, callback, doubt.seq, attempts))
        logger.warning(
            "The process died in %s of plugin %s; it is called again",
            callback,
            plugin,
            extra={"action": "callback.in_doubt", "plugin": plugin, "callback": callback},
        )
    return counted


def _join(record: PluginRecord, lane: LaneStart) -> None:
    """Let a plugin that is level with its lane rejoin it."""
    if record.state not in {"active", "not started"} or record.above is not None:
        return
    is_level = lane.places is None or lane.places.is_level
    if record.apart and is_level and record.is_level_with(lane.progress):
        record.rejoin_lane()


def _new_record(name: str, lane: str, table: PluginSettings, state: LaneWriter) -> PluginRecord:
    return PluginRecord(name, lane, Progress(_start(table.start, state)), apart=True)


def _start(start: Start | None, state: LaneWriter) -> int:
    """Return the cursor for a plugin that has none: the journal's end by default."""
    if isinstance(start, Ago):
        return state.seq_before_time(int(time.time() - start.seconds))
    if isinstance(start, datetime):
        return state.seq_before_time(int(start.timestamp()))
    if isinstance(start, int):
        return state.seq_before_event(start)
    return state.end()


def _check_kept(record: PluginRecord, table: PluginSettings, state: LaneWriter) -> None:
    """Restart or pause, as its config says, a plugin whose events are no longer kept."""
    lowest = Progress.at(state.lowest())
    if not record.apart or record.cursor >= lowest.finished:
        return
    if table.start is None:
        record.pause(
            "the events behind its cursor are no longer kept; say where it continues with"
            f' start = "now" (or an id, a date, a duration) in [plugins.{record.name}]'
        )
        return
    record.skip_to(Progress(_start(table.start, state)).joined(lowest))
    record.resume_afresh()
