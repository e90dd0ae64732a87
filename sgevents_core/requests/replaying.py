"""Events replayed because a person asked, a slice of time at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Final

from sgevents_core.calling.batches import batch_request, key_request
from sgevents_core.calling.journal_events import event_of
from sgevents_core.calling.making import CallRequest, Hung
from sgevents_core.dispatch.caller import has_to_ask_filter
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.strand import SLICE_SECONDS
from sgevents_core.events import Event
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
from sgevents_core.requests.replay_progress import ReplayProgress
from sgevents_core.requests.replayed_batches import batched_event, first_event_of, settle_batch
from sgevents_core.requests.request_work import RequestWork
from sgevents_core.state.batches import BatchedEvent
from sgevents_core.state.failures import Failure
from sgevents_core.state.letters import LetterChange
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import ReplayEvent, RequestAnswer, RequestStep
from sgevents_core.state.steps import Step

logger = logging.getLogger("sgevents.requests")

MAX_NAMED_LETTERS: Final = 20
"""The most dead letters named in the answer to a replay."""


def replay(work: RequestWork) -> bool:
    """Replay events for one slice of time; return True once the last one was replayed."""
    if work.lane_plugin is None:
        return work.refuse(not_loaded_reason(work))
    if work.lane_plugin.late:
        return work.refuse(f"{reason_to_wait(work.lane_plugin)}: ask again then")
    return _ReplaySlice(work, work.lane_plugin).run()


class _ReplaySlice:
    """One slice of a replay."""

    def __init__(self, work: RequestWork, lane_plugin: LanePlugin) -> None:
        self._work = work
        self._number = work.request.number
        self._whole_plugin = self._lane_plugin = lane_plugin
        self._begun_count = work.request.begun
        self._waits_for_site = False
        self._progress = ReplayProgress.load(**work.request.progress)

    def run(self) -> bool:
        """Replay for one slice of time; return True once the last event was replayed."""
        slice_end = time.monotonic() + SLICE_SECONDS
        lane_access = self._work.lane.access
        while (next_work := self._next_work()) is not None:
            replayed_event, batch = next_work
            lane_plugin = lane_access.claim_for_call(self._whole_plugin, replayed_event)
            if lane_plugin is None:
                return False
            self._lane_plugin = lane_plugin
            try:
                hung_call = (
                    self._call_with_batch(replayed_event, batch)
                    if batch
                    else self._call_callbacks(replayed_event)
                )
            finally:
                lane_access.release_after_call(lane_plugin)
            if self._waits_for_site:
                return False
            if hung_call is not None:
                return self._work.close(Step(), self._hung_answer(replayed_event, hung_call))
            if time.monotonic() > slice_end:
                return False
        return self._work.close(Step(), self._summary_answer())

    def _next_work(self) -> tuple[ReplayEvent, list[BatchedEvent]] | None:
        """Return the next event, or the first event of a batch and all of its events.

        A batch is called when it is full, and otherwise after the last event. None is left at the
        end.
        """
        requests, progress = self._work.requests, self._progress
        if progress.due is None:
            replayed_event = requests.replay_event(self._number, progress.place)
            if replayed_event is not None:
                return replayed_event, []
        batch = requests.replay_batch(self._number, *(progress.due or ()))
        return (first_event_of(batch), batch) if batch else None

    def _record_progress(self) -> None:
        request_step = RequestStep(self._number, self._progress.fields())
        self._work.lane.ledger.record(Step(request=request_step))

    def _count_given_up(self, replayed_event: ReplayEvent, death_count: int) -> None:
        self._progress.failed += 1
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

        Return the call that hangs and blocks the others; None if all are done, one waits, or a
        batch is full.
        """
        event = event_of(replayed_event.body, self._work.lane.scripts)
        for callback in self._lane_plugin.plugin.callbacks:
            is_done = callback.name in self._progress.done
            if is_done or not callback.accepts_type(event.event_type):
                continue
            if self._lane_plugin.hung is not None:
                return self._lane_plugin.hung
            self._progress.done.append(callback.name)
            self._replay_call(callback, replayed_event, event)
            if self._waits_for_site or self._progress.due is not None:
                return None
        self._progress.place, self._progress.done = self._progress.place + 1, []
        self._record_progress()
        return None

    def _replay_call(self, callback: Callback, replayed_event: ReplayEvent, event: Event) -> None:
        begun_count, self._begun_count = self._begun_count, 0
        if begun_count >= MAX_DEATHS:
            self._count_given_up(replayed_event, begun_count)
            self._record_progress()
            return
        own_failure = self._work.lane.errands.own_fault(self._number)
        services = self._lane_plugin.services
        request = CallRequest(callback, event, replayed_event, services)
        if callback.batch is not None:
            request = key_request(callback, event, replayed_event, services)
        request.attempt = begun_count + 1
        if own_failure is not None:
            self._settle_call(request, replayed_event, RepeatedCall(own_failure))
            return
        has_to_ask = has_to_ask_filter(callback.match, callback.match.may_accept, event)
        if has_to_ask is None:
            self._settle_call(request, replayed_event, RepeatedCall(None, was_called=False))
            return
        if callback.batch is not None and not (has_to_ask or callback.batch.asks_plugin):
            self._collect(callback, replayed_event, callback.batch.key_of(event))
            return
        request.runs_filter = has_to_ask
        self._work.requests.begin(self._number)
        try:
            repeated_call = make_repeated_call(self._work.lane, self._lane_plugin, request)
            if repeated_call.batch_key is not None:
                self._collect(callback, replayed_event, repeated_call.batch_key)
            else:
                self._settle_call(request, replayed_event, repeated_call)
        finally:
            request.release_store()

    def _settle_call(
        self, request: CallRequest, replayed_event: ReplayEvent, repeated_call: RepeatedCall
    ) -> None:
        """Record the outcome of a call, or put the replay off until the site answers."""
        if repeated_call.call_failure is not None and repeated_call.waits_for_site:
            self._progress.done.remove(request.callback_name)
            self._wait_for_site(repeated_call.call_failure)
            return
        self._progress.calls += repeated_call.was_called
        self._record_call(request, replayed_event, repeated_call)

    def _wait_for_site(self, failure: Failure) -> None:
        self._waits_for_site = not put_off_until_site_answers(
            self._work, self._lane_plugin, failure, self._progress.fields()
        )

    # Batches

    def _collect(self, callback: Callback, replayed_event: ReplayEvent, key: str) -> None:
        """Record that an event has come into a batch, and whether that is full."""
        rules, progress = callback.batch, self._progress
        open_batch = self._work.requests.count_batch(self._number, callback.name, key)
        batch_number, event_count = open_batch or (progress.place, 0)
        if rules is None or event_count + 1 >= rules.size:
            progress.due = (callback.name, batch_number)
        collected = batched_event(self._number, callback, key, batch_number, replayed_event)
        request_step = RequestStep(self._number, progress.fields())
        self._work.lane.ledger.record(Step(collected=collected, request=request_step))

    def _call_with_batch(
        self, first_event: ReplayEvent, batch: Sequence[BatchedEvent]
    ) -> Hung | None:
        """Call the callback of a batch; return the call that hangs and blocks it."""
        if self._lane_plugin.hung is not None:
            return self._lane_plugin.hung
        begun_count, self._begun_count = self._begun_count, 0
        callback = find_callback(self._lane_plugin, batch[0].callback)
        if callback is None or callback.batch is None:
            self._pass_batch_over(
                batch, "CallbackMissing: the plugin has no such callback any more"
            )
            return None
        if begun_count >= MAX_DEATHS:
            self._pass_batch_over(batch, f"ProcessDied: the process died {begun_count} times in it")
            return None
        own_failure = self._work.lane.errands.own_fault(self._number)
        bodies = [event.body for event in batch]
        request = batch_request(
            callback, bodies, first_event, self._lane_plugin.services, self._work.lane.scripts
        )
        request.attempt = begun_count + 1
        if own_failure is not None:
            self._record_batch(request, batch, RepeatedCall(own_failure))
            return None
        self._work.requests.begin(self._number)
        try:
            repeated_call = make_repeated_call(self._work.lane, self._lane_plugin, request)
            if repeated_call.call_failure is not None and repeated_call.waits_for_site:
                self._wait_for_site(repeated_call.call_failure)
            else:
                self._record_batch(request, batch, repeated_call)
        finally:
            request.release_store()
        return None

    def _pass_batch_over(self, batch: Sequence[BatchedEvent], error_line: str) -> None:
        """Keep a batch that cannot be called as a dead letter."""
        first_event = batch[0]
        failure = Failure(
            first_event.plugin, first_event.callback, first_event.seq, first_event.event_id, 1,
            error_line, "", time.time(), "dead-letter",
        )  # fmt: skip
        self._record_batch(None, batch, RepeatedCall(failure, was_called=False))

    def _record_batch(
        self,
        request: CallRequest | None,
        batch: Sequence[BatchedEvent],
        repeated_call: RepeatedCall,
    ) -> None:
        """Commit atomically that a batch was called, its store changes and its dead letters."""
        work, lane_plugin, progress = self._work, self._lane_plugin, self._progress
        failure = repeated_call.call_failure
        progress.calls, progress.due = progress.calls + repeated_call.was_called, None
        progress.failed += failure is not None
        step = hold_hung_plugin(work, lane_plugin)
        if failure is None and request is not None:
            step = step_of(work.lane, lane_plugin, repeated_call, request, batch)
        request_step = RequestStep(self._number, progress.fields())
        settle_batch(step, request_step, batch, failure, work.state_folder)
        letter_number = work.lane.ledger.record(step)
        if failure is not None:
            self._name_letter(letter_number)
            self._record_progress()
            return
        commit_call(work.lane, lane_plugin, step, repeated_call)

    def _name_letter(self, letter_number: int) -> None:
        if letter_number not in self._progress.named:
            self._progress.named = [*self._progress.named, letter_number][:MAX_NAMED_LETTERS]

    def _record_call(
        self,
        request: CallRequest,
        replayed_event: ReplayEvent,
        repeated_call: RepeatedCall,
    ) -> None:
        """Commit atomically that a call is done, its store changes, and its effect on dead letters.

        Written separately, a process that dies in between would do one of them twice.
        """
        with closing(open_state(self._work.state_folder).letters()) as dead_letters:
            letter = dead_letters.of_call(
                request.plugin, request.callback_name, request.seq, request.event_id
            )
            if letter is not None and len(dead_letters.events_of(letter.number)) > 1:
                letter = None  # it is about other events too
        failure = repeated_call.call_failure
        letter_change = None
        if failure is not None:
            letter_number = letter.number if letter else None
            letter_change = LetterChange(
                letter_number, failure, dead=True, era=replayed_event.era, body=replayed_event.body
            )
            self._progress.failed += 1
        elif letter is not None:
            letter_change = LetterChange(
                letter.number, settle_failure(letter.failure, "retried"), dead=False
            )
        if failure is None:
            step = step_of(self._work.lane, self._lane_plugin, repeated_call, request)
        else:
            step = hold_hung_plugin(self._work, self._lane_plugin)
        step.request = RequestStep(self._number, self._progress.fields(), letter=letter_change)
        letter_number = self._work.lane.ledger.record(step)
        if failure is None:
            commit_call(self._work.lane, self._lane_plugin, step, repeated_call)
        else:
            self._name_letter(letter_number)

    def _hung_answer(self, replayed_event: ReplayEvent, hung_call: Hung) -> RequestAnswer:
        summary_text = self._summary_answer().text
        remaining_text = f"event {replayed_event.event_id} and those behind it are not replayed"
        if self._work.requests.replay_batch(self._number):
            remaining_text += ", nor those in batches that were not called yet"
        return RequestAnswer(
            "failed", f"{summary_text}; {hung_call.reason}; {remaining_text}: ask again then"
        )

    def _summary_answer(self) -> RequestAnswer:
        progress = self._progress
        summary_text = (
            f"replayed {counted(progress.place, 'event')} in {counted(progress.calls, 'call')}"
        )
        if not progress.failed:
            return RequestAnswer("done", summary_text)
        summary_text += f", {progress.failed} failed"
        letters_text = ", ".join(map(str, progress.named))
        return RequestAnswer(
            "failed",
            f"{summary_text}; kept as dead letters: {letters_text}"
            if letters_text
            else summary_text,
        )
