"""Writing one step, with the tables' lock held; what may fail comes first."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from sgevents_core.state.failures import Failure
from sgevents_core.state.feed_values import LONGEST, SetAside
from sgevents_core.state.keys import CallKey
from sgevents_core.state.letters import LetterChange
from sgevents_core.state.memory.tables import FailedCall, KeptLane, KeptRequest, KeptStrand, Tables
from sgevents_core.state.plugin_record import AnyPluginRecord, PluginRecord
from sgevents_core.state.requests import RequestDraft, RequestStep
from sgevents_core.state.steps import REMOVED, Step

_encode: Final = msgspec.json.Encoder().encode


def write_step(tables: Tables, lane: str, step: Step) -> int:
    """Write a step, and return the number of its failure, 0 if it has none."""
    stores = _encoded(step.store)
    if step.request is not None:
        _encode(step.request.progress)
    number = 0
    _write_places(tables.lanes[lane], step)
    for key in [key for key in tables.plugin_strands if key[0] in step.whole]:
        del tables.plugin_strands[key]
    for record in step.plugins:
        _write_record(tables, record)
    if step.failure is not None:
        number = _write_failure(tables, step.failure, dead=step.dead)
    for plugin, callback, seq, attempts in step.doubts:
        tables.attempts[CallKey(plugin, callback), seq] = attempts
    if step.settled is not None:
        plugin, callback, seq = step.settled
        tables.attempts.pop((CallKey(plugin, callback), seq), None)
        tables.deaths.pop((CallKey(plugin, callback), seq), None)
    tables.deaths.update(((died.key, died.seq), died) for died in step.deaths)
    if step.request is not None:
        number = write_request(tables, step.request) or number
    for plugin, values in stores.items():
        _write_store(tables, plugin, values)
    return number


def _write_places(lane: KeptLane, step: Step) -> None:
    if step.undivided:
        lane.divide(None)
    if step.places is not None:
        if lane.order_by != step.places.order_by:
            lane.divide(step.places.order_by)
        for strand, place in enumerate(step.places.places):
            lane.strands[strand] = place.joined(lane.strands.get(strand, place))
    if step.progress is not None and step.strand is None:
        lane.progress = step.progress
    elif step.progress is not None and step.strand is not None:
        lane.strands[step.strand] = step.progress


def _write_record(tables: Tables, record: AnyPluginRecord) -> None:
    """Write the record of a plugin, or of a plugin in one strand together with the plugin's."""
    if isinstance(record, PluginRecord):
        tables.plugins[record.name] = dataclasses.replace(record, strands={})
        return
    _write_record(tables, record.plugin)
    key = (record.name, record.strand)
    if record.apart:
        strand = dataclasses.replace(record, plugin=tables.plugins[record.name])
        tables.plugin_strands[key] = KeptStrand(record.plugin.order_by, strand)
    else:
        tables.plugin_strands.pop(key, None)


def _encoded(stores: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, bytes | None]]:
    """Return changes to stores as JSON; None for a key to remove.

    Raises:
        TypeError: A value is not JSON.
    """
    return {
        plugin: {key: None if new is REMOVED else _encode(new) for key, new in values.items()}
        for plugin, values in stores.items()
    }


def _write_store(tables: Tables, plugin: str, values: Mapping[str, bytes | None]) -> None:
    store = tables.stores.setdefault(plugin, {})
    for key, value in values.items():
        if value is None:
            store.pop(key, None)
        else:
            store[key] = value


def _write_failure(tables: Tables, failure: Failure, *, dead: bool) -> int:
    number = tables.next_number("failure")
    entry = tables.journal.get(failure.seq)
    era, body = (1, b"") if entry is None else (entry.era, entry.body)
    tables.failures[number] = FailedCall(failure, dead, era, body)
    tables.attempts[CallKey(failure.plugin, failure.callback), failure.seq] = failure.attempt
    return number


def write_request(tables: Tables, step: RequestStep) -> int:
    """Write the change to a request; return the number of its dead letter, 0 if it has none."""
    progress = None if step.progress is None else _encode(step.progress)
    number = 0 if step.letter is None else _write_letter(tables, step.letter)
    for dismissed in step.dismissed:
        _dismiss(tables, dismissed)
    if step.passed is not None:
        plugin, seq = step.passed
        tables.forget_attempts(plugin=plugin, seq=seq)
    request = tables.requests.get(step.number)
    if request is not None:
        _change_request(request, progress, step)
    return number


def _change_request(request: KeptRequest, progress: bytes | None, step: RequestStep) -> None:
    if progress is not None:
        request.progress, request.begun = progress, 0
    if step.answer is not None:
        if request.answer is None:
            request.answer, request.answered_at = step.answer, time.time()
        request.replays = []


def _write_letter(tables: Tables, change: LetterChange) -> int:
    if change.number is None:
        number = tables.next_number("failure")
        tables.failures[number] = FailedCall(change.failure, change.dead, change.era, change.body)
        return number
    before = tables.failures.get(change.number)
    if before is not None:
        new = change.failure
        failure = dataclasses.replace(
            before.failure,
            attempt=new.attempt,
            error=new.error,
            traceback=new.traceback,
            at=new.at,
            outcome=new.outcome,
        )
        tables.failures[change.number] = before._replace(failure=failure, dead=change.dead)
    return change.number


def _dismiss(tables: Tables, number: int) -> None:
    call = tables.failures.get(number)
    if call is not None and call.dead:
        failure = dataclasses.replace(call.failure, outcome="dismissed")
        tables.failures[number] = call._replace(failure=failure, dead=False)


def write_asked(tables: Tables, asked_by: str, asked: RequestDraft) -> int:
    """Record a request, and return its number."""
    kind, plugin, detail, events = asked
    request = KeptRequest(kind, plugin, _encode(detail), asked_by, time.time(), list(events))
    number = tables.next_number("request")
    tables.requests[number] = request
    return number


def write_aside(tables: Tables, events: Iterable[SetAside]) -> int:
    """Record events as set aside; return how many are new."""
    before = len(tables.aside)
    for event in events:
        shortened = event._replace(event=event.event[:LONGEST], reason=event.reason[:LONGEST])
        tables.aside.setdefault((shortened.era, shortened.event, shortened.where), shortened)
    return len(tables.aside) - before
