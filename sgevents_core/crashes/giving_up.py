"""The decision about a callback in which the process died: call it again or keep a dead letter."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sgevents_core.calling.deaths import UNKNOWN_CAUSE, count_death, died_too_often
from sgevents_core.calling.journal_events import event_in, event_of
from sgevents_core.calling.judging import Circumstances, failure_of, judge_call, step_for
from sgevents_core.calling.outcome import CallOutcome, RaisedError
from sgevents_core.calling.own_thread import worker_label
from sgevents_core.calling.policy import FailureRules
from sgevents_core.crashes.evidence import DeathEvidence
from sgevents_core.crashes.recovery import DoubtfulCall
from sgevents_core.events import Event
from sgevents_core.observe.redaction import Redactor
from sgevents_core.scripts import Scripts
from sgevents_core.state.batches import BatchAction, BatchChange, BatchedEvent
from sgevents_core.state.cursors import entry_at
from sgevents_core.state.entries import Entry
from sgevents_core.state.failures import Failure
from sgevents_core.state.held_lane import HeldLane
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import AnyPluginRecord, PluginRecord, StrandRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import LaneWriter
from sgevents_core.state.steps import CallDeaths, Step
from sgevents_core.state.strands import strand_of


class GivenUpCall(NamedTuple):
    """A call that is not repeated: its failure, the failure's number, its event and plugin.

    A call with a batch has its events too.
    """

    failure: Failure
    failure_number: int
    event: Event
    plugin_record: PluginRecord
    events: tuple[Event, ...] = ()


class FatalCall(NamedTuple):
    """A call in which the process died: its callback, its event and the number of attempts."""

    plugin: str
    callback_name: str
    seq: int
    event_id: int
    attempt: int


def count_deaths(
    doubts: Sequence[DoubtfulCall],
    lane_name: str,
    evidence: DeathEvidence | None,
    known_deaths: Iterable[CallDeaths],
) -> list[CallDeaths]:
    """Return the deaths in the calls that were running when a process died, this one included.

    Args:
        doubts: The calls that were running.
        lane_name: The lane they were made in.
        evidence: How the process died; None if that is not known.
        known_deaths: The deaths counted so far.
    """
    deaths_by_call = {
        (deaths.plugin, deaths.callback, deaths.seq): deaths for deaths in known_deaths
    }
    counted_deaths = []
    for doubt in doubts:
        thread_label = worker_label(lane_name, doubt.worker_number)
        if evidence is not None and evidence.rules_out_lane(thread_label):
            continue
        proving_evidence = (
            evidence if evidence is not None and evidence.may_blame_lane(thread_label) else None
        )
        plugin_name, callback_name = doubt.call_key
        first_death = CallDeaths(plugin_name, callback_name, doubt.seq, 0, 0, "", "")
        deaths = deaths_by_call.get((plugin_name, callback_name, doubt.seq), first_death)
        if proving_evidence is None:
            deaths = count_death(deaths, UNKNOWN_CAUSE, "", is_proved=False)
        else:
            deaths = count_death(
                deaths, proving_evidence.cause_text, proving_evidence.traceback_text, is_proved=True
            )
        counted_deaths.append(deaths)
    return counted_deaths


def give_up_calls(
    rules_by_callback: Mapping[CallKey, FailureRules],
    held_lanes: Mapping[str, HeldLane],
    redact: Redactor,
) -> list[GivenUpCall]:
    """Give up the calls in which the process died too often, according to their plugins' policies.

    The ledger must be up to date, and none of the lanes may run yet.

    Args:
        rules_by_callback: Callback -> its failure policy; others are left alone.
        held_lanes: The lanes, by name; calls of other lanes are left alone.
        redact: Removes secrets from texts.
    """
    given_up_calls = []
    for held_lane in held_lanes.values():
        plugin_records = held_lane.writer.plugins()
        for deaths in filter(died_too_often, held_lane.writer.deaths()):
            rules = rules_by_callback.get(deaths.key)
            if rules is None or plugin_records[deaths.plugin].lane != held_lane.name:
                continue
            redacted_deaths = deaths._replace(
                how=redact(deaths.how), traceback=redact(deaths.traceback)
            )
            given_up_calls += _give_up_call(redacted_deaths, rules, held_lane)
    return given_up_calls


def _give_up_call(
    deaths: CallDeaths, rules: FailureRules, held_lane: HeldLane
) -> list[GivenUpCall]:
    state = held_lane.writer
    batch = state.batch(deaths.plugin, deaths.callback, deaths.seq)
    if batch and batch[0].is_closed:
        return [_give_up_batch(deaths, rules, held_lane, batch)]
    entry = entry_at(state, deaths.seq)
    if entry is None:
        return []
    plugin_record = state.plugins()[deaths.plugin]
    called_record, progress_before, strand_number = _find_place(plugin_record, entry, state)
    if not progress_before.is_next(deaths.seq, deaths.key):
        return []
    error = _death_error(deaths)
    circumstances = Circumstances(rules, failures=called_record.failures + 1)
    decision = judge_call(CallOutcome(error=error), circumstances)
    if decision.outcome == "dead-letter":
        called_record.count_failure()
    step = step_for(decision, called_record, progress_before, deaths.key)
    step.strand = strand_number
    if decision.action == "pause":
        called_record.pause(decision.reason)
    if decision.is_finished:
        step.settled = (deaths.plugin, deaths.callback, deaths.seq)
    attempt_count = state.attempts().get((deaths.key, deaths.seq), deaths.times)
    fatal_call = FatalCall(
        deaths.plugin, deaths.callback, deaths.seq, entry.event_id, attempt_count
    )
    failure = step.failure = failure_of(fatal_call, error, time.time(), decision.outcome)
    step.dead, step.durable = decision.outcome == "dead-letter", True
    failure_number = held_lane.record(step)
    return [
        GivenUpCall(
            failure, failure_number, event_in(entry, Scripts(state.scripts())), plugin_record
        )
    ]


def _give_up_batch(
    deaths: CallDeaths, rules: FailureRules, held_lane: HeldLane, batch: Sequence[BatchedEvent]
) -> GivenUpCall:
    """Give up a batch in whose calls the process died too often, or pause its plugin."""
    state = held_lane.writer
    plugin_record = state.plugins()[deaths.plugin]
    error = _death_error(deaths)
    decision = judge_call(
        CallOutcome(error=error), Circumstances(rules, failures=plugin_record.failures + 1)
    )
    step = Step(plugins=[plugin_record], durable=True)
    if decision.outcome == "dead-letter":
        plugin_record.count_failure()
    if decision.action == "pause":
        if state.lane_places(plugin_record.lane) is None:  # strands are left one by one
            plugin_record.leave_lane(
                state.lane_progress(plugin_record.lane) or Progress(state.end())
            )
        plugin_record.pause(decision.reason)
    if decision.is_finished:
        step.settled = (deaths.plugin, deaths.callback, deaths.seq)
        action: BatchAction = "bury" if decision.outcome == "dead-letter" else "end"
        step.batch = BatchChange(deaths.plugin, deaths.callback, deaths.seq, action)
    attempt_count = state.attempts().get((deaths.key, deaths.seq), deaths.times)
    event_id = batch[0].event_id
    fatal_call = FatalCall(deaths.plugin, deaths.callback, deaths.seq, event_id, attempt_count)
    failure = step.failure = failure_of(fatal_call, error, time.time(), decision.outcome)
    step.dead = decision.outcome == "dead-letter"
    number = held_lane.record(step)
    scripts = Scripts(state.scripts())
    events = tuple(event_of(event.body, scripts) for event in batch if event.whole)
    return GivenUpCall(failure, number, events[0], plugin_record, events)


def _death_error(deaths: CallDeaths) -> RaisedError:
    error_line = f"ProcessDied: the process died {deaths.times} times in this call: {deaths.how}"
    return RaisedError("ProcessDied", error_line, deaths.traceback)


def _find_place(
    plugin_record: PluginRecord, entry: Entry, state: LaneWriter
) -> tuple[AnyPluginRecord, Progress, int | None]:
    """Return the record by which a plugin is called for an entry, its progress, and the strand."""
    strand_places = state.lane_places(plugin_record.lane)
    if strand_places is None or plugin_record.apart:
        lane_progress = state.lane_progress(plugin_record.lane) or Progress(state.end())
        return plugin_record, plugin_record.progress if plugin_record.apart else lane_progress, None
    strand_number = strand_of(entry, strand_places.order_by)
    record = plugin_record.strands.get(strand_number) or StrandRecord(plugin_record, strand_number)
    return (
        record,
        record.progress if record.apart else strand_places.places[strand_number],
        strand_number,
    )
