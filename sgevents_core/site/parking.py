"""A person's decision about parked rows: plugins are given them, or never will be."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sgevents_core.printable import counted
from sgevents_core.site import ages
from sgevents_core.site.known import Hole, Known
from sgevents_core.site.ranges import Span
from sgevents_core.state.protocols import FeedWriter
from sgevents_core.state.requests import Request, RequestAnswer, RequestStep

logger = logging.getLogger("sgevents.feed")


def decide_parked(state: FeedWriter, request: Request) -> RequestAnswer:
    """Carry out a decision about parked rows, and return the result.

    Rows to be handled are looked for like missing ones, from the next call to the site on. The
    decision and its answer are written together. It covers what was parked when the person looked;
    what was parked since waits for a decision of its own.

    Args:
        state: The journal; nobody else appends to it meanwhile.
        request: Its detail holds `decision` (`handle` or `drop`), `era` and `numbers`, the parkings
            it covers.

    Raises:
        StateError: It cannot be written; the request waits.
    """
    record = state.load_feed()
    known = Known(record)
    spans = known.ranges_parked_as(frozenset(request.detail["numbers"]))
    if record is None or record.state.era != request.detail["era"] or not spans:
        answer = RequestAnswer("done", "nothing of that is parked any more")
        state.answer(RequestStep(request.number, answer=answer))
        return answer
    if request.detail["decision"] == "handle":
        known.handle_parked(spans, Hole(ages.site_clock(record.state, None), record.state.observed))
        what_happens = "will be handed to the plugins as late events"
    else:
        known.drop_parked(spans)
        what_happens = "are dropped: no plugin gets them"
    answer = RequestAnswer("done", f"{rows_of(spans)} {what_happens}")
    change = known.take_changes(record.state)
    state.decide(state.end(), change, RequestStep(request.number, answer=answer))
    _log_decision(spans, answer, request)
    return answer


def rows_of(spans: Sequence[Span]) -> str:
    """Return in words how many rows some ranges hold, and between which ids."""
    rows, first, last = sum(span.size for span in spans), spans[0].first, spans[-1].last
    return f"{counted(rows, 'parked row')}, events {first} to {last},"


def _log_decision(spans: Sequence[Span], answer: RequestAnswer, request: Request) -> None:
    extra = {
        "action": "feed.unparked",
        "rows": sum(span.size for span in spans),
        "event_id": spans[0].first,
        "last_event_id": spans[-1].last,
    }
    logger.warning("%s decided: %s", request.asked_by, answer.text, extra=extra)
