"""Collecting events into batches, and calling callbacks with them.

An event comes into its batch together with the place of its strand, in one step; the batch ends
together with whatever its call came to. So each event is in exactly one call that has ended.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from msgspec import structs

from sgevents_core.calling.batches import batch_message, bind_events, bind_key, key_message
from sgevents_core.calling.deferral import failure_at_limit, put_off
from sgevents_core.calling.journal_events import event_of
from sgevents_core.calling.judging import (
    RETURNED,
    Circumstances,
    Decision,
    judge_call,
)
from sgevents_core.calling.outage import wait_after
from sgevents_core.calling.outcome import CallMessage, CallOutcome, RaisedError
from sgevents_core.calling.store import StoreChanges, recorded_changes
from sgevents_core.dispatch.batch_lines import BatchLine, LaneBatches
from sgevents_core.dispatch.caller import Call, Caller
from sgevents_core.dispatch.deferred_calls import can_be_called
from sgevents_core.dispatch.gate import Gate
from sgevents_core.dispatch.lane_parts import LaneParts
from sgevents_core.dispatch.lane_plugin import LanePlugin, Waiting
from sgevents_core.dispatch.ledger import StrandLedger
from sgevents_core.dispatch.plan import PlannedCalls
from sgevents_core.events import Event
from sgevents_core.moments import seconds_of
from sgevents_core.site.health import Standing
from sgevents_core.state.batches import BatchAction, BatchChange, BatchedEvent, LaterCall
from sgevents_core.state.deferred import IgnoredCall
from sgevents_core.state.entries import Entry
from sgevents_core.state.failures import Failure
from sgevents_core.state.plugin_record import AnyPluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.register import APART_WORD, Slot
from sgevents_core.state.steps import Step
from sgevents_core.state.strands import strands_of_body

_SITE_LOOK_SECONDS: Final = 1.0
"""Seconds between two looks whether the site answers, for a batch that waits for it."""


class _KeyCall(Call):
    """A call that asks a plugin's code whether an event is wanted, and for its key."""

    __slots__ = ("keys",)

    def __init__(self, call: Call) -> None:
        super().__init__(
            call.word, call.entry, call.event, call.planned_calls, call.position, call.lane_plugin
        )
        self.runs_filter = call.runs_filter
        self.keys: list[str] = []
        self.callback = bind_key(self.callback, self.keys)

    def message(self, body: bytes) -> CallMessage:
        """Return the call as a plain value, for another process."""
        return key_message(Call.message(self, body))


class BatchCall(Call):
    """A call with the events of a batch; as an event's call it is that of its first event."""

    __slots__ = ("bodies", "events", "seqs")

    def __init__(
        self,
        events: Sequence[Event],
        batched: Sequence[BatchedEvent],
        entry: Entry,
        planned_calls: PlannedCalls,
        *,
        lane_plugin: LanePlugin,
    ) -> None:
        super().__init__(APART_WORD, entry, events[0], planned_calls, 0, lane_plugin)
        self.events = events
        self.seqs = [event.seq for event in batched]
        self.bodies = [event.body for event in batched]
        self.callback = bind_events(self.callback, events)

    def message(self, body: bytes) -> CallMessage:
        """Return the call as a plain value, for another process."""
        return batch_message(Call.message(self, b""), self.bodies)


class BatchCaller(Caller):
    """The caller of a strand in a lane where some callbacks take batches.

    The arguments are those of `Caller`, and:

    Args:
        batches: The lane's batches.
        plugin_of_callback: The plugin in this strand of each callback of the plan.
        strand_progress: Returns the progress of the strand.
    """

    def __init__(
        self,
        ledger: StrandLedger,
        slot: Slot,
        lane_parts: LaneParts,
        *,
        batches: LaneBatches,
        plugin_of_callback: Sequence[LanePlugin],
        strand_progress: Callable[[], Progress],
    ) -> None:
        super().__init__(ledger, slot, lane_parts)
        self._batches, self._clock = batches, batches.clock
        self._plugin_of_callback = plugin_of_callback
        self._strand_progress = strand_progress
        self._callbacks = lane_parts.call_plan.callbacks
        self._read_batch = lane_parts.read_batch
        self._scripts = lane_parts.scripts

    # Collecting

    def call(self, call: Call) -> bool:
        """Call the callback, or collect the event if it takes batches.

        Return False if its plugin stops at this event.
        """
        rules = call.callback.batch
        if rules is None:
            return super().call(call)
        if call.runs_filter or rules.asks_plugin:
            return super().call(_KeyCall(call))
        self._collect(call, rules.key_of(call.event))
        return True

    def _record_outcome(self, call: Call, outcome: CallOutcome) -> bool:
        if not isinstance(call, _KeyCall) or outcome.error is not None:
            return super()._record_outcome(call, outcome)
        for call_observer in self._observers.passed:  # the callback itself was not called
            call_observer(call)
        self._collect(call, call.keys[0] if outcome.batch_key is None else outcome.batch_key)
        return True

    def _collect(self, call: Call, key: str) -> None:
        """Record that an event has come into a batch, and that the callback is done with it."""
        entry, callback_index = call.entry, call.number_in_lane
        call_key = self._call_keys[callback_index]
        packed_strands = entry.strands
        if packed_strands is None:
            packed_strands = strands_of_body(entry.body, entry.event_id)
        ledger_step = self._carry_out_decision(call, RETURNED)
        if not call.lane_plugin.record.apart:  # it is with its strand, and unchanged
            ledger_step.plugins = ()
        if self._attempts_by_call.pop((call_key, entry.seq), 0):  # its key was asked in vain
            self._deaths_by_call.pop((call_key, entry.seq), None)
            ledger_step.settled = (*call_key, entry.seq)
        with self._batches.lock:
            now, host_time = self._clock.monotonic(), self._clock.time()
            placing = self._batches.place(callback_index, key, entry.seq, packed_strands, now)
            ledger_step.collected = BatchedEvent(
                *call_key,
                placing.number,
                key,
                entry.seq,
                entry.era,
                entry.event_id,
                entry.body,
                packed_strands,
                host_time,
                host_time + placing.due_at - now,
            )
            self._ledger.record(ledger_step)
            self._batches.add(callback_index, key, placing, packed_strands, now)

    # Calling

    def call_batches(
        self, strand_number: int, gate: Gate | None, may_continue: Callable[[], bool]
    ) -> bool:
        """Call the batches of a strand that are due; return whether any was called.

        Args:
            strand_number: The strand.
            gate: Holds back calls of a divided lane; None if it is not divided.
            may_continue: Returns whether there is time for another call.
        """
        has_called = False
        for line in self._batches.due(strand_number):
            lane_plugin = self._plugin_of_callback[line.callback_index]
            if not may_continue():
                break
            if not can_be_called(lane_plugin) or not self._is_ready(line, lane_plugin):
                continue
            if gate is not None and not gate.admits(lane_plugin):
                break
            self._call_batch(line, lane_plugin)
            if gate is not None:
                gate.over(lane_plugin)
            has_called = True
        return has_called

    def can_call(self, line: BatchLine) -> bool:
        """Return whether a line whose batch is due can be called: its plugin is not stopped."""
        return can_be_called(self._plugin_of_callback[line.callback_index])

    def _call_batch(self, line: BatchLine, lane_plugin: LanePlugin) -> None:
        """Call a callback with the first batch of a line, and record what it came to."""
        call_key, number = self._call_keys[line.callback_index], line.head.number
        self._close_batch(line)
        call = self._make_call(line, lane_plugin)
        if call is None:  # none of its events can be read
            self._ledger.record(Step(batch=BatchChange(*call_key, number, "end")))
            self._batches.finish(line)
            return
        lane_plugin.begin_event(-number)  # for its failures in a row, a batch is one event
        call.attempt = self._attempts_by_call.get((call_key, number), 0) + 1
        self._slot.begun(APART_WORD, number, line.callback_index, call.attempt)
        time_limit = lane_plugin.limit(call.callback)
        for call_observer in self._observers.began:
            call_observer(call, time_limit)
        outcome = lane_plugin.executor.call(call, time_limit)
        try:
            for end_observer in self._observers.ended:
                end_observer(call, call.began_at, outcome.seconds, outcome.error)
            if outcome.error is None:
                self._end_batch(line, call, outcome)
            else:
                self._fail_batch(line, call, outcome, outcome.error)
        finally:
            if outcome.store_changes is not None:
                call.release_store()
        self._slot.clear(APART_WORD)

    def _close_batch(self, line: BatchLine) -> None:
        """Let no more events into a batch, so that whatever its call did is about the same ones."""
        batch = line.head
        if batch.has_begun:
            return
        with self._batches.lock:
            self._ledger.record(Step(batch=self._change(line, "close")))
            batch.is_closed = batch.has_begun = True
            self._batches.put_off(line, min(batch.due_at, self._clock.monotonic()))

    def _make_call(self, line: BatchLine, lane_plugin: LanePlugin) -> BatchCall | None:
        call_key, number = self._call_keys[line.callback_index], line.head.number
        batched = self._read_batch(*call_key, number)
        readable = [event for event in batched if event.whole]
        for event in batched:
            if not event.whole:
                self._ledger.pass_over(
                    _entry_of(event), [event.plugin], "it is not what was written"
                )
        if not readable:
            return None
        events = [event_of(event.body, self._scripts) for event in readable]
        planned_calls = ((line.callback_index, self._callbacks[line.callback_index]),)
        created = seconds_of(events[-1].row.get("created_at")) or 0
        first = structs.replace(_entry_of(readable[0]), seq=number, created=created)
        return BatchCall(events, readable, first, planned_calls, lane_plugin=lane_plugin)

    def _end_batch(self, line: BatchLine, call: BatchCall, outcome: CallOutcome) -> None:
        """Record that a batch was handled, with the changes to its plugin's store."""
        lane_plugin, call_key = call.lane_plugin, self._call_keys[line.callback_index]
        decision = RETURNED
        if lane_plugin.breaker is not None and self._completes_loop(call, outcome):
            loop = Circumstances(lane_plugin.rules, loop_reason=lane_plugin.breaker.reason)
            decision = judge_call(outcome, loop)
        ledger_step = Step(batch=self._change(line, "end"))
        ledger_step.plugins = self._stop_plugin(lane_plugin, decision)
        if lane_plugin.has_recovered:
            lane_plugin.has_recovered, ledger_step.plugins = False, [lane_plugin.record]
        if self._forget_attempts((call_key, call.seq)):
            ledger_step.settled = (*call_key, call.seq)
        if outcome.ignored:
            first_seq, *other_seqs = call.seqs
            ledger_step.ignored = IgnoredCall(
                *call_key, first_seq, outcome.ignored, tuple(other_seqs)
            )
        self._record_with_store(ledger_step, lane_plugin, outcome.store_changes)
        self._batches.finish(line)
        if not decision.stays:
            self._announcer.paused(lane_plugin.record, call.event)

    def _record_with_store(
        self, ledger_step: Step, lane_plugin: LanePlugin, store_changes: StoreChanges | None
    ) -> None:
        if store_changes:
            ledger_step.store = {lane_plugin.record.name: recorded_changes(store_changes)}
        self._ledger.record(ledger_step)
        if store_changes:
            lane_plugin.services.store.commit(store_changes)

    def _fail_batch(
        self, line: BatchLine, call: BatchCall, outcome: CallOutcome, error: RaisedError
    ) -> None:
        """Judge the failure of a batch, now or once the site answers."""
        failure, decision = self._judge_at_once(call, outcome, error)
        site_health = call.services.contact.health
        if decision.action == "wait for site" and site_health is not None:
            charge = partial(self._charge_batch_now, line, call, outcome, failure)
            retry_after = error.facts.retry_after or 0.0
            line.head.waiting = Waiting(failure, time.monotonic(), retry_after, charge)
            line.head.times_put_off += 1
            self._batches.put_off(line, self._clock.monotonic() + _SITE_LOOK_SECONDS)
            site_health.want()
            return
        if decision.outcome == "defer":
            self._defer_batch(line, call, failure, error, decision)
        else:
            self._charge_batch(line, call, failure, decision)

    def _defer_batch(
        self,
        line: BatchLine,
        call: BatchCall,
        failure: Failure,
        error: RaisedError,
        decision: Decision,
    ) -> None:
        """Call a batch later, as it asks; that is no attempt, and holds up its own key alone."""
        lane_plugin, batch, current_time = call.lane_plugin, line.head, self._clock.time()
        put_off_call = put_off(
            call,
            call.entry.era,
            error,
            None,
            defer_limit=lane_plugin.defer_limit,
            current_time=current_time,
            first_at=batch.put_off_at,
        )
        if put_off_call is None:
            failure = failure_at_limit(failure, error, lane_plugin.defer_limit)
            self._charge_batch(line, call, failure, decision._replace(outcome="dead-letter"))
            return
        wait_seconds = put_off_call.due_at - current_time
        batch.put_off_at, batch.put_off_reason = put_off_call.first_at, put_off_call.reason
        ledger_step = Step(batch=self._later(line, put_off_call.due_at))
        ledger_step.plugins = self._stop_plugin(lane_plugin, decision)
        self._ledger.record(ledger_step)
        self._batches.put_off(line, self._clock.monotonic() + wait_seconds)
        self._announcer.deferred(put_off_call, wait_seconds)

    def _is_ready(self, line: BatchLine, lane_plugin: LanePlugin) -> bool:
        """Return whether a batch may be called; judge a failure that waited for the site."""
        batch, site_health = line.head, lane_plugin.services.contact.health
        waiting = batch.waiting
        if waiting is None or site_health is None:
            return True
        standing = site_health.standing(waiting.failed_at)
        now = self._clock.monotonic()
        if standing in {Standing.DOWN, Standing.UNKNOWN}:
            if standing is Standing.DOWN:
                self._report_wait_once(lane_plugin, waiting, site_health.outages)
            self._batches.put_off(line, now + _SITE_LOOK_SECONDS)
            return False
        batch.waiting = None
        if standing is Standing.OVER:
            wait_seconds = wait_after(batch.times_put_off, random.random())  # noqa: S311 - no secret
            earliest_retry = waiting.failed_at + waiting.retry_after - time.monotonic()
            self._batches.put_off(line, now + max(wait_seconds, earliest_retry))
            return False
        waiting.charge()
        return False

    def _charge_batch_now(
        self, line: BatchLine, call: BatchCall, outcome: CallOutcome, failure: Failure
    ) -> None:
        """Judge the failure of a batch now, and charge it: the site has answered others."""
        self._charge_batch(line, call, failure, self._judge_failure(call, outcome, None))

    def _charge_batch(
        self, line: BatchLine, call: BatchCall, failure: Failure, decision: Decision
    ) -> None:
        """Record and report the failure of a batch: it waits, becomes a dead letter or is skipped.

        A retry holds up its own key alone; whatever else stops the plugin stops all of it.
        """
        lane_plugin, counted_call = (
            call.lane_plugin,
            (self._call_keys[line.callback_index], call.seq),
        )
        failure = replace(failure, outcome=decision.outcome)
        ledger_step = Step(failure=failure, dead=decision.outcome == "dead-letter")
        ledger_step.plugins = self._stop_plugin(lane_plugin, decision)
        if ledger_step.dead:
            lane_plugin.give_up()
            ledger_step.plugins = [lane_plugin.record]
        if decision.is_finished:
            self._forget_attempts(counted_call)
            ledger_step.settled = (*counted_call[0], call.seq)
            ledger_step.batch = self._change(line, "bury" if ledger_step.dead else "end")
        else:
            self._attempts_by_call[counted_call] = call.attempt
            ledger_step.batch = self._later(line, self._clock.time() + decision.hold_seconds)
            ledger_step.deaths = [
                deaths for deaths in (self._deaths_by_call.get(counted_call),) if deaths is not None
            ]
        failure_number = self._ledger.record(ledger_step)
        is_retry = decision.outcome == "retry"
        self._announcer.failed(
            failure,
            call.event,
            failure_number,
            lane_plugin.record,
            next_attempt_at=failure.at + decision.hold_seconds if is_retry else 0.0,
            events=call.events,
        )
        if decision.is_finished:
            self._batches.finish(line)
        else:
            self._batches.put_off(line, self._clock.monotonic() + decision.hold_seconds)

    def _stop_plugin(
        self, lane_plugin: LanePlugin, decision: Decision
    ) -> Sequence[AnyPluginRecord]:
        """Hold or pause a plugin where its strand is, as decided; return its record if it stops."""
        is_retry = decision.outcome == "retry" and decision.action == "hold"
        if decision.stays or is_retry:
            return ()
        lane_plugin.record.leave_lane(self._strand_progress())
        lane_plugin.carry_out(decision, current_time=time.monotonic(), host_time=time.time())
        return [lane_plugin.record]

    def _change(self, line: BatchLine, action: BatchAction) -> BatchChange:
        call_key = self._call_keys[line.callback_index]
        return BatchChange(*call_key, line.head.number, action)

    def _later(self, line: BatchLine, due_at: float) -> BatchChange:
        """Return the change by which the first batch of a line is called again at a time."""
        batch = line.head
        later_call = LaterCall(due_at, batch.put_off_at, batch.put_off_reason)
        return self._change(line, "call later")._replace(later_call=later_call)


def _entry_of(event: BatchedEvent) -> Entry:
    """Return an event of a batch as an entry of the journal."""
    return Entry(
        event.seq, event.event_id, "", 0, False, event.body, event.era, True, event.strands
    )
