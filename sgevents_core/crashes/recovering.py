"""Carry out recovery: update the ledger from the registers that a dead process left behind."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from sgevents_core.choices import OrderBy
from sgevents_core.crashes import giving_up as deaths
from sgevents_core.crashes import recovery
from sgevents_core.crashes.evidence import DeathEvidence, read_death_evidence
from sgevents_core.dispatch.caller import key_of, rules_of
from sgevents_core.dispatch.lane_plugin import failure_rules
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.loading import Loaded
from sgevents_core.settings import Ago, PluginSettings, Settings, Start
from sgevents_core.state import register
from sgevents_core.state.held_lane import HeldLane
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


def take_over_lanes(
    lane_names: Iterable[str],
    settings: Settings,
    loaded: Loaded,
    state: LaneWriter,
    *,
    changed_plugins: Collection[str] = (),
    evidence: DeathEvidence | None = None,
    is_shared: bool = False,
) -> dict[str, HeldLane]:
    """Take lanes that do not run, and bring their records up to date; return them by name.

    Each lane's register is folded into the ledger. A plugin that is not in its lane now (not
    enabled, or broken) keeps its own cursor, so that it loses nothing. One that moves from one of
    the lanes to another is first released by the one, and then adopted by the other. Where lanes
    are shared, another process may still work with it in the lane that it leaves: it stays in that
    lane, whatever the configuration says, until whoever takes that lane with the same
    configuration has released it.

    Args:
        lane_names: The lanes.
        settings: The configuration.
        loaded: At least the plugins that are in these lanes now.
        state: The state.
        changed_plugins: Those whose code has changed, so that they resume after an error.
        evidence: How the process that had the lanes died; None if that is not known.
        is_shared: Whether other processes may have other lanes.
    """
    held_lanes = {lane_name: _take_lane(lane_name, state) for lane_name in lane_names}
    for held_lane in held_lanes.values():
        _resume_changed(changed_plugins, held_lane)
    lane_by_plugin = {plugin.name: plugin.lane for plugin in loaded.plugins}
    for lane_name in _lanes_left(lane_by_plugin, state.plugins()):
        if lane_name in held_lanes:
            _release_plugins(held_lanes[lane_name], settings, lane_by_plugin, evidence)
    for held_lane in held_lanes.values():
        _recover_lane(held_lane, settings, loaded, evidence, is_shared=is_shared)
    state.record_first_cursors()
    return held_lanes


def recover(settings: Settings, loaded: Loaded, state: LaneWriter) -> dict[str, HeldLane]:
    """Take over all lanes, after the process that had them has ended; return them by name.

    Args:
        settings: The configuration.
        loaded: The plugins.
        state: The state.
    """
    evidence = read_death_evidence(settings.state.path)
    lane_names = collect_lane_names(settings, loaded, state)
    return take_over_lanes(lane_names, settings, loaded, state, evidence=evidence)


def collect_lane_names(settings: Settings, loaded: Loaded, state: LaneWriter) -> list[str]:
    """Return the names of all lanes: those of plugins, the recorded ones, the configured ones."""
    used_lanes = [status.lane for status in loaded.statuses if status.lane is not None]
    recorded_lanes = [record.lane for record in state.plugins().values()]
    return list(dict.fromkeys([*used_lanes, *recorded_lanes, *settings.lanes]))


def fold_registers(folder: Path, state: LaneWriter) -> dict[str, HeldLane]:
    """Bring the ledger up to date with the registers; no lane may run yet. Return the lanes.

    This is the first part of a take-over, for commands that change the ledger and start no lane.
    """
    evidence = read_death_evidence(folder)
    records = state.plugins()
    held_lanes = {}
    for lane_name in dict.fromkeys(record.lane for record in records.values()):
        held_lanes[lane_name] = held_lane = _take_lane(lane_name, state)
        lane_records = _records_of(lane_name, records)
        start = _join_register(held_lane, lane_records)
        _record_start(start, lane_records, held_lane, evidence)
        register.remove_register(register.lane_register_path(folder, lane_name))
    return held_lanes


def _take_lane(lane_name: str, state: LaneWriter) -> HeldLane:
    """Take a lane; whoever had it can record nothing more."""
    return HeldLane.take(lane_name, state)


def _lanes_left(
    lane_by_plugin: Mapping[str, str], records: Mapping[str, PluginRecord]
) -> list[str]:
    """Return the lanes that plugins are recorded in which are in other lanes now."""
    left_lanes = [
        record.lane
        for record in records.values()
        if lane_by_plugin.get(record.name, record.lane) != record.lane
    ]
    return list(dict.fromkeys(left_lanes))


def _resume_changed(changed_plugins: Collection[str], held_lane: HeldLane) -> None:
    """Resume plugins of a lane that an error has stopped, because their code has changed.

    One that a person has paused stays paused.
    """
    if not changed_plugins:
        return
    state = held_lane.writer
    failing = {key.plugin for key, _ in state.attempts()}
    resumed = [
        record
        for record in _records_of(held_lane.name, state.plugins()).values()
        if record.name in changed_plugins
        and not record.is_paused_by_person
        and (record.state == "held" or (record.state == "paused" and record.name in failing))
    ]
    for record in resumed:
        record.resume_afresh()
    if resumed:
        held_lane.record(Step(plugins=resumed, durable=True))


def _release_plugins(
    held_lane: HeldLane,
    settings: Settings,
    lane_by_plugin: Mapping[str, str],
    evidence: DeathEvidence | None,
) -> None:
    """Separate the plugins from a lane that are not in it now, so that another can adopt them."""
    folder = settings.state.path
    records = _records_of(held_lane.name, held_lane.writer.plugins())
    start = _join_register(held_lane, records)
    _separate_plugins(start, records, settings, lane_by_plugin)
    for record in records.values():
        record.lane = lane_by_plugin.get(record.name, record.lane)
    _record_start(start, records, held_lane, evidence)
    register.remove_register(register.lane_register_path(folder, held_lane.name))


def _separate_plugins(
    start: LaneStart,
    records: Mapping[str, PluginRecord],
    settings: Settings,
    lane_by_plugin: Mapping[str, str],
) -> None:
    """Separate the plugins from their lane that cannot continue within it."""
    for record in records.values():
        if _must_separate(record, start, lane_by_plugin, settings):
            start.separate_plugin(record)


def _recover_lane(
    held_lane: HeldLane,
    settings: Settings,
    loaded: Loaded,
    evidence: DeathEvidence | None,
    *,
    is_shared: bool,
) -> None:
    """Bring one lane's records up to date with its register and the configuration."""
    lane_name, state, folder = held_lane.name, held_lane.writer, settings.state.path
    all_records = state.plugins()
    records = _records_of(lane_name, all_records)
    lane_by_plugin = {plugin.name: plugin.lane for plugin in loaded.plugins}
    start = _join_register(held_lane, records)
    _separate_plugins(start, records, settings, lane_by_plugin)
    start = start.divide_events(_configured_order(lane_name, settings))
    for plugin_name in _enabled_in(lane_name, settings, loaded):
        table = settings.plugins[plugin_name]
        if plugin_name not in all_records:
            records[plugin_name] = _create_record(plugin_name, lane_name, table, state)
        elif plugin_name in lane_by_plugin and all_records[plugin_name].apart and not is_shared:
            records[plugin_name] = all_records[plugin_name]  # nobody has its former lane
            records[plugin_name].lane = lane_name
        if plugin_name in records:
            _check_retention(records[plugin_name], table, state)
            if plugin_name in lane_by_plugin:
                _rejoin_lane(records[plugin_name], start)
    _record_start(start, records, held_lane, evidence)
    register.remove_register(register.lane_register_path(folder, lane_name))


def _enabled_in(lane_name: str, settings: Settings, loaded: Loaded) -> list[str]:
    """Return the enabled plugins of a lane, loaded or not."""
    return [
        status.name
        for status in loaded.statuses
        if status.lane == lane_name
        and status.name in settings.plugins
        and settings.plugins[status.name].enabled
    ]


def _records_of(lane_name: str, records: Mapping[str, PluginRecord]) -> dict[str, PluginRecord]:
    """Return the records of a lane's plugins, by name."""
    return {name: record for name, record in records.items() if record.lane == lane_name}


def _record_start(
    start: LaneStart,
    records: Mapping[str, PluginRecord],
    held_lane: HeldLane,
    evidence: DeathEvidence | None,
) -> None:
    """Record where a lane and its plugins are, and count the deaths in its calls."""
    state = held_lane.writer
    counted_deaths = deaths.count_deaths(
        start.doubtful_calls, held_lane.name, evidence, state.deaths()
    )
    step = Step(deaths=counted_deaths, durable=True)
    step.whole = list(records)
    step.plugins = [
        *records.values(),
        *(strand for record in records.values() for strand in record.strands.values()),
    ]
    step.doubts = _count_attempts(start, state)
    if start.strand_places is not None:
        step.places = start.strand_places
    else:
        step.progress = start.progress
        step.undivided = state.lane_places(held_lane.name) is not None
    held_lane.record(step)


def give_up_fatal_calls(
    settings: Settings, loaded: Loaded, held_lanes: Mapping[str, HeldLane]
) -> list[deaths.GivenUpCall]:
    """Give up the calls in which the process died too often, and return them.

    Args:
        settings: The configuration.
        loaded: The plugins of these lanes.
        held_lanes: The lanes, by name; none may run yet.
    """
    rules_by_callback = {
        key_of(callback): rules_of(callback, failure_rules(settings.plugins[plugin.name]))
        for plugin in loaded.plugins
        if plugin.lane in held_lanes
        for callback in plugin.callbacks
    }
    redact_secrets = Redactor.of(settings)
    return deaths.give_up_calls(rules_by_callback, held_lanes, redact_secrets)


def _join_register(held_lane: HeldLane, records: Mapping[str, PluginRecord]) -> LaneStart:
    """Return where a lane continues; `records`, those of its plugins, are brought up to date."""
    lane_name, state = held_lane.name, held_lane.writer
    lane_progress = None if held_lane.is_new else state.lane_progress(lane_name)
    noted_lane = _read_register(lane_name, state)
    if lane_progress is None:
        return LaneStart(lane_name, Progress(state.end()), ())
    lane_records = list(records.values())
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
