"""Calling one callback for one event, and recording the outcome."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from sgevents_core.calling.deaths import (
    FIRST_WAIT,
    count_death,
    died_too_often,
    first_death,
)
from sgevents_core.calling.deferral import failure_at_limit, put_off
from sgevents_core.calling.judging import (
    NO_END,
    RETURNED,
    Circumstances,
    Decision,
    WorkerEnd,
    failure_of,
    judge_call,
    step_for,
)
from sgevents_core.calling.making import CallRequest
from sgevents_core.calling.outage import wait_after
from sgevents_core.calling.outcome import CallOutcome, RaisedError
from sgevents_core.calling.policy import FailureRules
from sgevents_core.calling.store import StoreChanges, recorded_changes
from sgevents_core.dispatch.lane_parts import LaneParts
from sgevents_core.dispatch.lane_plugin import LanePlugin, Waiting
from sgevents_core.dispatch.ledger import StrandLedger
from sgevents_core.dispatch.plan import PlannedCalls
from sgevents_core.events import Event
from sgevents_core.filters import Match
from sgevents_core.plugins.callback import Callback
from sgevents_core.site.health import Standing
from sgevents_core.state.deferred import DeferredEvent, DeferredKey, IgnoredCall
from sgevents_core.state.entries import Entry
from sgevents_core.state.failures import Failure
from sgevents_core.state.keys import CallKey
from sgevents_core.state.progress import Progress
from sgevents_core.state.register import APART_WORD, LANE_WORD, Slot
from sgevents_core.state.steps import Step

logger = logging.getLogger("sgevents.dispatch")


class Call(CallRequest):
    """One call of a callback for an event of the journal.

    Args:
        word: The register word that records it: the lane's, or that of a plugin catching up.
        entry: The event's place in the journal.
        event: The event.
        planned_calls: All callbacks that may be called for the event.
        position: Which of these it is, from 0.
        lane_plugin: Its plugin.
    """

    __slots__ = (
        "entry",
        "lane_plugin",
        "number_in_lane",
        "planned_calls",
        "position",
        "seq",
        "word",
    )
    number_in_lane: int
    """The callback's index among all callbacks of its lane."""
    seq: int
    """The event's place in the journal."""

    def __init__(  # noqa: PLR0917 - keywords would double the cost of making one
        self,
        word: int,
        entry: Entry,
        event: Event,
        planned_calls: PlannedCalls,
        position: int,
        lane_plugin: LanePlugin,
    ) -> None:
        # One is made for each call, so the base class's fields are set here, which is faster.
        self.number_in_lane, self.callback = planned_calls[position]
        self.event = event
        self.source = self.entry = entry
        self.seq = entry.seq
        self.services = lane_plugin.services
        self.attempt = 1
        self.runs_filter = False
        self.was_called = False
        self.context = None
        self.word = word
        self.planned_calls = planned_calls
        self.position = position
        self.lane_plugin = lane_plugin

    @property
    def created(self) -> float:
        """When the event was created, in seconds since 1970."""
        return self.entry.created

    def apart(self) -> Call:
        """Return the same call as that of a plugin separate from its lane."""
        separate_call = Call(
            APART_WORD, self.entry, self.event, self.planned_calls, self.position, self.lane_plugin
        )
        separate_call.attempt = self.attempt
        separate_call.runs_filter = self.runs_filter
        return separate_call


def key_of(callback: Callback) -> CallKey:
    """Return the key of a callback among those of all plugins."""
    return CallKey(callback.plugin, callback.name)


class Caller:
    """The caller of a lane's callbacks; it records each outcome before the next call.

    Args:
        ledger: The strand's access to the journal and the ledger.
        slot: The words of its strand in the lane's register.
        lane_parts: The data shared with the lane's other strands.

    `resumed` holds the callbacks that an earlier process finished for the current event.
    """

    def __init__(self, ledger: StrandLedger, slot: Slot, lane_parts: LaneParts) -> None:
        self.resumed: frozenset[CallKey] = frozenset()
        self._ledger = ledger
        self._slot = slot
        self._call_keys = lane_parts.call_keys
        self._attempts_by_call = lane_parts.attempts_by_call
        self._deaths_by_call = lane_parts.deaths_by_call
        self._deferred_calls = lane_parts.deferred_calls
        self._announcer = lane_parts.announcer
        self._observers = lane_parts.observers

    def call(self, call: Call) -> bool:
        """Call the callback, first its filter's own code; return False if its plugin stops here.

        Raises:
            StateError: The outcome cannot be recorded and the lane must end.
        """
        callback_index, seq, lane_plugin = call.number_in_lane, call.seq, call.lane_plugin
        if self._attempts_by_call:  # nearly all events have no entry
            call.attempt = self._attempts_by_call.get((self._call_keys[callback_index], seq), 0) + 1
        self._slot.begun(call.word, seq, callback_index, call.attempt)
        time_limit = lane_plugin.limit(call.callback)
        for call_observer in self._observers.began:
            call_observer(call, time_limit)
        outcome = lane_plugin.executor.call(call, time_limit)
        try:
            if outcome.was_called or outcome.error is not None:
                stays = self._record_outcome(call, outcome)
            else:  # its filter did not want the event
                stays = self._record_rejection(call)
        finally:
            if outcome.store_changes is not None:
                call.release_store()
        if stays:
            self._slot.returned(call.word, seq, callback_index)
        else:
            self._record_stop(call)
        return stays

    def _record_rejection(self, call: Call) -> bool:
        """Record that the filter did not want the event; return True."""
        for call_observer in self._observers.passed:
            call_observer(call)
        return self._succeed(call, None)  # a counted death in its filter is settled

    def _record_outcome(self, call: Call, outcome: CallOutcome) -> bool:
        """Record the outcome of a call; return False if its plugin stops at this event."""
        lane_plugin = call.lane_plugin
        lane_plugin.begin_event(call.entry.seq)
        for call_observer in self._observers.ended:
            call_observer(call, call.began_at, outcome.seconds, outcome.error)
        if outcome.error is not None:
            return self._fail(call, outcome, outcome.error)
        lane_plugin.times_put_off = 0
        breaker = lane_plugin.breaker
        may_loop = breaker is not None and (outcome.writes or breaker.counts_every_call)
        if may_loop and self._completes_loop(call, outcome):
            loop_reason = "" if breaker is None else breaker.reason
            loop_decision = judge_call(
                outcome, Circumstances(lane_plugin.rules, loop_reason=loop_reason)
            )
            return self._succeed(call, outcome.store_changes, loop_decision, outcome.ignored)
        has_news = outcome.store_changes or outcome.ignored or lane_plugin.has_recovered
        if not (has_news or self._attempts_by_call):
            return True  # the register alone says that it has returned
        return self._succeed(call, outcome.store_changes, ignored=outcome.ignored)

    def _record_stop(self, call: Call) -> None:
        """Record in the register that a call is over and that its plugin stops after it.

        If the plugin is separate from its lane, the ledger already says whether the call is
        repeated: the register must not contradict it.
        """
        if call.word == LANE_WORD:
            self._slot.returned(call.word, call.seq, call.number_in_lane)
        else:
            self._slot.clear(call.word)

    def forget(self, plugin_name: str, seq: int) -> None:
        """Forget how often a plugin's callbacks were tried for an event that it has finished."""
        for counted_call in list(self._attempts_by_call):
            call_key, counted_seq = counted_call
            if counted_seq == seq and call_key.plugin == plugin_name:
                self._forget_attempts(counted_call)

    def _forget_attempts(self, counted_call: tuple[CallKey, int]) -> int:
        """Forget the attempts and deaths of a call that is settled; return the attempts."""
        self._deaths_by_call.pop(counted_call, None)
        return self._attempts_by_call.pop(counted_call, 0)

    def _succeed(
        self,
        call: Call,
        store_changes: StoreChanges | None,
        decision: Decision = RETURNED,
        ignored: str = "",
    ) -> bool:
        """Commit the changes of a successful call: the store, the end of attempts and of failures.

        `ignored` is why the callback did nothing with its event, if it says so.

        Return False if the plugin stops anyway.
        """
        lane_plugin = call.lane_plugin
        callback_index, callback = call.number_in_lane, call.callback
        record = lane_plugin.record
        attempt_count = self._attempts_by_call.pop(
            (self._call_keys[callback_index], call.entry.seq), 0
        )
        if attempt_count:
            self._deaths_by_call.pop((self._call_keys[callback_index], call.entry.seq), None)
        if decision.stays and not (
            store_changes or attempt_count or lane_plugin.has_recovered or ignored
        ):
            return True
        lane_plugin.has_recovered = False
        ledger_step = self._carry_out_decision(call, decision)
        if store_changes:
            ledger_step.store = {record.name: recorded_changes(store_changes)}
        if ignored:
            ledger_step.ignored = IgnoredCall(record.name, callback.name, call.entry.seq, ignored)
        if attempt_count:
            ledger_step.settled = (record.name, callback.name, call.entry.seq)
        self._ledger.record(ledger_step)
        if store_changes:
            call.services.store.commit(store_changes)
        if not decision.stays:
            self._announcer.paused(record, call.event)
        return decision.stays

    def _carry_out_decision(self, call: Call, decision: Decision) -> Step:
        """Carry out a decision in the plugin's record; return the step that records it."""
        lane_plugin = call.lane_plugin
        done_callbacks = frozenset(
            self._call_keys[callback_index]
            for callback_index, _ in call.planned_calls[: call.position]
        )
        if call.word == LANE_WORD:
            done_callbacks |= self.resumed
        call_key = self._call_keys[call.number_in_lane]
        ledger_step = step_for(
            decision, lane_plugin.record, Progress.at(call.entry.seq, done_callbacks), call_key
        )
        lane_plugin.carry_out(decision, current_time=time.monotonic(), host_time=time.time())
        return ledger_step

    def _fail(self, call: Call, outcome: CallOutcome, error: RaisedError) -> bool:
        """Judge a failure, now or once the site answers; return False if the plugin stops."""
        failure, decision = self._judge_at_once(call, outcome, error)
        if decision.action == "wait for site":
            charge = partial(self._charge_own_fault, call.apart(), outcome, failure)
            retry_after = error.facts.retry_after or 0.0
            self._wait_for_site(
                call, Waiting(failure, time.monotonic(), retry_after, charge), decision
            )
            return False
        if decision.outcome == "defer":
            return self._defer(call, failure, error, decision)
        return self._charge(call, failure, decision)

    def _judge_at_once(
        self, call: Call, outcome: CallOutcome, error: RaisedError
    ) -> tuple[Failure, Decision]:
        """Return a failure and the decision about it, which may be to wait for the site."""
        failure = failure_of(call, error, time.time())
        site_health = call.services.contact.health
        worker_end = self._count_worker_end(call, outcome) if outcome.ended_worker else NO_END
        is_site_down = None if site_health is None else site_health.is_down
        return failure, self._judge_failure(call, outcome, is_site_down, worker_end)

    def _defer(self, call: Call, failure: Failure, error: RaisedError, decision: Decision) -> bool:
        """Put a call off; its plugin goes on, unless something else stops it."""
        defer_limit, current_time = call.lane_plugin.defer_limit, self._deferred_calls.clock()
        entry = call.entry
        earlier = self._deferred_calls.get(
            DeferredKey(call.plugin, call.callback_name, entry.era, entry.event_id)
        )
        put_off_call = put_off(
            call, entry.era, error, earlier, defer_limit=defer_limit, current_time=current_time
        )
        if put_off_call is None:
            failure = failure_at_limit(failure, error, defer_limit)
            return self._charge(call, failure, decision._replace(outcome="dead-letter"))
        counted_call = (self._call_keys[call.number_in_lane], entry.seq)
        self._forget_attempts(counted_call)
        ledger_step = self._carry_out_decision(call, decision)
        ledger_step.settled = (call.plugin, call.callback_name, entry.seq)
        ledger_step.deferred = DeferredEvent(put_off_call, entry.body)
        self._ledger.record(ledger_step)
        self._deferred_calls.add(put_off_call)
        self._announcer.deferred(put_off_call, put_off_call.due_at - current_time)
        if not decision.stays:
            self._announcer.paused(call.lane_plugin.record, call.event)
        return decision.stays

    def _count_worker_end(self, call: Call, outcome: CallOutcome) -> WorkerEnd:
        """Count a call that ended its worker process; return the consequences for the call."""
        ended_workers, death = call.lane_plugin.ended_workers, outcome.death
        is_own = death is None or death.is_proved
        wait_seconds = ended_workers.count_end(time.monotonic()) if is_own else FIRST_WAIT
        slow_reason = ""
        if is_own and ended_workers.are_many:
            slow_reason = ended_workers.reason
            extra = {"action": "plugin.slowed_down", "plugin": call.plugin}
            logger.warning("Plugin %s waits: %s", call.plugin, slow_reason, extra=extra)
        if death is None:
            return WorkerEnd(False, wait_seconds, slow_reason)
        counted_call = (self._call_keys[call.number_in_lane], call.seq)
        call_deaths = self._deaths_by_call.get(counted_call) or first_death(*counted_call)
        call_deaths = count_death(
            call_deaths, death.how, death.traceback, is_proved=death.is_proved
        )
        self._deaths_by_call[counted_call] = call_deaths
        return WorkerEnd(not died_too_often(call_deaths), wait_seconds, slow_reason)

    def _judge_failure(
        self,
        call: Call,
        outcome: CallOutcome,
        is_site_down: bool | None,
        worker_end: WorkerEnd = NO_END,
    ) -> Decision:
        """Return the decision about a failure."""
        lane_plugin = call.lane_plugin
        circumstances = Circumstances(
            rules_of(call.callback, lane_plugin.rules),
            call.attempt,
            lane_plugin.failures_with_this,
            is_site_down,
            hang_reason=None if lane_plugin.hung is None else lane_plugin.hung.reason,
            worker_end=worker_end,
            jitter=random.random(),  # noqa: S311 - no secret
        )
        decision = judge_call(outcome, circumstances)
        breaker = lane_plugin.breaker
        if breaker is None or not decision.stays or not self._completes_loop(call, outcome):
            return decision
        return judge_call(outcome, circumstances._replace(loop_reason=breaker.reason))

    def _wait_for_site(self, call: Call, waiting: Waiting, decision: Decision) -> None:
        """Hold the plugin until it is clear whether the site or the call was at fault."""
        ledger_step = self._carry_out_decision(call, decision)
        call.lane_plugin.wait_for_site(waiting)
        self._ledger.record(ledger_step)
        site_health = call.services.contact.health
        if site_health is not None:
            site_health.want()

    def look_at_the_site(self, lane_plugin: LanePlugin) -> None:
        """Continue a plugin that waited for the site, or judge the call it waited with."""
        waiting, site_health = lane_plugin.waiting, lane_plugin.services.contact.health
        if waiting is None or site_health is None:
            return
        if lane_plugin.record.state != "held":  # a person has decided meanwhile
            lane_plugin.waiting = None
            return
        standing = site_health.standing(waiting.failed_at)
        if standing is Standing.DOWN:
            self._report_wait_once(lane_plugin, waiting, site_health.outages)
        elif standing is Standing.OVER:
            current_time = time.monotonic()
            wait_seconds = wait_after(lane_plugin.times_put_off, random.random())  # noqa: S311 - no secret
            earliest_retry = waiting.failed_at + waiting.retry_after
            lane_plugin.site_is_back(max(current_time + wait_seconds, earliest_retry))
        elif standing is Standing.OWN:
            lane_plugin.waiting, lane_plugin.times_put_off = None, 0
            lane_plugin.record.resume()
            waiting.charge()

    def _charge_own_fault(self, call: Call, outcome: CallOutcome, failure: Failure) -> None:
        """Judge a failure now, and charge it: the site has answered others meanwhile."""
        self._charge(call, failure, self._judge_failure(call, outcome, None))

    def _report_wait_once(
        self, lane_plugin: LanePlugin, waiting: Waiting, outage_number: int
    ) -> None:
        """Report that a plugin waits for the site, once per outage."""
        if lane_plugin.reported_outage != outage_number:
            lane_plugin.reported_outage = outage_number
            failure = waiting.failure
            self._announcer.waits_for_site(failure.plugin, failure.event_id, failure.error)

    def _charge(self, call: Call, failure: Failure, decision: Decision) -> bool:
        """Record and report a failure; return False if the plugin stops at this event."""
        counted_call = (self._call_keys[call.number_in_lane], call.entry.seq)
        failure = replace(failure, outcome=decision.outcome)
        if decision.outcome == "dead-letter":
            call.lane_plugin.give_up()
        ledger_step = self._carry_out_decision(call, decision)
        if decision.is_finished:
            self._forget_attempts(counted_call)
            ledger_step.settled = (failure.plugin, failure.callback, call.entry.seq)
        else:
            self._attempts_by_call[counted_call] = call.attempt
            ledger_step.deaths = (
                [self._deaths_by_call[counted_call]] if counted_call in self._deaths_by_call else []
            )
        ledger_step.failure, ledger_step.dead = failure, decision.outcome == "dead-letter"
        failure_number = self._ledger.record(ledger_step)
        self._announcer.failed(failure, call.event, failure_number, call.lane_plugin.record)
        return decision.stays

    def _completes_loop(self, call: Call, outcome: CallOutcome) -> bool:
        """Return whether the plugin's own writes keep calling it."""
        breaker = call.lane_plugin.breaker
        return breaker is not None and breaker.completes_loop(
            call.event, call.entry.created, outcome.writes
        )


def has_to_ask_filter(
    match: Match, may_accept: Callable[[Event], bool], event: Event
) -> bool | None:
    """Return whether a call has to run its filter first; None if the filter rejects the event.

    The filter's own code is left to the call, since it may hang or end the process like the
    callback; so is a comparison that raised, as compared values may be a plugin's too.

    Args:
        match: The callback's filter.
        may_accept: The part of it still to be checked: `may_accept` if the event's type is known to
            be accepted, `may_accept_routed` if its route is.
        event: The event.
    """
    try:
        return match.where is not None if may_accept(event) else None
    except BaseException:  # the call will raise it again
        return True


def rules_of(callback: Callback, plugin_rules: FailureRules) -> FailureRules:
    """Return the failure policy of a callback of a plugin that has `plugin_rules`."""
    if callback.on_error is None and callback.max_attempts is None:
        return plugin_rules
    return FailureRules(
        callback.on_error or plugin_rules.on_error,
        callback.max_attempts or plugin_rules.max_attempts,
        plugin_rules.pause_after,
    )
