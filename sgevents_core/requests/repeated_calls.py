"""Calls repeated because a person asked: dead letters retried, events replayed.

They run in the thread of the plugin's lane and move no cursor. A call's changes to the plugin's
store are committed together with the record of the call.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from typing import Any, Final, NamedTuple

from sgevents_core.calling.journal_events import event_of
from sgevents_core.calling.judging import (
    REPEATED_RULES,
    Circumstances,
    failure_of,
    judge_call,
)
from sgevents_core.calling.making import CallRequest, Hung
from sgevents_core.calling.outcome import CallOutcome
from sgevents_core.calling.store import StoreChanges, recorded
from sgevents_core.dispatch.caller import is_unwanted
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.strand import SLICE
from sgevents_core.events import Event
from sgevents_core.observe.observers import CallObservers
from sgevents_core.plugins.callback import Callback
from sgevents_core.printable import counted
from sgevents_core.requests.request_work import RequestWork
from sgevents_core.state.failures import Failure, FailureOutcome
from sgevents_core.state.letters import Letter, LetterChange
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import ReplayEvent, RequestAnswer, RequestStep
from sgevents_core.state.steps import Step

logger = logging.getLogger("sgevents.requests")

MOST_DEATHS: Final = 2
"""How often a call that a person asked for is begun if the process dies in it."""
MOST_NAMED: Final = 20
"""The most dead letters named in the answer to a replay."""


def retry(work: RequestWork) -> bool:
    """Call the callback of a dead letter once more; a success settles it."""
    with closing(open_state(work.folder).letters()) as letters:
        letter = letters.get(int(work.request.detail["letter"]))
    if letter is None or not letter.dead:
        return work.refuse("that dead letter no longer exists")
    if work.lane_plugin is None:
        return work.refuse(_not_loaded(work))
    callback = _callback(work.lane_plugin, letter.failure.callback)
    if callback is None:
        text = f"the plugin has no callback {letter.failure.callback} any more: dismiss the letter"
        return work.refuse(text)
    if work.request.begun >= MOST_DEATHS:
        return _killed(work, letter)
    if not letter.whole:
        text = f"its event cannot be read: dismiss it, and replay event {letter.failure.event_id}"
        return work.refuse(text)
    return _retry_in_strand(work, work.lane_plugin, callback, letter)


def _retry_in_strand(
    work: RequestWork, whole: LanePlugin, callback: Callback, letter: Letter
) -> bool:
    replayed = ReplayEvent(letter.era, letter.failure.seq, letter.failure.event_id, letter.body)
    lane_plugin = work.lane.claim_for_call(whole, replayed)
    if lane_plugin is None:
        return False
    try:
        reason = _reason_to_wait(lane_plugin)
        if reason is not None:
            return work.refuse(f"{reason}: ask again then")
        return _retry(work, lane_plugin, callback, letter, replayed)
    finally:
        work.lane.release_after_call(lane_plugin)


def replay(work: RequestWork) -> bool:
    """Replay events for one slice of time; return True once the last one was replayed."""
    if work.lane_plugin is None:
        return work.refuse(_not_loaded(work))
    if work.lane_plugin.late:
        return work.refuse(f"{_reason_to_wait(work.lane_plugin)}: ask again then")
    return _Replay(work, work.lane_plugin).run()


def closed(failure: Failure, outcome: FailureOutcome) -> Failure:
    """Return the record of a settled dead letter: `retried` or `dismissed`."""
    return replace(failure, outcome=outcome)


def _not_loaded(work: RequestWork) -> str:
    return f"plugin {work.record.name} is not loaded: sgevents plugins list says why"


def _reason_to_wait(lane_plugin: LanePlugin) -> str | None:
    """Return why none of a plugin's callbacks may be called now; None if they may."""
    if lane_plugin.late:
        return lane_plugin.record.reason or "its startup waits for the site"
    return None if lane_plugin.hung is None else lane_plugin.hung.reason


def _callback(lane_plugin: LanePlugin, name: str) -> Callback | None:
    return next((one for one in lane_plugin.plugin.callbacks if one.name == name), None)


def _retry(
    work: RequestWork,
    lane_plugin: LanePlugin,
    callback: Callback,
    letter: Letter,
    replayed: ReplayEvent,
) -> bool:
    attempt = letter.failure.attempt + 1 + work.request.begun
    failure = work.lane.errands.own_fault(work.request.number)
    if failure is not None:
        return _failed_again(work, lane_plugin, letter, failure)
    work.requests.begin(work.request.number)
    event = event_of(letter.body, work.lane.scripts)
    request = CallRequest(callback, event, replayed, lane_plugin.services, attempt)
    try:
        repeated = _call(lane_plugin, request, work.lane.observers)
        if repeated.failure is None:
            return _retried(work, lane_plugin, letter, request, repeated.store_changes)
        if repeated.waits:
            return _wait(work, lane_plugin, repeated.failure, work.request.progress)
        return _failed_again(work, lane_plugin, letter, repeated.failure)
    finally:
        request.release_store()


def _retried(
    work: RequestWork,
    lane_plugin: LanePlugin,
    letter: Letter,
    request: CallRequest,
    changes: StoreChanges | None,
) -> bool:
    called = f"{request.callback_name} got event {request.event_id}"
    answer = RequestAnswer("done", f"dead letter {letter.number} was handled: {called}")
    done = replace(closed(letter.failure, "retried"), attempt=request.attempt)
    step = _with_store(lane_plugin, changes)
    work.close(step, answer, LetterChange(letter.number, done, dead=False))
    _commit(lane_plugin, changes)
    return True


def _failed_again(
    work: RequestWork, lane_plugin: LanePlugin, letter: Letter, failure: Failure
) -> bool:
    text = f"dead letter {letter.number} failed again: {failure.error}"
    change = LetterChange(letter.number, failure, dead=True)
    return work.close(_held(work, lane_plugin), RequestAnswer("failed", text), change)


def _killed(work: RequestWork, letter: Letter) -> bool:
    text = f"the process died {work.request.begun} times while it was retried"
    failure = replace(letter.failure, error=f"ProcessDied: {text}", traceback="", at=time.time())
    return work.close(
        Step(), RequestAnswer("failed", text), LetterChange(letter.number, failure, dead=True)
    )


def _with_store(lane_plugin: LanePlugin, changes: StoreChanges | None) -> Step:
    return Step(store={lane_plugin.record.name: recorded(changes)} if changes else {})


def _commit(lane_plugin: LanePlugin, changes: StoreChanges | None) -> None:
    if changes:
        lane_plugin.services.store.commit(changes)


def _held(work: RequestWork, lane_plugin: LanePlugin) -> Step:
    """Hold a plugin if a call of it timed out and hangs; return the step that records it."""
    hung = lane_plugin.hung
    if hung is None or lane_plugin.record.state != "active":
        return Step()
    lane_plugin.record.leave_lane(work.lane.progress_by(lane_plugin.record))
    lane_plugin.wait_for_call(hung.reason)
    return Step(plugins=[lane_plugin.record])


class _RepeatedCall(NamedTuple):
    """The outcome of a call.

    Args:
        failure: How it failed, if it did.
        called: Whether the callback's filter wanted the event.
        store_changes: What it changed in its store.
        waits: Whether it seems to have failed because the site did not answer.
    """

    failure: Failure | None
    called: bool = True
    store_changes: StoreChanges | None = None
    waits: bool = False


def _call(lane_plugin: LanePlugin, request: CallRequest, observers: CallObservers) -> _RepeatedCall:
    """Make a call where its plugin's calls are made; return the outcome."""
    limit = lane_plugin.limit(request.callback)
    for begins in observers.began:
        begins(request, limit)
    outcome = lane_plugin.executor.call(request, limit)
    _observe_end(observers, request, outcome)
    if outcome.error is None:
        return _RepeatedCall(None, not outcome.is_unwanted, outcome.store_changes)
    health = lane_plugin.services.contact.health
    is_judged_now = health is None or lane_plugin.hung is not None
    is_site_down = None if is_judged_now or health is None else health.is_down
    decision = judge_call(outcome, Circumstances(REPEATED_RULES, is_site_down=is_site_down))
    failure = failure_of(request, outcome.error, time.time(), decision.outcome or "dead-letter")
    return _RepeatedCall(failure, waits=decision.action == "wait for site")


def _observe_end(observers: CallObservers, request: CallRequest, outcome: CallOutcome) -> None:
    if outcome.is_unwanted:
        for passed in observers.passed:
            passed(request)
        return
    for ends in observers.ended:
        ends(request, request.began, outcome.seconds, outcome.error)


def _wait(
    work: RequestWork, lane_plugin: LanePlugin, failure: Failure, progress: dict[str, Any]
) -> bool:
    """Put a request off until the site answers, keeping its progress; return False."""
    health = lane_plugin.services.contact.health
    work.lane.ledger.record(Step(request=RequestStep(work.request.number, progress)))
    if health is not None:
        work.lane.errands.put_off(work.request.number, failure, health)
    return False


class _Replay:
    """One slice of a replay."""

    def __init__(self, work: RequestWork, lane_plugin: LanePlugin) -> None:
        self._work = work
        self._whole = self._lane_plugin = lane_plugin
        self._begun = work.request.begun
        self._waits = False
        self._index = 0
        self._calls = 0
        self._failed = 0
        self._named: list[int] = []
        self._done: list[str] = []
        self._load(**work.request.progress)

    def run(self) -> bool:
        """Replay for one slice of time; return True once the last event was replayed."""
        number, requests = self._work.request.number, self._work.requests
        until = time.monotonic() + SLICE
        while (event := requests.replay_event(number, self._index)) is not None:
            lane_plugin = self._work.lane.claim_for_call(self._whole, event)
            if lane_plugin is None:
                return False
            self._lane_plugin = lane_plugin
            try:
                hung = self._call_all(event)
            finally:
                self._work.lane.release_after_call(lane_plugin)
            if self._waits:
                return False
            if hung is not None:
                return self._work.close(Step(), self._cut_short(event, hung))
            self._index, self._done = self._index + 1, []
            self._record(RequestStep(number, self._progress()))
            if time.monotonic() > until:
                return False
        return self._work.close(Step(), self._summary())

    def _load(
        self,
        place: int = 0,
        calls: int = 0,
        failed: int = 0,
        named: Iterable[int] = (),
        done: Iterable[str] = (),
    ) -> None:
        self._index, self._calls, self._failed = place, calls, failed
        self._named, self._done = list(named), list(done)

    def _record(self, step: RequestStep) -> None:
        self._work.lane.ledger.record(Step(request=step))

    def _progress(self) -> dict[str, Any]:
        return {
            "place": self._index,
            "calls": self._calls,
            "failed": self._failed,
            "named": self._named,
            "done": self._done,
        }

    def _pass_over(self, replayed: ReplayEvent, deaths: int) -> None:
        self._failed += 1
        text = "The process died %d times while event %d was replayed; the call is passed over"
        name = self._lane_plugin.record.name
        extra = {"action": "replay.died", "plugin": name, "event_id": replayed.event_id}
        logger.error(text, deaths, replayed.event_id, extra=extra)

    def _call_all(self, replayed: ReplayEvent) -> Hung | None:
        """Pass an event to the callbacks that are not recorded as finished with it.

        Return the call that hangs and blocks the others; None if all are done or one waits.
        """
        event = event_of(replayed.body, self._work.lane.scripts)
        for callback in self._lane_plugin.plugin.callbacks:
            if callback.accepts_type(event.event_type) and callback.name not in self._done:
                if self._lane_plugin.hung is not None:
                    return self._lane_plugin.hung
                self._done.append(callback.name)
                self._replay(callback, replayed, event)
            if self._waits:
                break
        return None

    def _replay(self, callback: Callback, replayed: ReplayEvent, event: Event) -> None:
        begun, self._begun = self._begun, 0
        if begun >= MOST_DEATHS:
            self._pass_over(replayed, begun)
            self._record(RequestStep(self._work.request.number, self._progress()))
            return
        number = self._work.request.number
        failure = self._work.lane.errands.own_fault(number)
        if failure is not None:
            self._settle(callback, replayed, _RepeatedCall(failure))
            return
        self._work.requests.begin(number)
        services = self._lane_plugin.services
        request = CallRequest(callback, event, replayed, services, begun + 1)
        try:
            repeated = _RepeatedCall(None, called=False)
            if not is_unwanted(request, callback.match.may_accept):
                repeated = _call(self._lane_plugin, request, self._work.lane.observers)
            self._settle(callback, replayed, repeated)
        finally:
            request.release_store()

    def _settle(self, callback: Callback, replayed: ReplayEvent, repeated: _RepeatedCall) -> None:
        """Record what a call came to, or put the replay off until the site answers."""
        if repeated.failure is not None and repeated.waits:
            self._done.remove(callback.name)
            self._waits = not _wait(
                self._work, self._lane_plugin, repeated.failure, self._progress()
            )
            return
        self._calls += repeated.called
        self._note(callback, replayed, repeated.failure, repeated.store_changes)

    def _note(
        self,
        callback: Callback,
        replayed: ReplayEvent,
        failure: Failure | None,
        changes: StoreChanges | None,
    ) -> None:
        """Commit atomically that a call is done, its store changes, and its effect on dead letters.

        Written separately, a process that dies in between would do one of them twice.
        """
        with closing(open_state(self._work.folder).letters()) as letters:
            letter = letters.of_call(
                callback.plugin, callback.name, replayed.seq, replayed.event_id
            )
        change = None
        if failure is not None:
            number = letter.number if letter else None
            change = LetterChange(number, failure, dead=True, era=replayed.era, body=replayed.body)
            self._failed += 1
        elif letter is not None:
            change = LetterChange(letter.number, closed(letter.failure, "retried"), dead=False)
        if failure is None:
            step = _with_store(self._lane_plugin, changes)
        else:
            step = _held(self._work, self._lane_plugin)
        step.request = RequestStep(self._work.request.number, self._progress(), letter=change)
        number = self._work.lane.ledger.record(step)
        if failure is None:
            _commit(self._lane_plugin, changes)
        else:
            self._named = [*self._named, number][:MOST_NAMED]

    def _cut_short(self, replayed: ReplayEvent, hung: Hung) -> RequestAnswer:
        text = self._summary().text
        where = f"event {replayed.event_id} and those behind it are not replayed"
        return RequestAnswer("failed", f"{text}; {hung.reason}; {where}: ask again then")

    def _summary(self) -> RequestAnswer:
        text = f"replayed {counted(self._index, 'event')} in {counted(self._calls, 'call')}"
        if not self._failed:
            return RequestAnswer("done", text)
        text += f", {self._failed} failed"
        kept = ", ".join(map(str, self._named))
        return RequestAnswer("failed", f"{text}; kept as dead letters: {kept}" if kept else text)
