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

from sgevents_core.dispatch.lane import Lane, PluginStop
from sgevents_core.errors import StateError
from sgevents_core.printable import counted
from sgevents_core.requests import repeated_calls
from sgevents_core.requests.request_work import RequestWork, never_enabled, tell
from sgevents_core.state.letters import LetterChange
from sgevents_core.state.opening import open_state
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import Requests
from sgevents_core.state.requests import Request, RequestAnswer, RequestStep
from sgevents_core.state.skips import skip_note
from sgevents_core.state.steps import Step

logger = logging.getLogger("sgevents.requests")

_Handler: TypeAlias = Callable[[RequestWork], bool]


def carry_out(number: int, lane: Lane, folder: Path) -> bool:
    """Carry out a request, or a slice of it, and return whether it is over.

    Whatever goes wrong in a plugin becomes the answer.

    Args:
        number: The request's number.
        lane: The lane in whose thread this runs; it may be one that was never started.
        folder: The state's folder.

    Raises:
        StateError: The state cannot be written; the request stays as it is.
    """
    with closing(open_state(folder).requests()) as requests:
        request = requests.get(number)
        return request is None or _carry_out(request, lane, folder, requests)


def _carry_out(request: Request, lane: Lane, folder: Path, requests: Requests) -> bool:
    lane_plugin = next((r for r in lane.lane_plugins if r.record.name == request.plugin), None)
    record = lane.record_of(request.plugin)
    if record is None:
        answer = RequestAnswer("refused", never_enabled(request.plugin, lane.ledger.plugins()))
        requests.answer(request.number, answer)
        tell(request, answer)
        return True
    work = RequestWork(
        request=request,
        lane=lane,
        folder=folder,
        requests=requests,
        record=record,
        lane_plugin=lane_plugin,
    )
    try:
        return _HANDLERS[request.kind](work)
    except StateError:
        raise
    except Exception as error:
        logger.exception("Request %d failed", request.number, extra={"action": "request.broken"})
        text = f"it went wrong: {type(error).__name__}: {error}"
        return work.close(Step(), RequestAnswer("failed", text))


def _pause(work: RequestWork) -> bool:
    record = work.record
    if record.state == "paused":
        return work.close(Step(), RequestAnswer("done", f"it is paused already: {record.reason}"))
    if not work.lane.claim(work.lane.whole_unit):
        return False
    try:
        reason = str(work.request.detail.get("reason") or f"{work.request.asked_by} paused it")
        work.lane.pause(record, reason)
        entry = work.lane.next_entry_of(record)
        where = f"at event {entry.event_id}" if entry else "behind the last event"
        text = f"paused {where}; it loses nothing, and continues there when resumed"
        return work.close(Step(plugins=[record]), RequestAnswer("done", text))
    finally:
        work.lane.release(work.lane.whole_unit)


def _resume(work: RequestWork) -> bool:
    record, lane = work.record, work.lane
    was = "paused" if record.state == "paused" else "held"
    if not lane.is_stopped(record):
        return work.close(Step(), RequestAnswer("done", "it is neither paused nor held"))
    hung = work.lane_plugin.hung if work.lane_plugin else None
    if hung is not None and record.state == "held":
        return work.refuse(f"{hung.reason}, or until the daemon starts anew")
    if not lane.claim(lane.whole_unit):
        return False
    try:
        lost = _skip_what_is_gone(work)
        step = lane.resume(record)
        still = f"; {record.reason}" if record.state == "held" else ""
        return work.close(step, RequestAnswer("done", f"no longer {was}{lost}{still}"))
    finally:
        lane.release(lane.whole_unit)


def _skip_what_is_gone(work: RequestWork) -> str:
    """Continue a plugin whose next events are no longer kept at the oldest one that is."""
    record = work.record
    entry = work.lane.next_entry_of(record)
    if entry is None or not record.apart or entry.seq == record.progress.running:
        return ""
    count = record.progress.before(entry.seq)
    record.skip_to(Progress.at(entry.seq))
    return (
        f"; {counted(count, 'event')} before event {entry.event_id} left the journal:"
        f" sgevents replay reads them from the site"
    )


def _skip(work: RequestWork) -> bool:
    lane, wanted = work.lane, int(work.request.detail["event_id"])
    if not lane.is_stopped(work.record):
        return work.refuse("it is neither held nor paused, so it stands at no event")
    stop = lane.stop_at(work.record, wanted)
    if stop is None:
        entry = lane.next_entry_of(work.record)
        stands = f"at event {entry.event_id}" if entry else "behind the last event"
        return work.refuse(f"it stands {stands}, not at event {wanted}")
    if not lane.claim(stop.unit):
        return False
    try:
        return _skip_entry(work, stop, wanted)
    finally:
        lane.release(stop.unit)


def _skip_entry(work: RequestWork, stop: PluginStop, wanted: int) -> bool:
    record, entry = stop.record, stop.entry
    done = record.progress.done
    record.finish(entry.seq)
    work.lane.forget(record.name, entry.seq)
    step = work.lane.resume(work.record, record)
    note = skip_note(record.name, entry, done, work.request.asked_by, time.time())
    letter = LetterChange(None, note, dead=False, era=entry.era, body=entry.body)
    step.request = RequestStep(work.request.number, passed=(record.name, entry.seq))
    return work.close(step, RequestAnswer("done", f"it continues after event {wanted}"), letter)


def _dismiss(work: RequestWork) -> bool:
    if "letters" in work.request.detail:
        return _dismiss_all(work, work.request.detail["letters"])
    with closing(open_state(work.folder).letters()) as letters:
        letter = letters.get(int(work.request.detail["letter"]))
    if letter is None or not letter.dead:
        return work.refuse("that dead letter no longer exists")
    gone = LetterChange(
        letter.number, repeated_calls.closed(letter.failure, "dismissed"), dead=False
    )
    return work.close(Step(), RequestAnswer("done", f"dead letter {letter.number} dismissed"), gone)


def _dismiss_all(work: RequestWork, numbers: list[int]) -> bool:
    """Dismiss many dead letters in one step; those settled meanwhile stay as they are."""
    step = Step(request=RequestStep(work.request.number, dismissed=numbers))
    return work.close(step, RequestAnswer("done", f"{len(numbers)} dead letters dismissed"))


_HANDLERS: Final[dict[str, _Handler]] = {
    "pause": _pause,
    "resume": _resume,
    "skip": _skip,
    "dismiss": _dismiss,
    "retry": repeated_calls.retry,
    "replay": repeated_calls.replay,
}
