"""Make one call that was put off, in the strand of its event, and record what becomes of it.

It moves no cursor: the plugin has gone on with later events. If it fails and may be made again, it
is put off once more instead of holding its plugin.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sgevents_core.calling.batches import batch_request
from sgevents_core.calling.deaths import FIRST_WAIT, PROVED_LIMIT
from sgevents_core.calling.deferral import failure_at_limit, put_off
from sgevents_core.calling.journal_events import event_of
from sgevents_core.calling.judging import (
    NO_END,
    Circumstances,
    Decision,
    WorkerEnd,
    failure_of,
    judge_call,
)
from sgevents_core.calling.making import CallRequest
from sgevents_core.calling.outcome import CallOutcome, RaisedError
from sgevents_core.dispatch.caller import rules_of
from sgevents_core.dispatch.deferred_calls import can_be_called
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.observed_calls import (
    commit_store,
    make_observed_call,
    step_with_store,
)
from sgevents_core.events import Event
from sgevents_core.plugins.callback import Callback
from sgevents_core.state.deferred import DeferredCall, DeferredEvent, DeferredKey, IgnoredCall
from sgevents_core.state.failures import Failure
from sgevents_core.state.requests import ReplayEvent
from sgevents_core.state.steps import Step

if TYPE_CHECKING:
    from sgevents_core.dispatch.lane import Lane

logger = logging.getLogger("sgevents.dispatch")
OUTAGE_WAIT: Final = 5.0
"""Seconds until a call is tried again that failed while the site did not answer."""


def make_deferred_call(deferred_key: DeferredKey, lane: Lane) -> bool:
    """Make a call that was put off, if it still is; return whether this errand is over.

    Args:
        deferred_key: The call.
        lane: The lane of its plugin; this runs in its thread, or in that of one of its workers.
    """
    deferred_event = lane.ledger.deferred_event(deferred_key)
    whole_plugin = next(
        (one for one in lane.lane_plugins if one.plugin.name == deferred_key.plugin), None
    )
    if deferred_event is None or whole_plugin is None:
        lane.deferred_calls.over(deferred_key)
        return True
    if not can_be_called(whole_plugin) or _is_site_down(whole_plugin):
        lane.deferred_calls.try_later(deferred_key)
        return True
    call = deferred_event.call
    source = ReplayEvent(call.era, call.seq, call.event_id, deferred_event.body)
    lane_plugin = lane.access.claim_for_call(whole_plugin, source)
    if lane_plugin is None:
        return False
    try:
        if can_be_called(lane_plugin):
            _DeferredWork(lane, lane_plugin, deferred_event, source).run()
        else:
            lane.deferred_calls.try_later(deferred_key)
    finally:
        lane.access.release_after_call(lane_plugin)
    return True


def _is_site_down(lane_plugin: LanePlugin) -> bool:
    site_health = lane_plugin.services.contact.health
    return site_health is not None and site_health.is_down


class _DeferredWork:
    """One call that was put off, in the strand of its event.

    Args:
        lane: The lane.
        lane_plugin: Its plugin, in the strand.
        deferred_event: The call as it was put off.
        source: Its event.
    """

    def __init__(
        self,
        lane: Lane,
        lane_plugin: LanePlugin,
        deferred_event: DeferredEvent,
        source: ReplayEvent,
    ) -> None:
        self._lane = lane
        self._lane_plugin = lane_plugin
        self._deferred_event = deferred_event
        self._call = deferred_event.call
        self._source = source
        self._attempt = self._call.attempts + self._call.begun + 1

    def run(self) -> None:
        """Make the call, or give it up if it cannot be made any more."""
        callback_name, call = self._call.callback, self._call
        callback = next(
            (one for one in self._lane_plugin.plugin.callbacks if one.name == callback_name), None
        )
        if not self._deferred_event.whole:
            self._give_up("UnreadableEntry: its event cannot be read: replay it")
        elif callback is None:
            self._give_up("NoSuchCallback: the plugin has no such callback any more")
        elif call.begun >= PROVED_LIMIT:
            self._give_up(f"ProcessDied: the process died {call.begun} times in this call")
        else:
            self._make(callback)

    def _give_up(self, error_text: str) -> None:
        """Make a dead letter of a call that cannot be made."""
        call = self._call
        self._lane_plugin.begin_event(call.seq)
        failure = Failure(
            call.plugin,
            call.callback,
            call.seq,
            call.event_id,
            self._attempt,
            error_text,
            "",
            time.time(),
            "dead-letter",
        )
        self._record_end(failure, Step())

    def _make(self, callback: Callback) -> None:
        call, lane = self._call, self._lane
        begun_call = call._replace(begun=call.begun + 1)
        lane.ledger.record(Step(deferred=self._deferred_event._replace(call=begun_call)))
        event = event_of(self._source.body, lane.scripts)
        services = self._lane_plugin.services
        request = CallRequest(callback, event, self._source, services, self._attempt)
        if callback.batch is not None:  # its key was put off: a batch of one
            bodies = [self._source.body]
            request = batch_request(callback, bodies, self._source, services, lane.scripts)
            request.attempt = self._attempt
        outcome = make_observed_call(self._lane_plugin, request, lane.observers)
        self._lane_plugin.begin_event(call.seq)
        try:
            if outcome.error is None:
                self._succeed(outcome)
            else:
                self._fail(request, outcome, outcome.error)
        finally:
            if outcome.store_changes is not None:
                request.release_store()

    def _succeed(self, outcome: CallOutcome) -> None:
        call = self._call
        step = step_with_store(self._lane_plugin, outcome.store_changes)
        step.no_more_deferred = call.key
        if outcome.ignored:
            step.ignored = IgnoredCall(call.plugin, call.callback, call.seq, outcome.ignored)
        self._lane.ledger.record(step)
        commit_store(self._lane_plugin, outcome.store_changes)
        self._lane.deferred_calls.over(call.key)

    def _fail(self, request: CallRequest, outcome: CallOutcome, error: RaisedError) -> None:
        decision = self._judge(request, outcome)
        failure = failure_of(request, error, time.time())
        if decision.outcome == "defer":
            self._put_off_again(request, failure, error)
        elif decision.action == "wait for site":
            site_health = self._lane_plugin.services.contact.health
            if site_health is not None:
                site_health.want()
            later_call = self._call._replace(reason=decision.reason)
            self._record_later(later_call, OUTAGE_WAIT, Step())
        else:
            self._carry_out(replace(failure, outcome=decision.outcome), decision, outcome)

    def _judge(self, request: CallRequest, outcome: CallOutcome) -> Decision:
        lane_plugin, worker_end = self._lane_plugin, NO_END
        site_health, hung_call = lane_plugin.services.contact.health, lane_plugin.hung
        is_judged_now = site_health is None or hung_call is not None
        if outcome.ended_worker:
            is_repeated = outcome.death is not None and self._call.begun + 1 < PROVED_LIMIT
            worker_end = WorkerEnd(is_repeated, FIRST_WAIT)
        circumstances = Circumstances(
            rules_of(request.callback, lane_plugin.rules),
            self._attempt,
            lane_plugin.failures_with_this,
            None if is_judged_now or site_health is None else site_health.is_down,
            hang_reason=None if hung_call is None else hung_call.reason,
            worker_end=worker_end,
            jitter=random.random(),  # noqa: S311 - no secret
        )
        return judge_call(outcome, circumstances)

    def _put_off_again(self, request: CallRequest, failure: Failure, error: RaisedError) -> None:
        defer_limit, current_time = (
            self._lane_plugin.defer_limit,
            self._lane.deferred_calls.clock(),
        )
        put_off_call = put_off(
            request,
            self._call.era,
            error,
            self._call,
            defer_limit=defer_limit,
            current_time=current_time,
        )
        if put_off_call is None:
            self._record_end(failure_at_limit(failure, error, defer_limit), Step())
            return
        self._lane.ledger.record(Step(deferred=self._deferred_event._replace(call=put_off_call)))
        self._lane.deferred_calls.add(put_off_call)
        self._lane.announcer.deferred(put_off_call, put_off_call.due_at - current_time)

    def _carry_out(self, failure: Failure, decision: Decision, outcome: CallOutcome) -> None:
        """Record a failure, and hold or pause its plugin if that was decided."""
        step = self._stop_plugin(decision)
        if decision.is_finished:
            self._record_end(failure, step)
            return
        later_call = self._call._replace(reason=f"attempt {self._attempt}: {failure.error}")
        if outcome.death is not None:
            later_call = later_call._replace(begun=self._call.begun + 1)
        elif not outcome.unmade:
            later_call = later_call._replace(attempts=self._attempt, begun=0)
        step.failure, step.failure_event = failure, self._source
        step.settled = (failure.plugin, failure.callback, failure.seq)
        number = self._record_later(later_call, decision.hold_seconds, step)
        self._announce(failure, number)

    def _record_later(self, later_call: DeferredCall, seconds: float, step: Step) -> int:
        """Record that the call is made again later; return the number of the step's failure."""
        due_at = self._lane.deferred_calls.clock() + seconds
        later_call = later_call._replace(due_at=due_at)
        step.deferred = self._deferred_event._replace(call=later_call)
        failure_number = self._lane.ledger.record(step)
        self._lane.deferred_calls.add(later_call)
        return failure_number

    def _stop_plugin(self, decision: Decision) -> Step:
        """Pause the plugin, or hold it until its call returns; return the step that records it."""
        record = self._lane_plugin.record
        if decision.action not in {"pause", "wait for call"} or record.state != "active":
            return Step()
        record.leave_lane(self._lane.access.progress_by(record))
        if decision.action == "pause":
            record.pause(decision.reason)
        else:
            self._lane_plugin.wait_for_call(decision.reason)
        return Step(plugins=[record])

    def _record_end(self, failure: Failure, step: Step) -> None:
        """Record a call that failed for good, or is skipped."""
        step.failure, step.dead = failure, failure.outcome == "dead-letter"
        step.failure_event, step.no_more_deferred = self._source, self._call.key
        step.settled = (failure.plugin, failure.callback, failure.seq)
        if step.dead:
            self._lane_plugin.give_up()
        failure_number = self._lane.ledger.record(step)
        self._lane.deferred_calls.over(self._call.key)
        self._announce(failure, failure_number)

    def _announce(self, failure: Failure, failure_number: int) -> None:
        event = Event({"id": failure.event_id})
        if self._deferred_event.whole:
            event = event_of(self._source.body, self._lane.scripts)
        later_call = self._lane.deferred_calls.get(self._call.key)
        self._lane.announcer.failed(
            failure,
            event,
            failure_number,
            self._lane_plugin.record,
            next_attempt_at=0.0 if later_call is None else later_call.due_at,
        )
