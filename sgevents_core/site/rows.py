"""The rows of an answer: those that can be handled, checked against the question, and odd ones.

An invalid row affects no other; an answer to another query is refused.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

from sgevents_core.site.questions import (
    After,
    Answer,
    Fetch,
    Ids,
    Look,
    Newest,
    Page,
    PageRange,
    Recent,
    Since,
)
from sgevents_core.site.row_decoding import DecodedRows
from sgevents_core.state.entries import Row

RowsCall: TypeAlias = Page | PageRange | After | Newest | Since | Look | Recent | Ids | Fetch
"""A call that is answered with rows."""


def answer_of(
    site_call: RowsCall, decoded_rows: DecodedRows, row_limit: int, site_date: int | None
) -> Answer:
    """Return the site's answer to a call.

    Args:
        site_call: The query sent to the site.
        decoded_rows: The rows of the answer.
        row_limit: The largest number of records asked for.
        site_date: The site's clock, if it sent it.

    Raises:
        ValueError: The rows answer another query, or none of them can be handled.
    """
    odd_rows, is_full = decoded_rows.odd, decoded_rows.total >= row_limit
    event_rows = _ordered_rows(
        list(decoded_rows.rows.values()),
        is_full=is_full,
        is_descending=isinstance(site_call, Newest),
    )
    event_rows = _requested_rows(site_call, event_rows)
    if is_full and not event_rows:
        raise ValueError(
            f"none of the {decoded_rows.total} rows can be taken: {odd_rows[0].reason}"
        )
    event_rows = event_rows[: site_call.limit]
    reach_id = event_rows[-1].id if is_full or len(event_rows) == site_call.limit else None
    return Answer(tuple(event_rows), date=site_date, odd=tuple(odd_rows), reach=reach_id)


def _ordered_rows(event_rows: list[Row], *, is_full: bool, is_descending: bool) -> list[Row]:
    """Return the rows in the order asked for.

    A site that keeps no order may have left out any row of a full page: then it is not a valid
    answer.
    """
    event_ids = [event_row.id for event_row in event_rows]
    misplaced_rows = sum(
        (earlier < later) is is_descending for earlier, later in pairwise(event_ids)
    )
    if is_full and misplaced_rows * 4 >= len(event_ids) and misplaced_rows:
        raise ValueError("the rows are not in the order asked for")
    return (
        sorted(event_rows, key=lambda event_row: event_row.id, reverse=is_descending)
        if misplaced_rows
        else event_rows
    )


def _requested_rows(site_call: RowsCall, event_rows: list[Row]) -> list[Row]:
    """Return the rows that answer the query; a row outside it proves nothing.

    Raises:
        ValueError: The rows do not answer the query. A page may hold lower ids besides those
            requested.
    """
    unrequested_rows = _unrequested_rows(site_call, event_rows)
    if isinstance(site_call, Page) and len(unrequested_rows) < len(event_rows):
        return [event_row for event_row in event_rows if event_row.id > site_call.above]
    if unrequested_rows:
        raise ValueError(f"event {unrequested_rows[0].id} was not requested")
    return event_rows


def _unrequested_rows(site_call: RowsCall, event_rows: Sequence[Row]) -> Sequence[Row]:
    match site_call:
        case Page() | After():
            return [event_row for event_row in event_rows if event_row.id <= site_call.above]
        case Newest():
            return [
                event_row
                for event_row in event_rows
                if site_call.below is not None and event_row.id >= site_call.below
            ]
        case Since():
            # The question was for later than the second before; a site may keep fractions of
            # seconds.
            return [
                event_row
                for event_row in event_rows
                if event_row.dated and event_row.at < site_call.at - 1
            ]
        case Ids():
            return [
                event_row
                for event_row in event_rows
                if not site_call.span.first <= event_row.id <= site_call.span.last
            ]
        case PageRange() | Look() | Recent() | Fetch():
            first_ids = [id_span.first for id_span in site_call.spans]
            last_ids = [0, *(id_span.last for id_span in site_call.spans)]
            return [
                event_row
                for event_row in event_rows
                if event_row.id > last_ids[bisect_right(first_ids, event_row.id)]
            ]
