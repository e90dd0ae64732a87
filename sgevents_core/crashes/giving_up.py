"""The decision about a callback in which the process died: call it again or keep a dead letter."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sgevents_core.calling.journal_events import event_in
from sgevents_core.calling.policy import FailureRules
from sgevents_core.choices import OnError
from sgevents_core.crashes.evidence import DeathEvidence
from sgevents_core.crashes.recovery import Doubt
from sgevents_core.events import Event
from sgevents_core.observe.redaction import Redactor
from sgevents_core.scripts import Scripts
from sgevents_core.state.entries import Entry
from sgevents_core.state.failures import Failure
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import LaneWriter, entry_at
from sgevents_core.state.steps import Died, Step

PROVED: Final = 2
"""Deaths with a known cause in one call after which it is not repeated."""
ALL: Final = 5
"""Deaths of any cause in one call after which it is not repeated."""
OUTSIDE: Final = "nothing shows what killed it"


class Condemned(NamedTuple):
    """A call that is not repeated: its failure, the failure's number, its event and plugin."""

    failure: Failure
    number: int
    event: Event
    record: PluginRecord


def counted(
    doubts: Sequence[Doubt],
    lane: str,
    words: DeathEvidence | None,
    known: Iterable[Died],
) -> list[Died]:
    """Return the deaths in the calls that were running when a process died, this one included.

    Args:
        doubts: The calls that were running.
        lane: The lane they were made in.
        words: How the process died; None if that is not known.
        known: The deaths counted so far.
    """
    if words is not None and words.clears(lane):
        return []
    so_far = {(died.plugin, died.callback, died.seq): died for died in known}
    proof = words if words is not None and words.blames(lane) else None
    deaths = []
    for doubt in doubts:
        plugin, callback = doubt.key
        fresh = Died(plugin, callback, doubt.seq, 0, 0, "", "")
        died = so_far.get((plugin, callback, doubt.seq), fresh)
        if proof is None:
            died = died._replace(unproved=died.unproved + 1, how=died.how or OUTSIDE)
        else:
            died = died._replace(proved=died.proved + 1, how=proof.how, traceback=proof.traceback)
        deaths.append(died)
    return deaths


def is_condemned(died: Died) -> bool:
    """Return whether a call must not be repeated."""
    return died.proved >= PROVED or died.proved + died.unproved >= ALL


def condemn(
    deaths: Iterable[Died],
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


def _give_up(died: Died, rules: FailureRules, state: LaneWriter) -> list[Condemned]:
    record = state.plugins()[died.plugin]
    lane = state.lane_progress(record.lane) or Progress(state.end())
    entry = entry_at(state, died.seq)
    is_next = (record.progress if record.apart else lane).is_next(died.seq, died.key)
    if entry is None or not is_next:
        return []
    if rules.on_error == "dead-letter":
        record.count_failure()
    failure = _failure(died, entry, rules.on_error, state)
    step = Step(failure=failure, dead=rules.on_error == "dead-letter", durable=True)
    if rules.on_error == "pause":
        record.leave_lane(lane)
    else:
        step.settled = (died.plugin, died.callback, died.seq)
        if record.apart:
            record.finish_callback(died.key)
        else:
            lane = step.progress = lane.with_done(died.key)
    _pause_if_due(record, lane, failure, rules)
    step.plugins = [record]
    number = state.record(record.lane, state.take_lane(record.lane), step)
    return [Condemned(failure, number, event_in(entry, Scripts(state.scripts())), record)]


def _pause_if_due(
    record: PluginRecord, lane: Progress, failure: Failure, rules: FailureRules
) -> None:
    if rules.on_error == "pause":
        reason = f'on_error = "pause": {failure.error}'
    elif record.failures >= rules.pause_after:
        reason = f"{record.failures} failures in a row, the last: {failure.error}"
    else:
        return
    record.leave_lane(lane)
    record.pause(reason)


def _failure(died: Died, entry: Entry, on_error: OnError, state: LaneWriter) -> Failure:
    times = died.proved + died.unproved
    attempts = state.tried().get((died.key, died.seq), times)
    return Failure(
        plugin=died.plugin,
        callback=died.callback,
        seq=died.seq,
        event_id=entry.event_id,
        attempt=attempts,
        error=f"ProcessDied: the process died {times} times in this call: {died.how}",
        traceback=died.traceback,
        at=time.time(),
        outcome=on_error,
    )
