"""Carry out recovery: update the ledger from the registers that a dead process left behind."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from sgevents_core.choices import OrderBy
from sgevents_core.crashes import giving_up as deaths
from sgevents_core.crashes import recovery
from sgevents_core.crashes.evidence import read_death_evidence
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
        lane_name: The lane's name.
        progress: Its progress; of a divided lane, the lowest place.
        doubtful_calls: The calls that were running.
        strand_places: The places of its strands; None if it is not divided.
    """

    lane_name: str
    progress: Progress
    doubtful_calls: Sequence[recovery.DoubtfulCall]
    strand_places: StrandPlaces | None = None

    def separate_plugin(self, record: PluginRecord) -> None:
        """Separate a plugin from the lane; do nothing if it is separate already."""
        if self.strand_places is None:
            record.leave_lane(self.progress)
        else:
            record.leave_strands(self.strand_places)

    def divide_events(self, order_by: OrderBy | None) -> LaneStart:
        """Return where the lane continues if its events are divided differently from now on.

        It continues after every event begun so far; its plugins first finish those events.
        """
        if self.strand_places is None and order_by is not None:
            return self._replace(strand_places=StrandPlaces.at(order_by, self.progress))
        if self.strand_places is None or self.strand_places.order_by == order_by:
            return self
        highest_place = Progress(self.strand_places.highest)
        strand_places = None if order_by is None else StrandPlaces.at(order_by, highest_place)
        return self._replace(progress=highest_place, strand_places=strand_places)


def recover(
    settings: Settings, loaded: Loaded, state: LaneWriter, *, only_lane: str | None = None
) -> dict[str, LaneStart]:
    """Bring the ledger up to date with the registers, and return where lanes continue.

    A plugin that is not in its lane now (not enabled, or broken) keeps its own cursor, so that it
    loses nothing. The returned values are already in the ledger.

    Args:
        settings: The configuration.
        loaded: The plugins.
        state: The state.
        only_lane: The only lane that does not run, and whose plugins are in `loaded`; None if no
            lane runs.
    """
    records = state.plugins()
    lane_names = _collect_lane_names(settings, loaded, records)
    if only_lane is not None:
        lane_names = [only_lane]
    starts = {lane_name: _recover_lane(lane_name, state, records) for lane_name in lane_names}
    lane_by_plugin = {plugin.name: plugin.lane for plugin in loaded.plugins}
    for record in records.values():
        start = starts.get(record.lane)
        if start is not None and _must_separate(record, start, lane_by_plugin, settings):
            start.separate_plugin(record)
        record.lane = lane_by_plugin.get(record.name, record.lane)
    starts = {
        lane_name: start.divide_events(_configured_order(lane_name, settings))
        for lane_name, start in starts.items()
    }
    for status in loaded.statuses:
        table = settings.plugins.get(status.name)
        if table is not None and table.enabled:
            lane_name = status.lane or next(iter(lane_names))
            if status.name not in records:
                records[status.name] = _create_record(status.name, lane_name, table, state)
            record = records[status.name]
            _check_retention(record, table, state)
            if status.name in lane_by_plugin:
                _rejoin_lane(record, starts[record.lane])
    _record_starts(starts, records, settings.state.path, state)
    state.record_first_cursors()
    return starts


def resume_changed(plugins: Collection[str], lane_name: str, state: LaneWriter) -> None:
    """Resume plugins of a lane that does not run, because their code has changed.

    One that a person has paused stays paused: no call of it waits to be repeated.
    """
    failing = {key.plugin for key, _ in state.attempts()}
    records = state.plugins()
    resumed = [
        records[name]
        for name in plugins
        if name in records
        and (records[name].state == "held" or (records[name].state == "paused" and name in failing))
    ]
    for record in resumed:
        record.resume_afresh()
    if resumed:
        fence = state.take_lane(lane_name)
        state.record(lane_name, fence, Step(plugins=resumed, durable=True))


def fold_registers(folder: Path, state: LaneWriter) -> None:
    """Bring the ledger up to date with the registers; no lane may run yet.

    This is the first part of `recover`, for commands that change the ledger and start no lane.
    """
    records = state.plugins()
    lane_names = dict.fromkeys(record.lane for record in records.values())
    starts = {lane_name: _recover_lane(lane_name, state, records) for lane_name in lane_names}
    _record_starts(starts, records, folder, state)


def _record_starts(
    starts: Mapping[str, LaneStart],
    records: Mapping[str, PluginRecord],
    folder: Path,
    state: LaneWriter,
) -> None:
    """Record where lanes and plugins are, and count the deaths; then remove the registers."""
    evidence = read_death_evidence(folder)
    for start in starts.values():
        lane_records = [record for record in records.values() if record.lane == start.lane_name]
        counted_deaths = deaths.count_deaths(
            start.doubtful_calls, start.lane_name, evidence, state.deaths()
        )
        step = Step(deaths=counted_deaths, durable=True)
        step.whole = [record.name for record in lane_records]
        step.plugins = [
            *lane_records,
            *(
                strand_record
                for record in lane_records
                for strand_record in record.strands.values()
            ),
        ]
        step.doubts = _count_attempts(start, state)
        lane_fence = state.take_lane(start.lane_name)
        if start.strand_places is not None:
            step.places = start.strand_places
        else:
            step.progress = start.progress
            step.undivided = state.lane_places(start.lane_name) is not None
        state.record(start.lane_name, lane_fence, step)
    for lane_name in starts:  # only once everything is in the ledger
        register.remove_register(register.lane_register_path(folder, lane_name))


def give_up_fatal_calls(
    settings: Settings, loaded: Loaded, state: LaneWriter
) -> list[deaths.GivenUpCall]:
    """Give up the calls in which the process died too often, and return them."""
    rules_by_callback = {
        key_of(callback): rules_of(callback, failure_rules(settings.plugins[plugin.name]))
        for plugin in loaded.plugins
        for callback in plugin.callbacks
    }
    redact_secrets = Redactor.of(settings)
    return deaths.give_up_calls(state.deaths(), rules_by_callback, state, redact_secrets)


def _collect_lane_names(
    settings: Settings, loaded: Loaded, records: Mapping[str, PluginRecord]
) -> list[str]:
    used_lanes = [status.lane for status in loaded.statuses if status.lane is not None]
    recorded_lanes = [record.lane for record in records.values()]
    return list(dict.fromkeys([*used_lanes, *recorded_lanes, *settings.lanes]))


def _recover_lane(
    lane_name: str, state: LaneWriter, records: Mapping[str, PluginRecord]
) -> LaneStart:
    lane_progress = state.lane_progress(lane_name)
    noted_lane = _read_register(lane_name, state)
    if lane_progress is None:
        return LaneStart(lane_name, Progress(state.end()), ())
    lane_records = [record for record in records.values() if record.lane == lane_name]
    recorded_lane = RecordedLane(lane_progress, state.lane_places(lane_name), lane_records)
    attempts = state.attempts()
    doubtful_calls = recovery.find_doubtful_calls(noted_lane, recorded_lane, attempts)
    doubtful_calls += recovery.find_doubtful_batches(noted_lane, state.batches(), attempts)
    recovery.restore_plugins(noted_lane, lane_records)
    if recorded_lane.places is not None:
        strand_places = recovery.join_places(recorded_lane.places, noted_lane)
        return LaneStart(lane_name, Progress(strand_places.lowest), doubtful_calls, strand_places)
    if noted_lane.order_by is None:
        lane_progress = recovery.join_progress(lane_progress, noted_lane.of().lane)
    return LaneStart(lane_name, lane_progress, doubtful_calls)


def _configured_order(lane_name: str, settings: Settings) -> OrderBy | None:
    """Return the key by which the config divides a lane; None if it is not divided."""
    lane_table = settings.lanes.get(lane_name)
    return None if lane_table is None else lane_table.order_by


def _must_separate(
    record: PluginRecord, start: LaneStart, lane_by_plugin: Mapping[str, str], settings: Settings
) -> bool:
    """Return whether a plugin must be separated from the lane that it was in.

    It is now in another lane or in none, or its unfinished events were divided in another way
    than new events are.
    """
    if lane_by_plugin.get(record.name) != record.lane:
        return True
    strand_places = start.strand_places
    return strand_places is not None and strand_places.order_by != _configured_order(
        start.lane_name, settings
    )


def _read_register(lane_name: str, state: LaneWriter) -> register.NotedLane:
    """Return the content of a lane's register if it fits this journal, which may be restored."""
    noted_lane = state.noted_lane(lane_name)
    if noted_lane.highest > state.end():
        log_text = "The register of lane %s is ahead of the journal, and is ignored"
        logger.warning(
            log_text, lane_name, extra={"action": "lane.register_ahead", "lane": lane_name}
        )
        return register.NotedLane(noted_lane.order_by, {})
    return noted_lane


def _count_attempts(start: LaneStart, state: LaneWriter) -> list[tuple[str, str, int, int]]:
    """Count an attempt for each call in which the process died, so that `ctx.attempt` shows it."""
    attempts_by_call = state.attempts()
    counted_attempts = []
    for doubt in start.doubtful_calls:
        plugin_name, callback_name = doubt.call_key
        attempt_count = attempts_by_call.get((doubt.call_key, doubt.seq), 0) + 1
        counted_attempts.append((plugin_name, callback_name, doubt.seq, attempt_count))
        logger.warning(
            "The process died in %s of plugin %s; it is called again",
            callback_name,
            plugin_name,
            extra={"action": "callback.in_doubt", "plugin": plugin_name, "callback": callback_name},
        )
    return counted_attempts


def _rejoin_lane(record: PluginRecord, start: LaneStart) -> None:
    """Let a plugin that is level with its lane rejoin it."""
    if record.state not in {"active", "not started"} or record.above is not None:
        return
    is_level = start.strand_places is None or start.strand_places.is_level
    if record.apart and is_level and record.is_level_with(start.progress):
        record.rejoin_lane()


def _create_record(
    plugin_name: str, lane_name: str, table: PluginSettings, state: LaneWriter
) -> PluginRecord:
    return PluginRecord(
        plugin_name, lane_name, Progress(_resolve_start(table.start, state)), apart=True
    )


def _resolve_start(configured_start: Start | None, state: LaneWriter) -> int:
    """Return the cursor for a plugin that has none: the journal's end by default."""
    if isinstance(configured_start, Ago):
        return state.seq_before_time(int(time.time() - configured_start.seconds))
    if isinstance(configured_start, datetime):
        return state.seq_before_time(int(configured_start.timestamp()))
    if isinstance(configured_start, int):
        return state.seq_before_event(configured_start)
    return state.end()


def _check_retention(record: PluginRecord, table: PluginSettings, state: LaneWriter) -> None:
    """Restart or pause, as its config says, a plugin whose events are no longer kept."""
    lowest_progress = Progress.at(state.lowest())
    if not record.apart or record.cursor >= lowest_progress.finished:
        return
    if table.start is None:
        record.pause(
            "the events behind its cursor are no longer kept; say where it continues with"
            f' start = "now" (or an id, a date, a duration) in [plugins.{record.name}]'
        )
        return
    record.skip_to(Progress(_resolve_start(table.start, state)).joined(lowest_progress))
    record.resume_afresh()
