"""Repeat one call at a person's request: make it, judge it, and record its changes.

It moves no cursor. Its changes to the plugin's store are committed together with its record.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from sgevents_core.calling.batches import BatchRequest, KeyRequest
from sgevents_core.calling.deferral import failure_at_limit, put_off
from sgevents_core.calling.judging import REPEATED_RULES, Circumstances, failure_of, judge_call
from sgevents_core.calling.making import CallRequest
from sgevents_core.calling.outcome import RaisedError
from sgevents_core.calling.store import StoreChanges
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.observed_calls import commit_store, make_observed_call, step_with_store
from sgevents_core.plugins.callback import Callback
from sgevents_core.requests.request_work import RequestWork
from sgevents_core.state.batches import BatchedEvent
from sgevents_core.state.deferred import DeferredEvent, DeferredKey, IgnoredCall
from sgevents_core.state.failures import Failure, FailureOutcome
from sgevents_core.state.requests import RequestStep
from sgevents_core.state.steps import Step

MAX_DEATHS: Final = 2
"""How often a call that a person asked for is begun if the process dies in it."""


def settle_failure(failure: Failure, outcome: FailureOutcome) -> Failure:
    """Return the record of a settled dead letter: `retried` or `dismissed`."""
    return replace(failure, outcome=outcome)


def not_loaded_reason(work: RequestWork) -> str:
    """Return why no callback of a plugin that is not loaded can be called."""
    return f"plugin {work.plugin_record.name} is not loaded: sgevents plugins list says why"


def find_callback(lane_plugin: LanePlugin, callback_name: str) -> Callback | None:
    """Return a plugin's callback by name; None if it has none of that name any more."""
    return next(
        (callback for callback in lane_plugin.plugin.callbacks if callback.name == callback_name),
        None,
    )


def reason_to_wait(lane_plugin: LanePlugin) -> str | None:
    """Return why none of a plugin's callbacks may be called now; None if they may."""
    if lane_plugin.late:
        return lane_plugin.record.reason or "its startup waits for the site"
    return None if lane_plugin.hung is None else lane_plugin.hung.reason


def hold_hung_plugin(work: RequestWork, lane_plugin: LanePlugin) -> Step:
    """Hold a plugin if a call of it timed out and hangs; return the step that records it."""
    hung_call = lane_plugin.hung
    if hung_call is None or lane_plugin.record.state != "active":
        return Step()
    lane_plugin.record.leave_lane(work.lane.access.progress_by(lane_plugin.record))
    lane_plugin.wait_for_call(hung_call.reason)
    return Step(plugins=[lane_plugin.record])


class RepeatedCall(NamedTuple):
    """The outcome of a call.

    Args:
        call_failure: How it failed, if it did.
        was_called: Whether the callback's filter wanted the event.
        store_changes: The changes to its store.
        deferred: The call as it is put off, with its event; None if it is not.
        ignored: Why the callback did nothing with its event, as it says.
        waits_for_site: Whether it seems to have failed because the site did not answer.
        batch_key: The key of the event's batch, if that was asked.
    """

    call_failure: Failure | None
    was_called: bool = True
    store_changes: StoreChanges | None = None
    waits_for_site: bool = False
    deferred: DeferredEvent | None = None
    ignored: str = ""
    batch_key: str | None = None


def make_repeated_call(lane: Lane, lane_plugin: LanePlugin, request: CallRequest) -> RepeatedCall:
    """Make a call in its plugin's executor; return the outcome."""
    outcome = make_observed_call(lane_plugin, request, lane.observers)
    if outcome.error is None:
        store_changes, ignored = outcome.store_changes, outcome.ignored
        batch_key = outcome.batch_key
        if isinstance(request, KeyRequest) and request.keys:
            batch_key = request.keys[0]
        return RepeatedCall(
            None, not outcome.is_unwanted, store_changes, ignored=ignored, batch_key=batch_key
        )
    site_health = lane_plugin.services.contact.health
    is_judged_now = site_health is None or lane_plugin.hung is not None
    is_site_down = None if is_judged_now or site_health is None else site_health.is_down
    decision = judge_call(outcome, Circumstances(REPEATED_RULES, is_site_down=is_site_down))
    failure = failure_of(request, outcome.error, time.time(), "dead-letter")
    if decision.outcome == "defer" and not _has_several_events(request):
        return _deferred_call(lane, lane_plugin, request, outcome.error, failure)
    return RepeatedCall(failure, waits_for_site=decision.action == "wait for site")


def _has_several_events(request: CallRequest) -> bool:
    """Return whether a call is one with a batch, which cannot be put off as one event can."""
    return isinstance(request, BatchRequest) and len(request.bodies) > 1


def _deferred_call(
    lane: Lane, lane_plugin: LanePlugin, request: CallRequest, error: RaisedError, failure: Failure
) -> RepeatedCall:
    """Return the outcome of a call that raised `Defer`."""
    defer_limit, current_time = lane_plugin.defer_limit, lane.deferred_calls.clock()
    source = request.source
    earlier = lane.deferred_calls.get(key_of_deferral(request))
    deferred_call = put_off(
        request, source.era, error, earlier, defer_limit=defer_limit, current_time=current_time
    )
    if deferred_call is None:
        return RepeatedCall(failure_at_limit(failure, error, defer_limit))
    lane.announcer.deferred(deferred_call, deferred_call.due_at - current_time)
    return RepeatedCall(None, deferred=DeferredEvent(deferred_call, source.body))


def key_of_deferral(request: CallRequest) -> DeferredKey:
    """Return the key under which a call is put off, if it is."""
    source = request.source
    return DeferredKey(request.plugin, request.callback_name, source.era, source.event_id)


def step_of(
    lane: Lane,
    lane_plugin: LanePlugin,
    repeated: RepeatedCall,
    request: CallRequest,
    batch: Sequence[BatchedEvent] = (),
) -> Step:
    """Return the step that records a call that did not fail.

    Whatever was put off before is over, since the callback had the event now.

    Args:
        lane: The lane.
        lane_plugin: The plugin.
        repeated: The outcome of the call.
        request: The call.
        batch: The events of its batch, if it was called with one.
    """
    step = step_with_store(lane_plugin, repeated.store_changes)
    if repeated.deferred is not None:
        step.deferred = repeated.deferred
    elif lane.deferred_calls.get(key_of_deferral(request)) is not None:
        step.no_more_deferred = key_of_deferral(request)
    if repeated.was_called and request.seq:
        step.ignored = IgnoredCall(
            request.plugin,
            request.callback_name,
            request.seq,
            repeated.ignored,
            tuple(event.seq for event in batch[1:] if event.seq),
        )
    return step


def commit_call(lane: Lane, lane_plugin: LanePlugin, step: Step, repeated: RepeatedCall) -> None:
    """Let the lane and the plugin's later calls see what a step has recorded of a call."""
    commit_store(lane_plugin, repeated.store_changes)
    if step.deferred is not None:
        lane.deferred_calls.add(step.deferred.call)
    if step.no_more_deferred is not None:
        lane.deferred_calls.over(step.no_more_deferred)


def put_off_until_site_answers(
    work: RequestWork, lane_plugin: LanePlugin, failure: Failure, progress_fields: dict[str, Any]
) -> bool:
    """Put a request off until the site answers, keeping its progress; return False."""
    site_health = lane_plugin.services.contact.health
    work.lane.ledger.record(Step(request=RequestStep(work.request.number, progress_fields)))
    if site_health is not None:
        work.lane.errands.put_off(work.request.number, failure, site_health)
    return False
