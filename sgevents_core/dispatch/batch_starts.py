"""The batches with which a lane starts: those that an earlier process has left."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from sgevents_core.calling.journal_events import event_of
from sgevents_core.choices import OrderBy
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.batch_clock import BatchClock
from sgevents_core.dispatch.batch_lines import LaneBatches
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.ledger import LaneLedger
from sgevents_core.events import Event
from sgevents_core.scripts import Scripts
from sgevents_core.state.batches import BatchChange, WaitingBatch
from sgevents_core.state.failures import Failure
from sgevents_core.state.keys import CallKey
from sgevents_core.state.steps import Step


def open_batches(
    lane_plugins: Sequence[LanePlugin],
    ledger: LaneLedger,
    *,
    attempts_by_call: Mapping[tuple[CallKey, int], int],
    order_by: OrderBy | None,
    announcer: Announcer,
    scripts: Scripts | None,
    clock: BatchClock,
) -> LaneBatches | None:
    """Return a lane's batches, with those that wait; None if none of its callbacks takes any.

    A batch that no callback takes any more becomes a dead letter.

    Args:
        lane_plugins: The lane's plugins, in call order.
        ledger: The lane's journal and ledger.
        attempts_by_call: `(callback, seq)` -> attempts so far, for calls that are not settled.
        order_by: The key that divides the lane's events into strands; None if it has one strand.
        announcer: Reports failures.
        scripts: The names of the site's scripts.
        clock: The clock by which batches become due.
    """
    callbacks = [callback for one in lane_plugins for callback in one.plugin.callbacks]
    rules = {
        index: callback.batch
        for index, callback in enumerate(callbacks)
        if callback.batch is not None
    }
    plugins_by_name = {one.plugin.name: one for one in lane_plugins}
    waiting = [batch for batch in ledger.batches() if batch.plugin in plugins_by_name]
    if not rules and not waiting:
        return None
    index_by_key = {
        CallKey(callbacks[index].plugin, callbacks[index].name): index for index in rules
    }
    batches = LaneBatches(rules, order_by, clock)
    for batch in waiting:
        callback_index = index_by_key.get(batch.call_key)
        if callback_index is None:
            attempt = attempts_by_call.get((batch.call_key, batch.number), 0)
            failure, events, number = _bury_batch(batch, attempt, ledger, scripts)
            record = plugins_by_name[batch.plugin].record
            if events:
                announcer.failed(failure, events[0], number, record, events=events)
            continue
        batches.restore(callback_index, batch)
    return batches


def _bury_batch(
    batch: WaitingBatch, attempt: int, ledger: LaneLedger, scripts: Scripts | None
) -> tuple[Failure, list[Event], int]:
    """Keep a batch that no callback takes any more as a dead letter.

    Returns:
        The failure, the batch's events, and the number of the dead letter.
    """
    events = ledger.read_batch(batch.plugin, batch.callback, batch.number)
    error_line = (
        f"CallbackMissing: the plugin has no callback {batch.callback} that takes batches any "
        f"more: dismiss this, or replay its events"
    )
    failure = Failure(
        batch.plugin, batch.callback, batch.number, events[0].event_id, attempt, error_line, "",
        time.time(), "dead-letter",
    )  # fmt: skip
    ledger_step = Step(failure=failure, dead=True)
    ledger_step.settled = (batch.plugin, batch.callback, batch.number)
    ledger_step.batch = BatchChange(batch.plugin, batch.callback, batch.number, "bury")
    letter_number = ledger.record(ledger_step)
    return (
        failure,
        [event_of(event.body, scripts) for event in events if event.whole],
        letter_number,
    )
