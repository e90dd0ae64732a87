"""Repeat one call at a person's request: make it, judge it, and record its changes.

It moves no cursor. Its changes to the plugin's store are committed together with its record.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Final, NamedTuple

from sgevents_core.calling.judging import REPEATED_RULES, Circumstances, failure_of, judge_call
from sgevents_core.calling.making import CallRequest
from sgevents_core.calling.outcome import CallOutcome
from sgevents_core.calling.store import StoreChanges, recorded_changes
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.observe.observers import CallObservers
from sgevents_core.requests.request_work import RequestWork
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


def reason_to_wait(lane_plugin: LanePlugin) -> str | None:
    """Return why none of a plugin's callbacks may be called now; None if they may."""
    if lane_plugin.late:
        return lane_plugin.record.reason or "its startup waits for the site"
    return None if lane_plugin.hung is None else lane_plugin.hung.reason


def step_with_store(lane_plugin: LanePlugin, store_changes: StoreChanges | None) -> Step:
    """Return a step that records a call's changes to its plugin's store."""
    return Step(
        store={lane_plugin.record.name: recorded_changes(store_changes)} if store_changes else {}
    )


def commit_store(lane_plugin: LanePlugin, store_changes: StoreChanges | None) -> None:
    """Let the plugin's later calls see a call's changes, once they are recorded."""
    if store_changes:
        lane_plugin.services.store.commit(store_changes)


def hold_hung_plugin(work: RequestWork, lane_plugin: LanePlugin) -> Step:
    """Hold a plugin if a call of it timed out and hangs; return the step that records it."""
    hung_call = lane_plugin.hung
    if hung_call is None or lane_plugin.record.state != "active":
        return Step()
    lane_plugin.record.leave_lane(work.lane.progress_by(lane_plugin.record))
    lane_plugin.wait_for_call(hung_call.reason)
    return Step(plugins=[lane_plugin.record])


class RepeatedCall(NamedTuple):
    """The outcome of a call.

    Args:
        call_failure: How it failed, if it did.
        was_called: Whether the callback's filter wanted the event.
        store_changes: The changes to its store.
        waits_for_site: Whether it seems to have failed because the site did not answer.
    """

    call_failure: Failure | None
    was_called: bool = True
    store_changes: StoreChanges | None = None
    waits_for_site: bool = False


def make_repeated_call(
    lane_plugin: LanePlugin, request: CallRequest, observers: CallObservers
) -> RepeatedCall:
    """Make a call in its plugin's executor; return the outcome."""
    time_limit = lane_plugin.limit(request.callback)
    for call_observer in observers.began:
        call_observer(request, time_limit)
    outcome = lane_plugin.executor.call(request, time_limit)
    _report_end(observers, request, outcome)
    if outcome.error is None:
        return RepeatedCall(None, not outcome.is_unwanted, outcome.store_changes)
    site_health = lane_plugin.services.contact.health
    is_judged_now = site_health is None or lane_plugin.hung is not None
    is_site_down = None if is_judged_now or site_health is None else site_health.is_down
    decision = judge_call(outcome, Circumstances(REPEATED_RULES, is_site_down=is_site_down))
    failure = failure_of(request, outcome.error, time.time(), "dead-letter")
    return RepeatedCall(failure, waits_for_site=decision.action == "wait for site")


def _report_end(observers: CallObservers, request: CallRequest, outcome: CallOutcome) -> None:
    if outcome.is_unwanted:
        for call_observer in observers.passed:
            call_observer(request)
        return
    for ends in observers.ended:
        ends(request, request.began_at, outcome.seconds, outcome.error)


def put_off_until_site_answers(
    work: RequestWork, lane_plugin: LanePlugin, failure: Failure, progress_fields: dict[str, Any]
) -> bool:
    """Put a request off until the site answers, keeping its progress; return False."""
    site_health = lane_plugin.services.contact.health
    work.lane.ledger.record(Step(request=RequestStep(work.request.number, progress_fields)))
    if site_health is not None:
        work.lane.errands.put_off(work.request.number, failure, site_health)
    return False
