"""Make a call outside the walk through the journal: of a person's request, or put off before."""

from __future__ import annotations

from sgevents_core.calling.batches import KeyRequest
from sgevents_core.calling.making import CallRequest
from sgevents_core.calling.outcome import CallOutcome
from sgevents_core.calling.store import StoreChanges, recorded_changes
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.observe.observers import CallObservers
from sgevents_core.state.steps import Step


def make_observed_call(
    lane_plugin: LanePlugin, request: CallRequest, observers: CallObservers
) -> CallOutcome:
    """Make a call in its plugin's executor, notify the observers, and return the outcome."""
    lane_plugin.services.event_records.forget_event(request.event_id)
    time_limit = lane_plugin.limit(request.callback)
    for begins in observers.began:
        begins(request, time_limit)
    outcome = lane_plugin.executor.call(request, time_limit)
    if outcome.is_unwanted or (isinstance(request, KeyRequest) and outcome.error is None):
        for passes in observers.passed:
            passes(request)
        return outcome
    for ends in observers.ended:
        ends(request, request.began_at, outcome.seconds, outcome.error)
    return outcome


def step_with_store(lane_plugin: LanePlugin, store_changes: StoreChanges | None) -> Step:
    """Return a step that records a call's changes to its plugin's store."""
    return Step(
        store={lane_plugin.record.name: recorded_changes(store_changes)} if store_changes else {}
    )


def commit_store(lane_plugin: LanePlugin, store_changes: StoreChanges | None) -> None:
    """Let the plugin's later calls see a call's changes, once they are recorded."""
    if store_changes:
        lane_plugin.services.store.commit(store_changes)
