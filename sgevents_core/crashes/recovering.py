"""Carrying out recovery: the ledger is brought up to date with what a dead process left behind."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

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
from sgevents_core.state.protocols import LaneWriter
from sgevents_core.state.steps import Step

logger = logging.getLogger("sgevents.dispatch")


class LaneStart(NamedTuple):
    """The progress of one lane, and the calls that were running when its last process died."""

    name: str
    progress: Progress
    doubts: Sequence[recovery.Doubt]


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
        if riding.get(record.name) != record.lane and record.lane in starts:
            record.leave_lane(starts[record.lane].progress)
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
                _join(record, starts[record.lane].progress)
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
        step = Step(progress=start.progress, plugins=[*mine], deaths=died, durable=True)
        step.doubts = _doubted(start, state)
        state.record(start.name, state.take_lane(start.name), step)
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
    doubts = recovery.doubts(noted, progress, mine, state.attempts())
    for record in mine:
        recovery.catches_up(record, noted.apart)
    return LaneStart(name, recovery.goes_on(progress, noted.lane), doubts)


def _left_behind(name: str, folder: Path, state: LaneWriter) -> register.Noted:
    """Return the content of a lane's register if it fits this journal, maybe a restored one."""
    noted = register.read(register.path_of(folder, name))
    if noted.highest > state.end():
        text = "The register of lane %s is ahead of the journal, and left aside"
        logger.warning(text, name, extra={"action": "lane.register_ahead", "lane": name})
        return register.NOTHING
    return noted.of()


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


def _join(record: PluginRecord, lane: Progress) -> None:
    """Let a plugin that is level with its lane rejoin it."""
    if record.state in {"active", "not started"} and record.is_level_with(lane):
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
