"""The batches of a replay: its events come into batches of one key, as those of the log do.

They are events of the past, so none waits for another: a batch is complete when it is full, or when
the replay has come to its end.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sgevents_core.plugins.callback import Callback
from sgevents_core.state.batches import BatchAction, BatchChange, BatchedEvent
from sgevents_core.state.failures import Failure
from sgevents_core.state.letters import Letter, LetterChange
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import ReplayEvent, RequestStep
from sgevents_core.state.steps import Step
from sgevents_core.state.strands import strands_of_body


def batched_event(
    request_number: int, callback: Callback, key: str, batch_number: int, replayed: ReplayEvent
) -> BatchedEvent:
    """Return an event as a replay collects it.

    Args:
        request_number: The replay.
        callback: The callback that takes it in a batch.
        key: The key of the batch.
        batch_number: The number of the batch: the index of its first event.
        replayed: The event.
    """
    collected_at = time.time()
    return BatchedEvent(
        callback.plugin,
        callback.name,
        batch_number,
        key,
        replayed.seq,
        replayed.era,
        replayed.event_id,
        replayed.body,
        strands_of_body(replayed.body, replayed.event_id),
        collected_at,
        collected_at,
        request=request_number,
    )


def first_event_of(batch: Sequence[BatchedEvent]) -> ReplayEvent:
    """Return the first event of a batch, which its call is named after."""
    first_event = batch[0]
    return ReplayEvent(first_event.era, first_event.seq, first_event.event_id, first_event.body)


def settle_batch(
    step: Step,
    request_step: RequestStep,
    batch: Sequence[BatchedEvent],
    failure: Failure | None,
    state_folder: Path,
) -> None:
    """Add to a step what becomes of a batch, and of the dead letters about its events.

    A letter is settled if the call had all of its events; what has failed again is one letter.

    Args:
        step: The step that records the call.
        request_step: The change to its request.
        batch: The events of the batch.
        failure: How the call failed, if it did.
        state_folder: The state's folder.
    """
    covered_letters = _covered_letters(batch, state_folder)
    kept_letter = None
    if failure is not None:
        event_ids = [event.event_id for event in batch]
        kept_letter = next(
            (letter for letter in covered_letters if _event_ids(letter) == event_ids), None
        )
    action: BatchAction = "end" if failure is None or kept_letter is not None else "bury"
    first_event = batch[0]
    step.batch = BatchChange(*first_event[:3], action, first_event.request)
    letter_change = None
    if failure is not None:
        kept_number = None if kept_letter is None else kept_letter.number
        letter_change = LetterChange(
            kept_number, failure, dead=True, era=first_event.era, body=first_event.body
        )
    step.request = request_step._replace(
        letter=letter_change,
        retried=[letter.number for letter in covered_letters if letter is not kept_letter],
    )


def _covered_letters(batch: Sequence[BatchedEvent], state_folder: Path) -> list[Letter]:
    """Return the dead letters of a batch's callback that are about no other events than its own."""
    first_event, event_ids = batch[0], {event.event_id for event in batch}
    covered_letters: dict[int, Letter] = {}
    with closing(open_state(state_folder).letters()) as dead_letters:
        for event in batch:
            for letter in dead_letters.find(event.plugin, event.event_id):
                is_of_call = letter.failure.callback == event.callback
                if is_of_call and letter.era == first_event.era:
                    covered_letters[letter.number] = letter
    return [
        letter for letter in covered_letters.values() if event_ids.issuperset(_event_ids(letter))
    ]


def _event_ids(letter: Letter) -> list[int]:
    return [*letter.batch] or [letter.failure.event_id]
