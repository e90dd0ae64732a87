"""Events replayed because a person asked, a slice of time at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from contextlib import closing
from typing import Any, Final

from sgevents_core.calling.batches import batch_request
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
    hold_hung_plugin,
    make_repeated_call,
    not_loaded_reason,
    put_off_until_site_answers,
    reason_to_wait,
    settle_failure,
    step_of,
)
from sgevents_core.requests.request_work import RequestWork
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
            lane_plugin = self._work.lane.access.claim_for_call(self._whole_plugin, replayed_event)
            if lane_plugin is None:
                return False
            self._lane_plugin = lane_plugin
            try:
                hung_call = self._call_callbacks(replayed_event)
            finally:
                self._work.lane.access.release_after_call(lane_plugin)
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
        services = self._lane_plugin.services
        request = CallRequest(callback, event, replayed_event, services, begun_count + 1)
        if callback.batch is not None:  # a batch of one
            scripts, bodies = self._work.lane.scripts, [replayed_event.body]
            request = batch_request(callback, bodies, replayed_event, services, scripts)
            request.attempt = begun_count + 1
        if own_failure is not None:
            self._settle_call(request, replayed_event, RepeatedCall(own_failure))
            return
        self._work.requests.begin(request_number)
        try:
            repeated_call = RepeatedCall(None, was_called=False)
            has_to_ask = has_to_ask_filter(callback.match, callback.match.may_accept, event)
            if has_to_ask is not None:
                request.runs_filter = has_to_ask
                repeated_call = make_repeated_call(self._work.lane, self._lane_plugin, request)
            self._settle_call(request, replayed_event, repeated_call)
        finally:
            request.release_store()

    def _settle_call(
        self, request: CallRequest, replayed_event: ReplayEvent, repeated_call: RepeatedCall
    ) -> None:
        """Record the outcome of a call, or put the replay off until the site answers."""
        if repeated_call.call_failure is not None and repeated_call.waits_for_site:
            self._done_callbacks.remove(request.callback_name)
            self._waits_for_site = not put_off_until_site_answers(
                self._work, self._lane_plugin, repeated_call.call_failure, self._progress_fields()
            )
            return
        self._call_count += repeated_call.was_called
        self._record_call(request, replayed_event, repeated_call)

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
            self._failed_count += 1
        elif letter is not None:
            letter_change = LetterChange(
                letter.number, settle_failure(letter.failure, "retried"), dead=False
            )
        if failure is None:
            step = step_of(self._work.lane, self._lane_plugin, repeated_call, request)
        else:
            step = hold_hung_plugin(self._work, self._lane_plugin)
        step.request = RequestStep(
            self._work.request.number, self._progress_fields(), letter=letter_change
        )
        letter_number = self._work.lane.ledger.record(step)
        if failure is None:
            commit_call(self._work.lane, self._lane_plugin, step, repeated_call)
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
