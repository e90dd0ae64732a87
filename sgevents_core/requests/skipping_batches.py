"""Skipping a batch at which a plugin is stopped, because a person asked."""

from __future__ import annotations

import time

from sgevents_core.printable import counted
from sgevents_core.requests.request_work import RequestWork
from sgevents_core.state.batches import BatchChange, BatchedEvent, WaitingBatch
from sgevents_core.state.failures import Failure
from sgevents_core.state.letters import LetterChange
from sgevents_core.state.requests import RequestAnswer, RequestStep
from sgevents_core.state.steps import Step


def find_stopped_batch(work: RequestWork, event_id: int) -> WaitingBatch | None:
    """Return the batch with an event whose call has failed; None if there is none."""
    for batch in work.lane.ledger.batches():
        if batch.plugin == work.plugin_record.name and batch.is_closed:
            events = work.lane.ledger.read_batch(batch.plugin, batch.callback, batch.number)
            if any(event.event_id == event_id for event in events):
                return batch
    return None


def skip_batch(work: RequestWork, batch: WaitingBatch) -> bool:
    """Drop a batch whose call has failed, and let its plugin continue; return whether it is over.

    It is recorded as a dismissed dead letter, so that people see what became of its events.
    """
    lane = work.lane
    unit = lane.access.unit_of_batch(batch)
    if not lane.access.claim(unit):
        return False
    try:
        events = lane.ledger.read_batch(batch.plugin, batch.callback, batch.number)
        if not events:
            return work.refuse("that batch was handled meanwhile")
        record = work.plugin_record
        resume_step = lane.access.resume(record) if lane.access.is_stopped(record) else Step()
        resume_step.batch = BatchChange(batch.plugin, batch.callback, batch.number, "bury")
        resume_step.request = RequestStep(work.request.number, passed=(batch.plugin, batch.number))
        lane.access.forget(batch.plugin, batch.number)
        lane.access.drop_batch(batch)
        answer_text = f"it continues after a batch of {counted(len(events), 'event')}"
        return work.close(
            resume_step, RequestAnswer("done", answer_text), _skip_record(work, batch, events)
        )
    finally:
        lane.access.release(unit)


def _skip_record(
    work: RequestWork, batch: WaitingBatch, events: list[BatchedEvent]
) -> LetterChange:
    first = events[0]
    failure = Failure(
        plugin=batch.plugin,
        callback=batch.callback,
        seq=batch.number,
        event_id=first.event_id,
        attempt=0,
        error=f"{work.request.asked_by} skipped it",
        traceback="",
        at=time.time(),
        outcome="dismissed",
    )
    return LetterChange(None, failure, dead=False, era=first.era, body=first.body)
