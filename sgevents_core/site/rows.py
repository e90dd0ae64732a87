"""The rows of an answer: those that can be handled, checked against the question, and odd ones.

A row that makes no sense costs only itself; an answer to another question is refused.
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

Asked: TypeAlias = Page | PageRange | After | Newest | Since | Look | Recent | Ids | Fetch


def answer_of(call: Asked, decoded: DecodedRows, limit: int, date: int | None) -> Answer:
    """Return what the site answered to a call.

    Args:
        call: What was asked.
        decoded: The rows of the answer.
        limit: The largest number of records asked for.
        date: The site's clock, if it sent it.

    Raises:
        ValueError: These rows answer another question, or none of them can be handled.
    """
    odd, full = decoded.odd, decoded.total >= limit
    rows = _ordered_rows(
        list(decoded.rows.values()), full=full, descending=isinstance(call, Newest)
    )
    rows = _requested_rows(call, rows)
    if full and not rows:
        raise ValueError(f"none of the {decoded.total} rows can be taken: {odd[0].reason}")
    rows = rows[: call.limit]
    reach = rows[-1].id if full or len(rows) == call.limit else None
    return Answer(tuple(rows), date=date, odd=tuple(odd), reach=reach)


def _ordered_rows(rows: list[Row], *, full: bool, descending: bool) -> list[Row]:
    """Return the rows in the order asked for.

    A site that keeps no order may have left out any row of a full page: then it is not a valid
    answer.
    """
    ids = [row.id for row in rows]
    misplaced = sum((earlier < later) is descending for earlier, later in pairwise(ids))
    if full and misplaced * 4 >= len(ids) and misplaced:
        raise ValueError("the rows are not in the order asked for")
    return sorted(rows, key=lambda row: row.id, reverse=descending) if misplaced else rows


def _requested_rows(call: Asked, rows: list[Row]) -> list[Row]:
    """Return the rows that answer the question; a row that answers another proves nothing.

    Raises:
        ValueError: They do not answer it. A page may hold lower ids besides those asked for.
    """
    unrequested = _unrequested_rows(call, rows)
    if isinstance(call, Page) and len(unrequested) < len(rows):
        return [row for row in rows if row.id > call.above]
    if unrequested:
        raise ValueError(f"event {unrequested[0].id} was not asked for")
    return rows


def _unrequested_rows(call: Asked, rows: Sequence[Row]) -> Sequence[Row]:
    match call:
        case Page() | After():
            return [row for row in rows if row.id <= call.above]
        case Newest():
            return [row for row in rows if call.below is not None and row.id >= call.below]
        case Since():
            # The question was for later than the second before; a site may keep fractions of
            # seconds.
            return [row for row in rows if row.dated and row.at < call.at - 1]
        case Ids():
            return [row for row in rows if not call.span.first <= row.id <= call.span.last]
        case PageRange() | Look() | Recent() | Fetch():
            firsts = [span.first for span in call.spans]
            span_indexes = [bisect_right(firsts, row.id) - 1 for row in rows]
            return [
                row
                for row, span_index in zip(rows, span_indexes, strict=True)
                if span_index < 0 or row.id > call.spans[span_index].last
            ]
