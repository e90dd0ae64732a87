"""Write one step, with the tables' lock held; anything that can fail runs first."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from sgevents_core.state.batches import BatchChange, BatchedEvent
from sgevents_core.state.failures import Failure, FailureOutcome
from sgevents_core.state.feed_values import LONGEST_ASIDE_TEXT, SetAside
from sgevents_core.state.keys import CallKey
from sgevents_core.state.letters import LetterChange
from sgevents_core.state.memory.tables import FailedCall, KeptLane, KeptRequest, KeptStrand, Tables
from sgevents_core.state.plugin_record import AnyPluginRecord, PluginRecord
from sgevents_core.state.requests import ReplayEvent, RequestDraft, RequestStep
from sgevents_core.state.steps import REMOVED, Step

_encode_json: Final = msgspec.json.Encoder().encode


def write_step(tables: Tables, lane_name: str, step: Step) -> int:
    """Write a step, and return the number of its failure, 0 if it has none."""
    encoded_stores = _encode_stores(step.store)
    if step.request is not None:
        _encode_json(step.request.progress)
    failure_number = 0
    _write_lane_progress(tables.lanes[lane_name], step)
    for strand_key in [
        strand_key for strand_key in tables.plugin_strands if strand_key[0] in step.whole
    ]:
        del tables.plugin_strands[strand_key]
    for plugin_record in step.plugins:
        _write_plugin_record(tables, plugin_record)
    if step.failure is not None:
        failure_number = _write_failure(tables, step.failure, step.failure_event, is_dead=step.dead)
    for plugin_name, callback_name, event_seq, attempt_count in step.doubts:
        tables.attempts[CallKey(plugin_name, callback_name), event_seq] = attempt_count
    if step.settled is not None:
        plugin_name, callback_name, event_seq = step.settled
        tables.attempts.pop((CallKey(plugin_name, callback_name), event_seq), None)
        tables.deaths.pop((CallKey(plugin_name, callback_name), event_seq), None)
    tables.deaths.update(
        ((deaths_in_call.key, deaths_in_call.seq), deaths_in_call) for deaths_in_call in step.deaths
    )
    _write_deferred(tables, step)
    if step.request is not None:
        failure_number = write_request_step(tables, step.request) or failure_number
    for plugin_name, encoded_values in encoded_stores.items():
        _write_store_changes(tables, plugin_name, encoded_values)
    if step.collected is not None:
        tables.batched.append(step.collected)
    if step.batch is not None:
        _write_batch_change(tables, step.batch, failure_number)
    return failure_number


def _write_deferred(tables: Tables, step: Step) -> None:
    """Write what a step says of one call: put off, no longer so, nothing done, a part done."""
    if step.deferred is not None:
        tables.deferred[step.deferred.call.key] = step.deferred
    if step.no_more_deferred is not None:
        tables.deferred.pop(step.no_more_deferred, None)
    if step.ignored is not None:
        call_key = CallKey(step.ignored.plugin, step.ignored.callback)
        for seq in step.ignored.seqs:
            tables.ignored.pop((seq, call_key), None)
            if step.ignored.reason:
                tables.ignored[seq, call_key] = step.ignored.reason
    if step.done_part is not None:
        tables.done_parts.add(step.done_part)


def _write_batch_change(tables: Tables, change: BatchChange, letter_number: int) -> None:
    """Change a batch; its events are kept for the dead letter if it is buried."""
    tables.batched = [
        changed
        for event in tables.batched
        for changed in (
            [event] if _is_of_other(event, change) else _change_event(event, change, letter_number)
        )
    ]


def _is_of_other(event: BatchedEvent, change: BatchChange) -> bool:
    """Return whether an event is in another batch than the changed one."""
    return event.letter != 0 or event[:3] != change[:3] or event.request != change.request


def _change_event(
    event: BatchedEvent, change: BatchChange, letter_number: int
) -> list[BatchedEvent]:
    """Return an event of a changed batch; nothing if the batch has ended."""
    if change.action == "end":
        return []
    if change.action == "bury":
        return [event._replace(is_closed=True, letter=letter_number, request=0)]
    if change.later_call is not None:
        due_at, put_off_at, reason = change.later_call
        return [event._replace(due_at=due_at, put_off_at=put_off_at, reason=reason)]
    return [event._replace(is_closed=True, due_at=event.collected_at)]


def _write_lane_progress(kept_lane: KeptLane, step: Step) -> None:
    if step.undivided:
        kept_lane.divide(None)
    if step.places is not None:
        if kept_lane.order_by != step.places.order_by:
            kept_lane.divide(step.places.order_by)
        for strand_number, strand_progress in enumerate(step.places.places):
            kept_lane.strands[strand_number] = strand_progress.joined(
                kept_lane.strands.get(strand_number, strand_progress)
            )
    if step.progress is not None and step.strand is None:
        kept_lane.progress = step.progress
    elif step.progress is not None and step.strand is not None:
        kept_lane.strands[step.strand] = step.progress


def _write_plugin_record(tables: Tables, plugin_record: AnyPluginRecord) -> None:
    """Write the record of a plugin, or of a plugin in one strand together with the plugin's."""
    if isinstance(plugin_record, PluginRecord):
        tables.plugins[plugin_record.name] = dataclasses.replace(plugin_record, strands={})
        return
    _write_plugin_record(tables, plugin_record.plugin)
    if plugin_record.plugin.apart:
        return  # apart from all strands: the plugin's own record holds its position
    strand_key = (plugin_record.name, plugin_record.strand)
    if plugin_record.apart:
        strand_record = dataclasses.replace(
            plugin_record, plugin=tables.plugins[plugin_record.name]
        )
        tables.plugin_strands[strand_key] = KeptStrand(plugin_record.plugin.order_by, strand_record)
    else:
        tables.plugin_strands.pop(strand_key, None)


def _encode_stores(
    changed_stores: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, bytes | None]]:
    """Return changes to stores as JSON; None for a key to remove.

    Raises:
        TypeError: A value is not JSON.
    """
    return {
        plugin_name: {
            store_key: None if new_value is REMOVED else _encode_json(new_value)
            for store_key, new_value in new_values.items()
        }
        for plugin_name, new_values in changed_stores.items()
    }


def _write_store_changes(
    tables: Tables, plugin_name: str, encoded_values: Mapping[str, bytes | None]
) -> None:
    plugin_store = tables.stores.setdefault(plugin_name, {})
    for store_key, encoded_value in encoded_values.items():
        if encoded_value is None:
            plugin_store.pop(store_key, None)
        else:
            plugin_store[store_key] = encoded_value


def _write_failure(
    tables: Tables, failure: Failure, failure_event: ReplayEvent | None, *, is_dead: bool
) -> int:
    failure_number = tables.next_number("failure")
    journal_entry = failure_event or tables.journal.get(failure.seq)
    event_era, row_json = (
        (1, b"") if journal_entry is None else (journal_entry.era, journal_entry.body)
    )
    tables.failures[failure_number] = FailedCall(failure, is_dead, event_era, row_json)
    tables.attempts[CallKey(failure.plugin, failure.callback), failure.seq] = failure.attempt
    return failure_number


def write_request_step(tables: Tables, step: RequestStep) -> int:
    """Write the change to a request; return the number of its dead letter, 0 if it has none."""
    progress = None if step.progress is None else _encode_json(step.progress)
    letter_number = 0 if step.letter is None else _write_letter(tables, step.letter)
    for dismissed_number in step.dismissed:
        _settle_letter(tables, dismissed_number, "dismissed")
    for retried_number in step.retried:
        _settle_letter(tables, retried_number, "retried")
    if step.passed is not None:
        plugin_name, event_seq = step.passed
        tables.forget_attempts(plugin_name=plugin_name, event_seq=event_seq)
    request = tables.requests.get(step.number)
    if request is not None:
        _change_request(request, progress, step)
    if step.answer is not None:
        tables.batched = [event for event in tables.batched if event.request != step.number]
    return letter_number


def _change_request(request: KeptRequest, progress: bytes | None, step: RequestStep) -> None:
    if progress is not None:
        request.progress, request.begun = progress, 0
    if step.answer is not None:
        if request.answer is None:
            request.answer, request.answered_at = step.answer, time.time()
        request.replays = []


def _write_letter(tables: Tables, letter_change: LetterChange) -> int:
    if letter_change.number is None:
        letter_number = tables.next_number("failure")
        tables.failures[letter_number] = FailedCall(
            letter_change.failure, letter_change.dead, letter_change.era, letter_change.body
        )
        return letter_number
    known_letter = tables.failures.get(letter_change.number)
    if known_letter is not None:
        new_failure = letter_change.failure
        changed_failure = dataclasses.replace(
            known_letter.failure,
            attempt=new_failure.attempt,
            error=new_failure.error,
            traceback=new_failure.traceback,
            at=new_failure.at,
            outcome=new_failure.outcome,
        )
        tables.failures[letter_change.number] = known_letter._replace(
            failure=changed_failure, dead=letter_change.dead
        )
    return letter_change.number


def _settle_letter(tables: Tables, letter_number: int, outcome: FailureOutcome) -> None:
    failed_call = tables.failures.get(letter_number)
    if failed_call is not None and failed_call.dead:
        settled_failure = dataclasses.replace(failed_call.failure, outcome=outcome)
        tables.failures[letter_number] = failed_call._replace(failure=settled_failure, dead=False)


def write_new_request(tables: Tables, asked_by: str, request_draft: RequestDraft) -> int:
    """Record a request, and return its number."""
    request_kind, plugin_name, request_detail, events = request_draft
    new_request = KeptRequest(
        request_kind, plugin_name, _encode_json(request_detail), asked_by, time.time(), list(events)
    )
    request_number = tables.next_number("request")
    tables.requests[request_number] = new_request
    return request_number


def write_events_aside(tables: Tables, events_aside: Iterable[SetAside]) -> int:
    """Record events as set aside; return how many are new."""
    count_before = len(tables.aside)
    for event_aside in events_aside:
        shortened_event = event_aside._replace(
            event=event_aside.event[:LONGEST_ASIDE_TEXT],
            reason=event_aside.reason[:LONGEST_ASIDE_TEXT],
        )
        tables.aside.setdefault(
            (shortened_event.era, shortened_event.event, shortened_event.where), shortened_event
        )
    return len(tables.aside) - count_before
