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
from sgevents_core.calling.judging import REPEATED_RULES, Circumstances, failure_of, judge_call
from sgevents_core.calling.making import CallRequest, Hung
from sgevents_core.calling.outcome import CallOutcome
from sgevents_core.calling.store import StoreChanges, recorded_changes
from sgevents_core.dispatch.caller import is_unwanted
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.strand import SLICE_SECONDS
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

MAX_DEATHS: Final = 2
"""How often a call that a person asked for is begun if the process dies in it."""
MAX_NAMED_LETTERS: Final = 20
"""The most dead letters named in the answer to a replay."""


def retry(work: RequestWork) -> bool:
    """Call the callback of a dead letter once more; a success settles it."""
    with closing(open_state(work.state_folder).letters()) as dead_letters:
        letter = dead_letters.get(int(work.request.detail["letter"]))
    if letter is None or not letter.dead:
        return work.refuse("that dead letter no longer exists")
    if work.lane_plugin is None:
        return work.refuse(_not_loaded_reason(work))
    callback = _find_callback(work.lane_plugin, letter.failure.callback)
    if callback is None:
        refusal_text = (
            f"the plugin has no callback {letter.failure.callback} any more: dismiss the letter"
        )
        return work.refuse(refusal_text)
    if work.request.begun >= MAX_DEATHS:
        return _give_up_letter(work, letter)
    if not letter.whole:
        refusal_text = (
            f"its event cannot be read: dismiss it, and replay event {letter.failure.event_id}"
        )
        return work.refuse(refusal_text)
    return _retry_in_strand(work, work.lane_plugin, callback, letter)


def _retry_in_strand(
    work: RequestWork, whole_plugin: LanePlugin, callback: Callback, letter: Letter
) -> bool:
    replayed_event = ReplayEvent(
        letter.era, letter.failure.seq, letter.failure.event_id, letter.body
    )
    lane_plugin = work.lane.claim_for_call(whole_plugin, replayed_event)
    if lane_plugin is None:
        return False
    try:
        wait_reason = _reason_to_wait(lane_plugin)
        if wait_reason is not None:
            return work.refuse(f"{wait_reason}: ask again then")
        return _retry_call(work, lane_plugin, callback, letter, replayed_event)
    finally:
        work.lane.release_after_call(lane_plugin)


def replay(work: RequestWork) -> bool:
    """Replay events for one slice of time; return True once the last one was replayed."""
    if work.lane_plugin is None:
        return work.refuse(_not_loaded_reason(work))
    if work.lane_plugin.late:
        return work.refuse(f"{_reason_to_wait(work.lane_plugin)}: ask again then")
    return _ReplaySlice(work, work.lane_plugin).run()


def settle_failure(failure: Failure, outcome: FailureOutcome) -> Failure:
    """Return the record of a settled dead letter: `retried` or `dismissed`."""
    return replace(failure, outcome=outcome)


def _not_loaded_reason(work: RequestWork) -> str:
    return f"plugin {work.plugin_record.name} is not loaded: sgevents plugins list says why"


def _reason_to_wait(lane_plugin: LanePlugin) -> str | None:
    """Return why none of a plugin's callbacks may be called now; None if they may."""
    if lane_plugin.late:
        return lane_plugin.record.reason or "its startup waits for the site"
    return None if lane_plugin.hung is None else lane_plugin.hung.reason


def _find_callback(lane_plugin: LanePlugin, callback_name: str) -> Callback | None:
    return next(
        (callback for callback in lane_plugin.plugin.callbacks if callback.name == callback_name),
        None,
    )


def _retry_call(
    work: RequestWork,
    lane_plugin: LanePlugin,
    callback: Callback,
    letter: Letter,
    replayed_event: ReplayEvent,
) -> bool:
    attempt_number = letter.failure.attempt + 1 + work.request.begun
    own_failure = work.lane.errands.own_fault(work.request.number)
    if own_failure is not None:
        return _keep_letter(work, lane_plugin, letter, own_failure)
    work.requests.begin(work.request.number)
    event = event_of(letter.body, work.lane.scripts)
    request = CallRequest(callback, event, replayed_event, lane_plugin.services, attempt_number)
    try:
        repeated_call = _make_repeated_call(lane_plugin, request, work.lane.observers)
        if repeated_call.call_failure is None:
            return _settle_letter(work, lane_plugin, letter, request, repeated_call.store_changes)
        if repeated_call.waits_for_site:
            return _wait_for_site(
                work, lane_plugin, repeated_call.call_failure, work.request.progress
            )
        return _keep_letter(work, lane_plugin, letter, repeated_call.call_failure)
    finally:
        request.release_store()


def _settle_letter(
    work: RequestWork,
    lane_plugin: LanePlugin,
    letter: Letter,
    request: CallRequest,
    store_changes: StoreChanges | None,
) -> bool:
    call_text = f"{request.callback_name} got event {request.event_id}"
    answer = RequestAnswer("done", f"dead letter {letter.number} was handled: {call_text}")
    settled_failure = replace(settle_failure(letter.failure, "retried"), attempt=request.attempt)
    step = _step_with_store(lane_plugin, store_changes)
    work.close(step, answer, LetterChange(letter.number, settled_failure, dead=False))
    _commit_store(lane_plugin, store_changes)
    return True


def _keep_letter(
    work: RequestWork, lane_plugin: LanePlugin, letter: Letter, failure: Failure
) -> bool:
    answer_text = f"dead letter {letter.number} failed again: {failure.error}"
    letter_change = LetterChange(letter.number, failure, dead=True)
    return work.close(
        _hold_plugin(work, lane_plugin), RequestAnswer("failed", answer_text), letter_change
    )


def _give_up_letter(work: RequestWork, letter: Letter) -> bool:
    death_text = f"the process died {work.request.begun} times while it was retried"
    failure = replace(
        letter.failure, error=f"ProcessDied: {death_text}", traceback="", at=time.time()
    )
    return work.close(
        Step(), RequestAnswer("failed", death_text), LetterChange(letter.number, failure, dead=True)
    )


def _step_with_store(lane_plugin: LanePlugin, store_changes: StoreChanges | None) -> Step:
    return Step(
        store={lane_plugin.record.name: recorded_changes(store_changes)} if store_changes else {}
    )


def _commit_store(lane_plugin: LanePlugin, store_changes: StoreChanges | None) -> None:
    if store_changes:
        lane_plugin.services.store.commit(store_changes)


def _hold_plugin(work: RequestWork, lane_plugin: LanePlugin) -> Step:
    """Hold a plugin if a call of it timed out and hangs; return the step that records it."""
    hung_call = lane_plugin.hung
    if hung_call is None or lane_plugin.record.state != "active":
        return Step()
    lane_plugin.record.leave_lane(work.lane.progress_by(lane_plugin.record))
    lane_plugin.wait_for_call(hung_call.reason)
    return Step(plugins=[lane_plugin.record])


class _RepeatedCall(NamedTuple):
    """The outcome of a call.

    Args:
        call_failure: How it failed, if it did.
        was_called: Whether the callback's filter wanted the event.
        store_changes: What it changed in its store.
        waits_for_site: Whether it seems to have failed because the site did not answer.
    """

    call_failure: Failure | None
    was_called: bool = True
    store_changes: StoreChanges | None = None
    waits_for_site: bool = False


def _make_repeated_call(
    lane_plugin: LanePlugin, request: CallRequest, observers: CallObservers
) -> _RepeatedCall:
    """Make a call where its plugin's calls are made; return the outcome."""
    time_limit = lane_plugin.limit(request.callback)
    for call_observer in observers.began:
        call_observer(request, time_limit)
    outcome = lane_plugin.executor.call(request, time_limit)
    _report_end(observers, request, outcome)
    if outcome.error is None:
        return _RepeatedCall(None, not outcome.is_unwanted, outcome.store_changes)
    site_health = lane_plugin.services.contact.health
    is_judged_now = site_health is None or lane_plugin.hung is not None
    is_site_down = None if is_judged_now or site_health is None else site_health.is_down
    decision = judge_call(outcome, Circumstances(REPEATED_RULES, is_site_down=is_site_down))
    failure = failure_of(request, outcome.error, time.time(), "dead-letter")
    return _RepeatedCall(failure, waits_for_site=decision.action == "wait for site")


def _report_end(observers: CallObservers, request: CallRequest, outcome: CallOutcome) -> None:
    if outcome.is_unwanted:
        for call_observer in observers.passed:
            call_observer(request)
        return
    for ends in observers.ended:
        ends(request, request.began_at, outcome.seconds, outcome.error)


def _wait_for_site(
    work: RequestWork, lane_plugin: LanePlugin, failure: Failure, progress_fields: dict[str, Any]
) -> bool:
    """Put a request off until the site answers, keeping its progress; return False."""
    site_health = lane_plugin.services.contact.health
    work.lane.ledger.record(Step(request=RequestStep(work.request.number, progress_fields)))
    if site_health is not None:
        work.lane.errands.put_off(work.request.number, failure, site_health)
    return False


class _ReplaySlice:
    """One slice of a replay."""

    def __init__(self, work: RequestWork, lane_plugin: LanePlugin) -> None:
        self._work = work
        self._whole_plugin = self._lane_plugin = lane_plugin
        self._begun_count = work.request.begun
        self._waits_for_site = False
        self._event_index = 0
        self._call_count = 0
        self._failed_count = 0
        self._letter_numbers: list[int] = []
        self._done_callbacks: list[str] = []
        self._load_progress(**work.request.progress)

    def run(self) -> bool:
        """Replay for one slice of time; return True once the last event was replayed."""
        request_number, requests = (self._work.request.number, self._work.requests)
        slice_end = time.monotonic() + SLICE_SECONDS
        while (
            replayed_event := requests.replay_event(request_number, self._event_index)
        ) is not None:
            lane_plugin = self._work.lane.claim_for_call(self._whole_plugin, replayed_event)
            if lane_plugin is None:
                return False
            self._lane_plugin = lane_plugin
            try:
                hung_call = self._call_callbacks(replayed_event)
            finally:
                self._work.lane.release_after_call(lane_plugin)
            if self._waits_for_site:
                return False
            if hung_call is not None:
                return self._work.close(Step(), self._hung_answer(replayed_event, hung_call))
            self._event_index, self._done_callbacks = self._event_index + 1, []
            self._record_step(RequestStep(request_number, self._progress_fields()))
            if time.monotonic() > slice_end:
                return False
        return self._work.close(Step(), self._summary_answer())

    def _load_progress(
        self,
        place: int = 0,
        calls: int = 0,
        failed: int = 0,
        named: Iterable[int] = (),
        done: Iterable[str] = (),
    ) -> None:
        self._event_index, self._call_count, self._failed_count = place, calls, failed
        self._letter_numbers, self._done_callbacks = list(named), list(done)

    def _record_step(self, request_step: RequestStep) -> None:
        self._work.lane.ledger.record(Step(request=request_step))

    def _progress_fields(self) -> dict[str, Any]:
        return {
            "place": self._event_index,
            "calls": self._call_count,
            "failed": self._failed_count,
            "named": self._letter_numbers,
            "done": self._done_callbacks,
        }

    def _count_given_up(self, replayed_event: ReplayEvent, death_count: int) -> None:
        self._failed_count += 1
        log_text = "The process died %d times while event %d was replayed; the call is passed over"
        plugin_name = self._lane_plugin.record.name
        extra = {
            "action": "replay.died",
            "plugin": plugin_name,
            "event_id": replayed_event.event_id,
        }
        logger.error(log_text, death_count, replayed_event.event_id, extra=extra)

    def _call_callbacks(self, replayed_event: ReplayEvent) -> Hung | None:
        """Pass an event to the callbacks that are not recorded as finished with it.

        Return the call that hangs and blocks the others; None if all are done or one waits.
        """
        event = event_of(replayed_event.body, self._work.lane.scripts)
        for callback in self._lane_plugin.plugin.callbacks:
            if (
                callback.accepts_type(event.event_type)
                and callback.name not in self._done_callbacks
            ):
                if self._lane_plugin.hung is not None:
                    return self._lane_plugin.hung
                self._done_callbacks.append(callback.name)
                self._replay_call(callback, replayed_event, event)
            if self._waits_for_site:
                break
        return None

    def _replay_call(self, callback: Callback, replayed_event: ReplayEvent, event: Event) -> None:
        begun_count, self._begun_count = self._begun_count, 0
        if begun_count >= MAX_DEATHS:
            self._count_given_up(replayed_event, begun_count)
            self._record_step(RequestStep(self._work.request.number, self._progress_fields()))
            return
        request_number = self._work.request.number
        own_failure = self._work.lane.errands.own_fault(request_number)
        if own_failure is not None:
            self._settle_call(callback, replayed_event, _RepeatedCall(own_failure))
            return
        self._work.requests.begin(request_number)
        services = self._lane_plugin.services
        request = CallRequest(callback, event, replayed_event, services, begun_count + 1)
        try:
            repeated_call = _RepeatedCall(None, was_called=False)
            if not is_unwanted(request, callback.match.may_accept):
                repeated_call = _make_repeated_call(
                    self._lane_plugin, request, self._work.lane.observers
                )
            self._settle_call(callback, replayed_event, repeated_call)
        finally:
            request.release_store()

    def _settle_call(
        self, callback: Callback, replayed_event: ReplayEvent, repeated_call: _RepeatedCall
    ) -> None:
        """Record the outcome of a call, or put the replay off until the site answers."""
        if repeated_call.call_failure is not None and repeated_call.waits_for_site:
            self._done_callbacks.remove(callback.name)
            self._waits_for_site = not _wait_for_site(
                self._work, self._lane_plugin, repeated_call.call_failure, self._progress_fields()
            )
            return
        self._call_count += repeated_call.was_called
        self._record_call(
            callback, replayed_event, repeated_call.call_failure, repeated_call.store_changes
        )

    def _record_call(
        self,
        callback: Callback,
        replayed_event: ReplayEvent,
        failure: Failure | None,
        store_changes: StoreChanges | None,
    ) -> None:
        """Commit atomically that a call is done, its store changes, and its effect on dead letters.

        Written separately, a process that dies in between would do one of them twice.
        """
        with closing(open_state(self._work.state_folder).letters()) as dead_letters:
            letter = dead_letters.of_call(
                callback.plugin, callback.name, replayed_event.seq, replayed_event.event_id
            )
        letter_change = None
        if failure is not None:
            letter_number = letter.number if letter else None
            letter_change = LetterChange(
                letter_number, failure, dead=True, era=replayed_event.era, body=replayed_event.body
            )
            self._failed_count += 1
        elif letter is not None:
            letter_change = LetterChange(
                letter.number, settle_failure(letter.failure, "retried"), dead=False
            )
        if failure is None:
            step = _step_with_store(self._lane_plugin, store_changes)
        else:
            step = _hold_plugin(self._work, self._lane_plugin)
        step.request = RequestStep(
            self._work.request.number, self._progress_fields(), letter=letter_change
        )
        letter_number = self._work.lane.ledger.record(step)
        if failure is None:
            _commit_store(self._lane_plugin, store_changes)
        else:
            self._letter_numbers = [*self._letter_numbers, letter_number][:MAX_NAMED_LETTERS]

    def _hung_answer(self, replayed_event: ReplayEvent, hung_call: Hung) -> RequestAnswer:
        summary_text = self._summary_answer().text
        remaining_text = f"event {replayed_event.event_id} and those behind it are not replayed"
        return RequestAnswer(
            "failed", f"{summary_text}; {hung_call.reason}; {remaining_text}: ask again then"
        )

    def _summary_answer(self) -> RequestAnswer:
        summary_text = (
            f"replayed {counted(self._event_index, 'event')} in {counted(self._call_count, 'call')}"
        )
        if not self._failed_count:
            return RequestAnswer("done", summary_text)
        summary_text += f", {self._failed_count} failed"
        letters_text = ", ".join(map(str, self._letter_numbers))
        return RequestAnswer(
            "failed",
            f"{summary_text}; kept as dead letters: {letters_text}"
            if letters_text
            else summary_text,
        )
