"""Carrying out people's requests about plugins: pause, resume, skip, and repeated calls.

The same code serves the running daemon, in the thread of the plugin's lane, and a command that
holds the state's lock if no daemon runs. The work and its answer are written atomically, so a
request is carried out once; only a call that was running when the process died is repeated, once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, TypeAlias

from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.lane_access import PluginStop
from sgevents_core.errors import StateError
from sgevents_core.printable import counted
from sgevents_core.requests.repeated_calls import settle_failure
from sgevents_core.requests.replaying import replay
from sgevents_core.requests.request_work import RequestWork, log_answer, unknown_plugin_reason
from sgevents_core.requests.retrying import retry
from sgevents_core.requests.skipping_batches import find_stopped_batch, skip_batch
from sgevents_core.state.letters import LetterChange
from sgevents_core.state.opening import open_state
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import Requests
from sgevents_core.state.requests import Request, RequestAnswer, RequestStep
from sgevents_core.state.skipped_events import build_skip_record
from sgevents_core.state.steps import Step

logger = logging.getLogger("sgevents.requests")

_RequestHandler: TypeAlias = Callable[[RequestWork], bool]


def carry_out(request_number: int, lane: Lane, state_folder: Path) -> bool:
    """Carry out a request, or a slice of it, and return whether it is over.

    Whatever goes wrong in a plugin becomes the answer.

    Args:
        request_number: The request's number.
        lane: The lane in whose thread this runs; it may be one that was never started.
        state_folder: The state's folder.

    Raises:
        StateError: The state cannot be written; the request stays as it is.
    """
    with closing(open_state(state_folder).requests()) as requests:
        open_request = requests.get(request_number)
        return open_request is None or _carry_out_request(
            open_request, lane, state_folder, requests
        )


def _carry_out_request(
    request: Request, lane: Lane, state_folder: Path, requests: Requests
) -> bool:
    lane_plugin = next(
        (
            lane_plugin
            for lane_plugin in lane.lane_plugins
            if lane_plugin.record.name == request.plugin
        ),
        None,
    )
    record = lane.access.record_of(request.plugin)
    if record is None:
        answer = RequestAnswer(
            "refused", unknown_plugin_reason(request.plugin, lane.ledger.plugins())
        )
        requests.answer(request.number, answer)
        log_answer(request, answer)
        return True
    work = RequestWork(
        request=request,
        lane=lane,
        state_folder=state_folder,
        requests=requests,
        plugin_record=record,
        lane_plugin=lane_plugin,
    )
    try:
        return _HANDLERS_BY_KIND[request.kind](work)
    except StateError:
        raise
    except Exception as error:
        logger.exception("Request %d failed", request.number, extra={"action": "request.broken"})
        text = f"it failed: {type(error).__name__}: {error}"
        return work.close(Step(), RequestAnswer("failed", text))


def _pause(work: RequestWork) -> bool:
    record = work.plugin_record
    if record.state == "paused":
        return work.close(Step(), RequestAnswer("done", f"it is paused already: {record.reason}"))
    if not work.lane.access.claim(work.lane.access.whole_unit):
        return False
    try:
        reason = str(work.request.detail.get("reason") or f"{work.request.asked_by} paused it")
        work.lane.access.pause(record, reason)
        next_entry = work.lane.access.next_entry_of(record)
        event_text = f"at event {next_entry.event_id}" if next_entry else "behind the last event"
        text = f"paused {event_text}; it loses nothing, and continues there when resumed"
        return work.close(Step(plugins=[record]), RequestAnswer("done", text))
    finally:
        work.lane.access.release(work.lane.access.whole_unit)


def _resume(work: RequestWork) -> bool:
    record, lane = work.plugin_record, work.lane
    former_state = "paused" if record.state == "paused" else "held"
    if not lane.access.is_stopped(record):
        return work.close(Step(), RequestAnswer("done", "it is neither paused nor held"))
    hung_call = work.lane_plugin.hung if work.lane_plugin else None
    if hung_call is not None and record.state == "held":
        return work.refuse(f"{hung_call.reason}, or until the daemon starts anew")
    if not lane.access.claim(lane.access.whole_unit):
        return False
    try:
        skipped_text = _skip_pruned_events(work)
        resume_step = lane.access.resume(record)
        reason_text = f"; {record.reason}" if record.state == "held" else ""
        return work.close(
            resume_step,
            RequestAnswer("done", f"no longer {former_state}{skipped_text}{reason_text}"),
        )
    finally:
        lane.access.release(lane.access.whole_unit)


def _skip_pruned_events(work: RequestWork) -> str:
    """Continue a plugin whose next events are no longer kept at the oldest one that is."""
    record = work.plugin_record
    next_entry = work.lane.access.next_entry_of(record)
    if next_entry is None or not record.apart or next_entry.seq == record.progress.running:
        return ""
    skipped_count = record.progress.before(next_entry.seq)
    record.skip_to(Progress.at(next_entry.seq))
    return (
        f"; {counted(skipped_count, 'event')} before event {next_entry.event_id} left the journal:"
        f" sgevents replay reads them from the site"
    )


def _skip(work: RequestWork) -> bool:
    lane, event_id = work.lane, int(work.request.detail["event_id"])
    batch = find_stopped_batch(work, event_id)
    if batch is not None:
        return skip_batch(work, batch)
    if not lane.access.is_stopped(work.plugin_record):
        return work.refuse("it is neither held nor paused, so it is not stopped at any event")
    plugin_stop = lane.access.stop_at(work.plugin_record, event_id)
    if plugin_stop is None:
        next_entry = lane.access.next_entry_of(work.plugin_record)
        event_text = f"at event {next_entry.event_id}" if next_entry else "behind the last event"
        return work.refuse(f"it stands {event_text}, not at event {event_id}")
    if not lane.access.claim(plugin_stop.unit):
        return False
    try:
        return _skip_entry(work, plugin_stop, event_id)
    finally:
        lane.access.release(plugin_stop.unit)


def _skip_entry(work: RequestWork, plugin_stop: PluginStop, event_id: int) -> bool:
    record, skipped_entry = plugin_stop.record, plugin_stop.entry
    done_callbacks = record.progress.done
    record.finish(skipped_entry.seq)
    work.lane.access.forget(record.name, skipped_entry.seq)
    resume_step = work.lane.access.resume(work.plugin_record, record)
    skip_record = build_skip_record(
        record.name, skipped_entry, done_callbacks, work.request.asked_by, time.time()
    )
    letter_change = LetterChange(
        None, skip_record, dead=False, era=skipped_entry.era, body=skipped_entry.body
    )
    resume_step.request = RequestStep(work.request.number, passed=(record.name, skipped_entry.seq))
    return work.close(
        resume_step, RequestAnswer("done", f"it continues after event {event_id}"), letter_change
    )


def _dismiss(work: RequestWork) -> bool:
    if "letters" in work.request.detail:
        return _dismiss_all(work, work.request.detail["letters"])
    with closing(open_state(work.state_folder).letters()) as dead_letters:
        letter = dead_letters.get(int(work.request.detail["letter"]))
    if letter is None or not letter.dead:
        return work.refuse("that dead letter no longer exists")
    letter_change = LetterChange(
        letter.number, settle_failure(letter.failure, "dismissed"), dead=False
    )
    return work.close(
        Step(), RequestAnswer("done", f"dead letter {letter.number} dismissed"), letter_change
    )


def _dismiss_all(work: RequestWork, letter_numbers: list[int]) -> bool:
    """Dismiss many dead letters in one step; those settled meanwhile stay as they are."""
    dismissal_step = Step(request=RequestStep(work.request.number, dismissed=letter_numbers))
    return work.close(
        dismissal_step, RequestAnswer("done", f"{len(letter_numbers)} dead letters dismissed")
    )


_HANDLERS_BY_KIND: Final[dict[str, _RequestHandler]] = {
    "pause": _pause,
    "resume": _resume,
    "skip": _skip,
    "dismiss": _dismiss,
    "retry": retry,
    "replay": replay,
}

CALLING_KINDS: Final = frozenset({"retry", "replay"})
"""The kinds of requests that call a plugin."""
