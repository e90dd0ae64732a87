"""Dead letters retried because a person asked.

The call runs in the thread of the plugin's lane, or of the worker that has its event's strand.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from typing import Final

from sgevents_core.calling.batches import batch_request
from sgevents_core.calling.journal_events import event_of
from sgevents_core.calling.making import CallRequest
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.plugins.callback import Callback
from sgevents_core.printable import counted
from sgevents_core.requests.repeated_calls import (
    MAX_DEATHS,
    RepeatedCall,
    commit_call,
    find_callback,
    hold_hung_plugin,
    make_repeated_call,
    not_loaded_reason,
    put_off_until_site_answers,
    reason_to_wait,
    settle_failure,
    step_of,
)
from sgevents_core.requests.request_work import RequestWork
from sgevents_core.state.batches import BatchedEvent
from sgevents_core.state.failures import Failure
from sgevents_core.state.letters import Letter, LetterChange
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import ReplayEvent, RequestAnswer
from sgevents_core.state.steps import Step

_NO_BATCHES: Final = (
    "it is the dead letter of a batch, and {} takes single events now: dismiss it, and replay its "
    "events"
)


def retry(work: RequestWork) -> bool:
    """Call the callback of a dead letter once more; a success settles it."""
    with closing(open_state(work.state_folder).letters()) as dead_letters:
        letter = dead_letters.get(int(work.request.detail["letter"]))
    if letter is None or not letter.dead:
        return work.refuse("that dead letter no longer exists")
    if work.lane_plugin is None:
        return work.refuse(not_loaded_reason(work))
    callback = find_callback(work.lane_plugin, letter.failure.callback)
    if callback is None:
        refusal_text = (
            f"the plugin has no callback {letter.failure.callback} any more: dismiss the letter"
        )
        return work.refuse(refusal_text)
    if work.request.begun >= MAX_DEATHS:
        return _give_up_letter(work, letter)
    refusal_text = _reason_not_retried(work, callback, letter)
    if refusal_text:
        return work.refuse(refusal_text)
    return _retry_in_strand(work, work.lane_plugin, callback, letter)


def _reason_not_retried(work: RequestWork, callback: Callback, letter: Letter) -> str:
    """Return why a callback cannot be called with what a letter keeps; empty if it can."""
    batch = _batch_of(work, letter)
    if batch and callback.batch is None:
        return _NO_BATCHES.format(letter.failure.callback)
    if batch and not all(event.whole for event in batch):
        return "an event of its batch cannot be read: dismiss it, and replay its events"
    if batch or letter.whole:
        return ""
    return f"its event cannot be read: dismiss it, and replay event {letter.failure.event_id}"


def _retry_in_strand(
    work: RequestWork, whole_plugin: LanePlugin, callback: Callback, letter: Letter
) -> bool:
    replayed_event = ReplayEvent(
        letter.era, letter.failure.seq, letter.failure.event_id, letter.body
    )
    lane_plugin = work.lane.access.claim_for_call(whole_plugin, replayed_event)
    if lane_plugin is None:
        return False
    try:
        wait_reason = reason_to_wait(lane_plugin)
        if wait_reason is not None:
            return work.refuse(f"{wait_reason}: ask again then")
        return _retry_call(work, lane_plugin, callback, letter, replayed_event)
    finally:
        work.lane.access.release_after_call(lane_plugin)


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
    request = _make_request(work, lane_plugin, callback, letter, replayed_event)
    request.attempt = attempt_number
    try:
        repeated_call = make_repeated_call(work.lane, lane_plugin, request)
        if repeated_call.call_failure is None:
            return _settle_letter(work, lane_plugin, letter, request, repeated_call)
        if repeated_call.waits_for_site:
            return put_off_until_site_answers(
                work, lane_plugin, repeated_call.call_failure, work.request.progress
            )
        return _keep_letter(work, lane_plugin, letter, repeated_call.call_failure)
    finally:
        request.release_store()


def _make_request(
    work: RequestWork,
    lane_plugin: LanePlugin,
    callback: Callback,
    letter: Letter,
    replayed_event: ReplayEvent,
) -> CallRequest:
    """Return the call of a letter: with its event, or with the events of its batch."""
    scripts, services = work.lane.scripts, lane_plugin.services
    if callback.batch is None:
        event = event_of(letter.body, scripts)
        return CallRequest(callback, event, replayed_event, services)
    bodies = [event.body for event in _batch_of(work, letter)] or [letter.body]
    return batch_request(callback, bodies, replayed_event, services, scripts)


def _batch_of(work: RequestWork, letter: Letter) -> list[BatchedEvent]:
    """Return the events of a dead letter of a batch; none for any other letter."""
    with closing(open_state(work.state_folder).letters()) as dead_letters:
        return dead_letters.events_of(letter.number)


def _settle_letter(
    work: RequestWork,
    lane_plugin: LanePlugin,
    letter: Letter,
    request: CallRequest,
    repeated_call: RepeatedCall,
) -> bool:
    events_text = f"event {request.event_id}"
    if len(letter.batch) > 1:
        events_text = f"its batch of {counted(len(letter.batch), 'event')}"
    call_text = f"was handled: {request.callback_name} got {events_text}"
    if repeated_call.deferred is not None:
        call_text = f"is none any more: {request.callback_name} puts event {request.event_id} off"
    answer = RequestAnswer("done", f"dead letter {letter.number} {call_text}")
    settled_failure = replace(settle_failure(letter.failure, "retried"), attempt=request.attempt)
    batch = _batch_of(work, letter)
    step = step_of(work.lane, lane_plugin, repeated_call, request, batch)
    work.close(step, answer, LetterChange(letter.number, settled_failure, dead=False))
    commit_call(work.lane, lane_plugin, step, repeated_call)
    return True


def _keep_letter(
    work: RequestWork, lane_plugin: LanePlugin, letter: Letter, failure: Failure
) -> bool:
    answer_text = f"dead letter {letter.number} failed again: {failure.error}"
    letter_change = LetterChange(letter.number, failure, dead=True)
    return work.close(
        hold_hung_plugin(work, lane_plugin), RequestAnswer("failed", answer_text), letter_change
    )


def _give_up_letter(work: RequestWork, letter: Letter) -> bool:
    death_text = f"the process died {work.request.begun} times while it was retried"
    failure = replace(
        letter.failure, error=f"ProcessDied: {death_text}", traceback="", at=time.time()
    )
    return work.close(
        Step(), RequestAnswer("failed", death_text), LetterChange(letter.number, failure, dead=True)
    )
