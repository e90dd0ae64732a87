"""A person's decision about parked rows: hand them to the plugins, or drop them for good."""

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


def decide_parked(feed_writer: FeedWriter, person_request: Request) -> RequestAnswer:
    """Carry out a decision about parked rows, and return the result.

    Rows to be handled are looked for like missing ones, starting with the next call to the site.
    The decision and its answer are written together. They cover the rows parked when the person
    looked; rows parked since then need a decision of their own.

    Args:
        feed_writer: The journal; nobody else appends to it meanwhile.
        person_request: The request; its detail holds `decision` (`handle` or `drop`), `era` and
            `numbers`, the parkings it covers.

    Raises:
        StateError: The journal cannot be written; the request waits.
    """
    feed_record = feed_writer.load_feed()
    known_ids = Known(feed_record)
    id_spans = known_ids.ranges_parked_as(frozenset(person_request.detail["numbers"]))
    if feed_record is None or feed_record.state.era != person_request.detail["era"] or not id_spans:
        request_answer = RequestAnswer("done", "none of these rows is parked any more")
        feed_writer.answer(RequestStep(person_request.number, answer=request_answer))
        return request_answer
    if person_request.detail["decision"] == "handle":
        known_ids.handle_parked(
            id_spans, Hole(ages.site_clock(feed_record.state, None), feed_record.state.observed)
        )
        what_happens = "will be handed to the plugins as late events"
    else:
        known_ids.drop_parked(id_spans)
        what_happens = "are dropped: no plugin gets them"
    request_answer = RequestAnswer("done", f"{rows_of(id_spans)} {what_happens}")
    feed_change = known_ids.take_changes(feed_record.state)
    feed_writer.decide(
        feed_writer.end(), feed_change, RequestStep(person_request.number, answer=request_answer)
    )
    _log_decision(id_spans, request_answer, person_request)
    return request_answer


def rows_of(id_spans: Sequence[Span]) -> str:
    """Return in words how many rows the ranges hold, and between which ids."""
    row_count, first_id, last_id = (
        sum(id_span.size for id_span in id_spans),
        id_spans[0].first,
        id_spans[-1].last,
    )
    return f"{counted(row_count, 'parked row')}, events {first_id} to {last_id},"


def _log_decision(
    id_spans: Sequence[Span], request_answer: RequestAnswer, person_request: Request
) -> None:
    log_extra = {
        "action": "feed.unparked",
        "rows": sum(id_span.size for id_span in id_spans),
        "event_id": id_spans[0].first,
        "last_event_id": id_spans[-1].last,
    }
    logger.warning("%s decided: %s", person_request.asked_by, request_answer.text, extra=log_extra)
