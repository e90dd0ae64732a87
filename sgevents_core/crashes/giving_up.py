"""The decision about a callback in which the process died: call it again or keep a dead letter."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sgevents_core.calling.deaths import OUTSIDE, is_condemned, with_death
from sgevents_core.calling.journal_events import event_in
from sgevents_core.calling.judging import Circumstances, failure_of, judge_call, step_for
from sgevents_core.calling.outcome import CallOutcome, RaisedError
from sgevents_core.calling.own_thread import worker_label
from sgevents_core.calling.policy import FailureRules
from sgevents_core.crashes.evidence import DeathEvidence
from sgevents_core.crashes.recovery import Doubt
from sgevents_core.events import Event
from sgevents_core.observe.redaction import Redactor
from sgevents_core.scripts import Scripts
from sgevents_core.state.cursors import entry_at
from sgevents_core.state.entries import Entry
from sgevents_core.state.failures import Failure
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import AnyPluginRecord, PluginRecord, StrandRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import LaneWriter
from sgevents_core.state.steps import CallDeaths
from sgevents_core.state.strands import strand_of


class Condemned(NamedTuple):
    """A call that is not repeated: its failure, the failure's number, its event and plugin."""

    failure: Failure
    number: int
    event: Event
    record: PluginRecord


class FatalCall(NamedTuple):
    """A call in which the process died: its callback, its event and the number of attempts."""

    plugin: str
    callback_name: str
    seq: int
    event_id: int
    attempt: int


def counted(
    doubts: Sequence[Doubt],
    lane: str,
    words: DeathEvidence | None,
    known: Iterable[CallDeaths],
) -> list[CallDeaths]:
    """Return the deaths in the calls that were running when a process died, this one included.

    Args:
        doubts: The calls that were running.
        lane: The lane they were made in.
        words: How the process died; None if that is not known.
        known: The deaths counted so far.
    """
    so_far = {(died.plugin, died.callback, died.seq): died for died in known}
    deaths = []
    for doubt in doubts:
        of_thread = worker_label(lane, doubt.worker)
        if words is not None and words.clears(of_thread):
            continue
        proof = words if words is not None and words.blames(of_thread) else None
        plugin, callback = doubt.key
        fresh = CallDeaths(plugin, callback, doubt.seq, 0, 0, "", "")
        died = so_far.get((plugin, callback, doubt.seq), fresh)
        if proof is None:
            died = with_death(died, OUTSIDE, "", is_proved=False)
        else:
            died = with_death(died, proof.how, proof.traceback, is_proved=True)
        deaths.append(died)
    return deaths


def condemn(
    deaths: Iterable[CallDeaths],
    rules: Mapping[CallKey, FailureRules],
    state: LaneWriter,
    redact: Redactor,
) -> list[Condemned]:
    """Give up the calls in which the process died too often, according to their plugins' policies.

    The ledger must be up to date, and no lane may run yet.

    Args:
        deaths: The calls in which the process died.
        rules: Callback -> its failure policy; others are left alone.
        state: Journal and ledger.
        redact: Removes secrets from texts.
    """
    condemned = []
    for died in filter(is_condemned, deaths):
        own = rules.get(died.key)
        if own is not None:
            fit = died._replace(how=redact(died.how), traceback=redact(died.traceback))
            condemned += _give_up(fit, own, state)
    return condemned


def _give_up(died: CallDeaths, rules: FailureRules, state: LaneWriter) -> list[Condemned]:
    entry = entry_at(state, died.seq)
    if entry is None:
        return []
    plugin = state.plugins()[died.plugin]
    record, before, strand = _place(plugin, entry, state)
    if not before.is_next(died.seq, died.key):
        return []
    line = f"ProcessDied: the process died {died.times} times in this call: {died.how}"
    error = RaisedError("ProcessDied", line, died.traceback)
    circumstances = Circumstances(rules, failures=record.failures + 1)
    decision = judge_call(CallOutcome(error=error), circumstances)
    if decision.outcome == "dead-letter":
        record.count_failure()
    step = step_for(decision, record, before, died.key)
    step.strand = strand
    if decision.action == "pause":
        record.pause(decision.reason)
    if decision.is_finished:
        step.settled = (died.plugin, died.callback, died.seq)
    attempts = state.attempts().get((died.key, died.seq), died.times)
    call = FatalCall(died.plugin, died.callback, died.seq, entry.event_id, attempts)
    failure = step.failure = failure_of(call, error, time.time(), decision.outcome)
    step.dead, step.durable = decision.outcome == "dead-letter", True
    number = state.record(record.lane, state.take_lane(record.lane), step)
    return [Condemned(failure, number, event_in(entry, Scripts(state.scripts())), plugin)]


def _place(
    plugin: PluginRecord, entry: Entry, state: LaneWriter
) -> tuple[AnyPluginRecord, Progress, int | None]:
    """Return the record by which a plugin is called for an entry, its progress, and the strand."""
    places = state.lane_places(plugin.lane)
    if places is None or plugin.apart:
        lane = state.lane_progress(plugin.lane) or Progress(state.end())
        return plugin, plugin.progress if plugin.apart else lane, None
    strand = strand_of(entry, places.order_by)
    record = plugin.strands.get(strand) or StrandRecord(plugin, strand)
    return record, record.progress if record.apart else places.places[strand], strand
