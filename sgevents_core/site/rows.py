"""The rows of an answer: those that can be handled, checked against the question, and odd ones.

A row that makes no sense costs only itself; an answer to another question is refused.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, TypeAlias

from sgevents_core.moments import seconds_of
from sgevents_core.site.bodies import encoded, in_whole_characters
from sgevents_core.site.questions import (
    After,
    Answer,
    Fetch,
    Ids,
    Look,
    Newest,
    Odd,
    Page,
    Recent,
    Since,
)
from sgevents_core.state.entries import Row
from sgevents_core.state.strands import strands_of

Asked: TypeAlias = Page | After | Newest | Since | Look | Recent | Ids | Fetch
HIGHEST_ID: Final = 2**53 - 1
"""The highest id that every JSON reader reads exactly; no site comes near it."""
_LONGEST_TIME: Final = 64
_LONGEST_NAME: Final = 50


def answer_of(call: Asked, records: Sequence[Any], limit: int, date: int | None) -> Answer:
    """Return what the site answered to a call.

    Args:
        call: What was asked.
        records: The records of the answer.
        limit: The largest number of records asked for.
        date: The site's clock, if it sent it.

    Raises:
        ValueError: These rows answer another question, or none of them can be handled.
    """
    rows, odd = _apart(records, ids_only=isinstance(call, Ids | After))
    full = len(records) >= limit
    rows = _asked_for(call, _in_order(rows, full=full, descending=isinstance(call, Newest)))
    if full and not rows:
        raise ValueError(f"none of the {len(records)} rows can be taken: {odd[0].reason}")
    rows = rows[: call.limit]
    reach = rows[-1].id if full or len(rows) == call.limit else None
    return Answer(tuple(rows), date=date, odd=tuple(odd), reach=reach)


def _apart(records: Sequence[Any], *, ids_only: bool) -> tuple[list[Row], list[Odd]]:
    """Return the rows that can be handled, each id once, and why the others cannot."""
    rows: dict[int, Row] = {}
    odd = []
    for record in records:
        id_ = record.get("id") if type(record) is dict else None
        if type(id_) is not int or not 1 <= id_ <= HIGHEST_ID:
            odd.append(Odd(_name(record), _fault(record)))
        elif id_ not in rows:
            rows[id_] = Row(id_, 0, "", b"") if ids_only else _row(id_, record)
    return list(rows.values()), odd


def _fault(record: Any) -> str:
    """Return why a record cannot be handled."""
    if not isinstance(record, dict):
        return "the site sent it as something that is not a record"
    if type(record.get("id")) is not int:
        return "its id is not an integer"
    return "its id is out of range"


def _name(record: Any) -> str:
    """Return what an odd record is known by: the same each time it appears."""
    if not isinstance(record, dict):
        return _shown(record)
    told = [record[key] for key in ("event_type", "created_at") if record.get(key) is not None]
    described = ", ".join(_shown(one).strip('"') for one in told)
    name = _shown(record.get("id"))
    return f"{name} ({described})" if described else name


def _shown(value: Any) -> str:
    shown = json.dumps(value)
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[:_LONGEST_NAME]}..."


def _at(created_at: object) -> int | None:
    if type(created_at) is str and len(created_at) <= _LONGEST_TIME:
        return _seconds(created_at)  # rows of one page share their times
    return None


_seconds: Final = lru_cache(maxsize=4096)(seconds_of)


def _row(id_: int, record: dict[str, Any]) -> Row:
    at = _at(record.get("created_at"))
    event_type = in_whole_characters(str(record.get("event_type") or ""))
    return Row(id_, at or 0, event_type, encoded(record), at is not None, strands_of(record))


def _in_order(rows: list[Row], *, full: bool, descending: bool) -> list[Row]:
    """Return the rows in the order asked for.

    A site that keeps no order may have left out any row of a full page: then it is not a valid
    answer.
    """
    ids = [row.id for row in rows]
    wrong = sum((one < other) is descending for one, other in pairwise(ids))
    if full and wrong * 4 >= len(ids) and wrong:
        raise ValueError("the rows are not in the order asked for")
    return sorted(rows, key=lambda row: row.id, reverse=descending) if wrong else rows


def _asked_for(call: Asked, rows: list[Row]) -> list[Row]:
    """Return the rows that answer the question; a row that answers another proves nothing.

    Raises:
        ValueError: They do not answer it. A page may hold lower ids besides those asked for.
    """
    strange = _strange(call, rows)
    if isinstance(call, Page) and len(strange) < len(rows):
        return [row for row in rows if row.id > call.above]
    if strange:
        raise ValueError(f"event {strange[0].id} was not asked for")
    return rows


def _strange(call: Asked, rows: Sequence[Row]) -> Sequence[Row]:
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
        case Look() | Recent() | Fetch():
            firsts = [span.first for span in call.spans]
            places = [bisect_right(firsts, row.id) - 1 for row in rows]
            return [
                row
                for row, place in zip(rows, places, strict=True)
                if place < 0 or row.id > call.spans[place].last
            ]
