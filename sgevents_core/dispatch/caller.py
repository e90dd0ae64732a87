"""Calling one callback for one event, and recording the outcome."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from sgevents_core.calling.judging import failure_of
from sgevents_core.calling.making import CallRequest
from sgevents_core.calling.outage import is_put_off, wait_after
from sgevents_core.calling.outcome import CallOutcome, ErrorFacts, RaisedError
from sgevents_core.calling.policy import FailureRules, Verdict, judge
from sgevents_core.calling.store import StoreChanges, recorded
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.lane_plugin import LanePlugin, Waiting
from sgevents_core.dispatch.ledger import LaneLedger
from sgevents_core.events import Event
from sgevents_core.observe.observers import CallObservers
from sgevents_core.plugins.callback import Callback
from sgevents_core.site.health import Standing
from sgevents_core.state.entries import Entry
from sgevents_core.state.failures import Failure
from sgevents_core.state.keys import CallKey
from sgevents_core.state.progress import Progress
from sgevents_core.state.register import APART, LANE, Slot
from sgevents_core.state.steps import Step

Steps: TypeAlias = Sequence[tuple[int, Callback]]


class Call(CallRequest):
    """One call of a callback for an event of the journal.

    Args:
        word: The register word that records it: the lane's, or that of a plugin catching up.
        entry: The event's place in the journal.
        event: The event.
        steps: All callbacks for the event's type, with their indices in the plan.
        number: The index of the current one.
        lane_plugin: Its plugin.
    """

    __slots__ = ("entry", "lane_plugin", "number", "steps", "word")

    def __init__(
        self,
        word: int,
        entry: Entry,
        event: Event,
        steps: Steps,
        *,
        number: int,
        lane_plugin: LanePlugin,
    ) -> None:
        # There is one for each call: the base class's fields are set here, as that is faster.
        self.callback = steps[number][1]
        self.event = event
        self.source = self.entry = entry
        self.services = lane_plugin.services
        self.attempt = 1
        self.runs_filter = self.was_called = False
        self.context = None
        self.began = 0.0
        self.word = word
        self.steps = steps
        self.number = number
        self.lane_plugin = lane_plugin

    @property
    def created(self) -> float:
        """When the event was created, in seconds since 1970."""
        return self.entry.created

    @property
    def number_in_lane(self) -> int:
        """The callback's index among all callbacks of its lane."""
        return self.steps[self.number][0]

    def apart(self) -> Call:
        """Return the same call as that of a plugin separate from its lane."""
        call = Call(
            APART,
            self.entry,
            self.event,
            self.steps,
            number=self.number,
            lane_plugin=self.lane_plugin,
        )
        call.attempt = self.attempt
        return call


def key_of(callback: Callback) -> CallKey:
    """Return the key of a callback among those of all plugins."""
    return CallKey(callback.plugin, callback.name)


class Caller:
    """The caller of a lane's callbacks; it records each outcome before the next call.

    Args:
        ledger: The lane's access to the journal and the ledger.
        register: The words of its strand in the lane's register.
        keys: The callbacks in the order of the plan.
        tried: `(callback, seq)` -> attempts so far, for calls that are not settled.
        announcer: Reports failures to people and plugins.
        observers: Notified when calls begin and end.

    `resumed` holds the callbacks that an earlier process finished for the current event.
    """

    def __init__(
        self,
        ledger: LaneLedger,
        register: Slot,
        *,
        keys: Sequence[CallKey],
        tried: dict[tuple[CallKey, int], int],
        announcer: Announcer,
        observers: CallObservers,
    ) -> None:
        self.resumed: frozenset[CallKey] = frozenset()
        self._ledger = ledger
        self._register = register
        self._keys = keys
        self._tried = tried
        self._announcer = announcer
        self._observers = observers

    def call(self, call: Call) -> bool:
        """Call the callback if it wants the event; return False if its plugin stops at this event.

        Raises:
            StateError: The outcome cannot be recorded and the lane must end.
        """
        index, callback = call.steps[call.number]
        if is_unwanted(call, callback.match.may_accept_routed):
            return True
        entry, lane_plugin = call.entry, call.lane_plugin
        attempt = call.attempt = self._attempts(index, entry.seq) + 1
        self._register.begun(call.word, entry.seq, index, attempt)
        limit = lane_plugin.limit(callback)
        for begins in self._observers.began:
            begins(call, limit)
        outcome = lane_plugin.executor.call(call, limit)
        try:
            if outcome.is_unwanted:
                stays = self._pass_over(call)
            else:
                lane_plugin.meet(entry.seq)
                stays = self._settle(call, outcome)
        finally:
            if outcome.store_changes is not None:
                call.release_store()
        if stays:
            self._register.returned(call.word, entry.seq, index)
        else:
            self._note_stop(call)
        return stays

    def _pass_over(self, call: Call) -> bool:
        """Record that the filter did not want the event; return True."""
        for passed in self._observers.passed:
            passed(call)
        self._succeed(call, None)  # a counted death in its filter is settled
        return True

    def _attempts(self, index: int, seq: int) -> int:
        """Return how often a callback was tried for an event; for most events there is no entry."""
        return self._tried.get((self._keys[index], seq), 0) if self._tried else 0

    def _settle(self, call: Call, outcome: CallOutcome) -> bool:
        """Record the outcome of a call; return False if its plugin stops at this event."""
        lane_plugin = call.lane_plugin
        for ends in self._observers.ended:
            ends(call, call.began, outcome.seconds, outcome.error)
        if outcome.error is None:
            lane_plugin.put_off = 0
            self._succeed(call, outcome.store_changes)
            return lane_plugin.breaker is None or not self._loops(call, outcome)
        return self._fail(call, outcome, outcome.error) and not self._loops(call, outcome)

    def _note_stop(self, call: Call) -> None:
        """Record in the register that a call is over after which its plugin stops.

        If the plugin is separate from its lane, the ledger already says whether the call is
        repeated: the register must not contradict it.
        """
        if call.word == LANE:
            self._register.returned(call.word, call.entry.seq, call.steps[call.number][0])
        else:
            self._register.clear(call.word)

    def forget(self, plugin: str, seq: int) -> None:
        """Forget how often a plugin's callbacks were tried for an event that it has finished."""
        for key in [key for key in self._tried if key[1] == seq]:
            if key[0].plugin == plugin:
                del self._tried[key]

    def _succeed(self, call: Call, changes: StoreChanges | None) -> None:
        """Commit what a success changes: the store, the end of attempts and of failures."""
        if not (changes or self._tried or call.lane_plugin.recovered):
            return
        index, callback = call.steps[call.number]
        record = call.lane_plugin.record
        tried = self._tried.pop((self._keys[index], call.entry.seq), 0)
        if not (changes or tried or call.lane_plugin.recovered):
            return
        call.lane_plugin.recovered = False
        step = self._finished(call)
        if changes:
            step.store = {record.name: recorded(changes)}
        if tried:
            step.settled = (record.name, callback.name, call.entry.seq)
        self._ledger.record(step)
        if changes:
            call.services.store.commit(changes)

    def _finished(self, call: Call) -> Step:
        """Return the step that records the callback as finished for this event."""
        step = Step(plugins=[call.lane_plugin.record])
        if call.word == LANE:
            done = frozenset(self._keys[index] for index, _ in call.steps[: call.number + 1])
            step.progress = Progress.at(call.entry.seq, done | self.resumed)
        elif call.lane_plugin.record.apart:
            call.lane_plugin.record.finish_callback(self._keys[call.steps[call.number][0]])
        return step

    def _fail(self, call: Call, outcome: CallOutcome, error: RaisedError) -> bool:
        """Judge a failure, now or once the site answers; return False if the plugin stops."""
        failure = failure_of(call, error, time.time())
        if self._is_put_off(call, outcome):
            self._put_off(call, error.facts, failure)
            return False
        return self._charge(call, error.facts, failure)

    def _is_put_off(self, call: Call, outcome: CallOutcome) -> bool:
        """Return whether to put off judging a failure; events that may be skipped do not wait."""
        if rules_of(call.callback, call.lane_plugin.rules).on_error == "skip":
            return False
        return is_put_off(outcome, call.services.contact.health)

    def _put_off(self, call: Call, facts: ErrorFacts, failure: Failure) -> None:
        """Hold the plugin until it is clear whether the site or the call was at fault."""
        self._leave_lane(call)
        waiting = Waiting(call.apart(), facts, failure, time.monotonic())
        call.lane_plugin.wait_for_site(waiting, wall=time.time())
        self._ledger.record(self._passed(call))
        health = call.services.contact.health
        if health is not None:
            health.want()

    def look_at_the_site(self, lane_plugin: LanePlugin) -> None:
        """Continue a plugin that waited for the site, or judge the call it waited with."""
        waiting, health = lane_plugin.waiting, lane_plugin.services.contact.health
        if waiting is None or health is None:
            return
        if lane_plugin.record.state != "held":  # a person has decided meanwhile
            lane_plugin.waiting = None
            return
        standing = health.standing(waiting.failed)
        if standing is Standing.DOWN:
            self._tell_once(lane_plugin, waiting, health.outages)
        elif standing is Standing.OVER:
            now = time.monotonic()
            wait = wait_after(lane_plugin.put_off, random.random())  # noqa: S311 - no secret
            asked = waiting.failed + (waiting.facts.retry_after or 0.0)
            lane_plugin.site_is_back(max(now + wait, asked))
        elif standing is Standing.OWN:
            lane_plugin.waiting, lane_plugin.put_off = None, 0
            lane_plugin.record.resume()
            self._charge(waiting.call, waiting.facts, waiting.failure)

    def _tell_once(self, lane_plugin: LanePlugin, waiting: Waiting, outage: int) -> None:
        """Report that a plugin waits for the site, once per outage."""
        if lane_plugin.told_outage != outage:
            lane_plugin.told_outage = outage
            failure = waiting.failure
            self._announcer.waits_for_site(failure.plugin, failure.event_id, failure.error)

    def _charge(self, call: Call, facts: ErrorFacts, failure: Failure) -> bool:
        """Apply the failure policy; return False if the plugin stops at this event."""
        index, callback = call.steps[call.number]
        key = (self._keys[index], call.entry.seq)
        rules = rules_of(callback, call.lane_plugin.rules)
        verdict = judge(facts, call.attempt, rules, random.random())  # noqa: S311 - no secret
        failure = replace(failure, outcome=verdict.outcome)
        stays = self._stays(call, verdict, failure) and not self._hangs(call)
        if verdict.outcome in {"dead-letter", "skip"}:
            self._tried.pop(key, None)
            step = self._finished(call)
            step.settled = (failure.plugin, failure.callback, call.entry.seq)
        else:
            self._tried[key] = call.attempt
            step = self._passed(call)
        step.failure, step.dead = failure, verdict.outcome == "dead-letter"
        number = self._ledger.record(step)
        self._announcer.failed(failure, call.event, number, call.lane_plugin.record)
        return stays

    def _passed(self, call: Call) -> Step:
        """Return the step that lets the lane continue without the callback's plugin."""
        step = self._finished(call) if call.word == LANE else Step()
        step.plugins = [call.lane_plugin.record]
        return step

    def _stays(self, call: Call, verdict: Verdict, failure: Failure) -> bool:
        """Change the plugin's record according to the verdict; return False if it stops here."""
        lane_plugin = call.lane_plugin
        if verdict.outcome == "retry":
            self._leave_lane(call)
            lane_plugin.hold(failure.error, verdict.after, now=time.monotonic(), wall=time.time())
            return False
        if verdict.outcome == "pause":
            self._leave_lane(call)
            lane_plugin.record.pause(f'on_error = "pause": {failure.error}')
            return False
        if verdict.outcome == "skip":
            return True
        lane_plugin.give_up()
        if lane_plugin.record.failures >= lane_plugin.rules.pause_after:
            self._leave_lane(call, finished=True)
            lane_plugin.record.pause(
                f"{lane_plugin.record.failures} failures in a row, the last: {failure.error}"
            )
            return False
        return True

    def _hangs(self, call: Call) -> bool:
        """Hold the plugin if the call timed out and still runs; return whether it does."""
        hung = call.lane_plugin.hung
        if hung is None:
            return False
        self._leave_lane(call, finished=True)
        call.lane_plugin.wait_for(hung)
        return True

    def _loops(self, call: Call, outcome: CallOutcome) -> bool:
        """Pause the plugin if its own writes keep calling it; return whether they do."""
        lane_plugin, breaker = call.lane_plugin, call.lane_plugin.breaker
        if breaker is None:
            return False
        if not breaker.trips(call.event, call.entry.created, outcome.writes):
            return False
        self._leave_lane(call, finished=True)
        lane_plugin.record.pause(breaker.reason)
        self._ledger.record(self._passed(call))
        self._announcer.paused(lane_plugin.record, call.event)
        return True

    def _leave_lane(self, call: Call, *, finished: bool = False) -> None:
        """Stop the plugin at the event of a call, or after the call if that is finished."""
        before = call.steps[: call.number + finished]
        done = frozenset(self._keys[index] for index, _ in before)
        record = call.lane_plugin.record
        record.stop_at(Progress.at(call.entry.seq, done).of(record.name))


def is_unwanted(request: CallRequest, may_accept: Callable[[Event], bool]) -> bool:
    """Return whether the static part of the filter rejects the event.

    The filter's own code is left to the call, since it may hang or end the process like the
    callback; so is a comparison that raised, as compared values may be a plugin's too.

    Args:
        request: The call.
        may_accept: What is still to be asked of the filter: `may_accept` if the event's type is
            known to be accepted, `may_accept_routed` if its route is.
    """
    request.runs_filter = request.callback.match.where is not None
    try:
        return not may_accept(request.event)
    except BaseException:  # the call raises the same
        request.runs_filter = True
        return False


def rules_of(callback: Callback, rules: FailureRules) -> FailureRules:
    """Return the failure policy of a callback of a plugin that has `rules`."""
    if callback.on_error is None:
        return rules
    return FailureRules(callback.on_error, rules.max_attempts, rules.pause_after)
