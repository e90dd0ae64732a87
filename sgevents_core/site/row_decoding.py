"""Rows of an answer: kept as they came, decoded once and only as far as the feed needs.

A usual row is decoded by its expected types. A row that differs in any way is decoded whole,
without affecting others: it is handled with the fields that are valid, or set aside as odd.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from sgevents_core.events import Event, acting_links, said_route
from sgevents_core.moments import seconds_of
from sgevents_core.scripts import API_USER, scripts_on
from sgevents_core.site.bodies import (
    DEEPEST_LEVEL,
    LONGEST_INTEGER,
    decoded,
    encoded,
    in_whole_characters,
)
from sgevents_core.site.questions import Odd
from sgevents_core.state.entries import Route, Row
from sgevents_core.state.strands import pack_linked_strands, record_key, strands_of
from sgevents_core.stock_values import stock_text

HIGHEST_ID: Final = 2**53 - 1
"""The highest id that every JSON reader reads exactly; no site comes near it."""
_LONGEST_TIME: Final = 64
_LONGEST_NAME: Final = 50
_LONGEST_KNOWN: Final = 20_000
"""Bytes of a row whose kind is remembered: its texts are not longer."""
_LONG_INTEGER: Final = re.compile(rb"[0-9]{%d}" % LONGEST_INTEGER)


class _Link(Struct, gc=False):
    """A link to a record."""

    type: str | None = None
    id: int | None = None


class _UserLink(Struct, gc=False):
    """A link to a person or a script."""

    type: str | None = None
    id: int | None = None
    name: str | None = None


class _Details(Struct, gc=False):
    """A row's `meta`, which may name a person behind the row's user, and the record viewed."""

    sudo_actual_user: Raw | UnsetType = UNSET
    link_entity_type: Any = None
    link_entity_id: Any = None


class _RowHead(Struct, gc=False):
    """The fields of a usual row that the feed reads."""

    id: int
    event_type: str | None = None
    attribute_name: str | None = None
    created_at: str | None = None
    entity: _Link | None = None
    project: _Link | None = None
    user: _UserLink | None = None
    meta: _Details | None = None


class _Kind(NamedTuple):
    """What rows have in common whose type, attribute, entity type and project are the same.

    Args:
        event_type: Their event type.
        route: Their route, if they say it in so many words.
        type_key: What their record's id is added to for its key; None if another record is viewed.
    """

    event_type: str
    route: Route | None
    type_key: int | None


_decode_head: Final = msgspec.json.Decoder(_RowHead).decode
_seconds: Final = lru_cache(maxsize=4096)(seconds_of)  # rows of one page often have the same time


class DecodedRows(NamedTuple):
    """The rows of one answer.

    Args:
        rows: The rows that can be handled, by id, in the order of the answer.
        odd: The rows that cannot be handled, with the reasons.
        scripts: The scripts that caused rows, each once: its id and the name that rows show.
        total: How many records the answer has.
    """

    rows: dict[int, Row]
    odd: list[Odd]
    scripts: dict[tuple[int, str], None]
    total: int


def decode_rows(answer_records: Sequence[Any], *, ids_only: bool = False) -> DecodedRows:
    """Return the rows of an answer; of rows with the same id, the first.

    Args:
        answer_records: The records of the answer, as JSON if they are `msgspec.Raw`.
        ids_only: Whether only ids were requested.
    """
    decoded_rows = DecodedRows({}, [], {}, len(answer_records))
    for answer_record in answer_records:
        if type(answer_record) is not Raw:
            _add_unusual(answer_record, decoded_rows, ids_only=ids_only)
            continue
        row_body = bytes(answer_record)
        row_head = _head_of(row_body)
        if row_head is None:
            _add_unusual(decoded(row_body), decoded_rows, ids_only=ids_only)
        elif row_head.id not in decoded_rows.rows:
            event_row = (
                Row(row_head.id, 0, "", b"")
                if ids_only
                else _usual_row(row_body, row_head, decoded_rows)
            )
            decoded_rows.rows[row_head.id] = event_row
    return decoded_rows


def _head_of(row_body: bytes) -> _RowHead | None:
    """Return the head of a usual row; None for any other."""
    try:
        row_head = _decode_head(row_body)
    except (msgspec.DecodeError, RecursionError):
        return None
    # A shorter row holds no such integer, and no more levels than every reader accepts.
    is_odd = len(row_body) > LONGEST_INTEGER and (
        row_body.count(b"{") + row_body.count(b"[") > DEEPEST_LEVEL
        or _LONG_INTEGER.search(row_body) is not None
    )
    return None if is_odd or not 1 <= row_head.id <= HIGHEST_ID else row_head


def _usual_row(row_body: bytes, row_head: _RowHead, decoded_rows: DecodedRows) -> Row:
    time_text, user_link, meta = row_head.created_at, row_head.user, row_head.meta
    if user_link is not None and user_link.type == API_USER and user_link.id is not None:
        decoded_rows.scripts[user_link.id, str(user_link.name)] = None
    if meta is not None and meta.sudo_actual_user is not UNSET:
        details = {"sudo_actual_user": decoded(bytes(meta.sudo_actual_user))}
        _add_links(scripts_on(None, details), decoded_rows)
    created_at = _seconds(time_text) if time_text and len(time_text) <= _LONGEST_TIME else None
    entity_link, project_link = row_head.entity, row_head.project
    entity_type = None if entity_link is None else entity_link.type
    project_id = None if project_link is None else project_link.id
    find_kind = _known_kind if len(row_body) <= _LONGEST_KNOWN else _kind_of
    event_type, route, type_key = find_kind(
        row_head.event_type, row_head.attribute_name, entity_type, project_id
    )
    if entity_link is None or type_key is None or entity_link.id is None:
        route, packed_strands = None, _looked_up_strands(row_body, row_head)
    else:
        packed_strands = pack_linked_strands(row_head.id, type_key + entity_link.id, project_id)
    return Row(
        row_head.id,
        created_at or 0,
        event_type,
        row_body,
        created_at is not None,
        packed_strands,
        route,
    )


def _kind_of(
    event_type: str | None,
    attribute_name: str | None,
    entity_type: str | None,
    project_id: int | None,
) -> _Kind:
    stored_type = stock_text(event_type or "")
    if entity_type is None or stored_type.endswith("_View"):
        return _Kind(stored_type, None, None)
    route = said_route(event_type, attribute_name, entity_type, project_id)
    return _Kind(stored_type, route, record_key(entity_type, 0))


_known_kind: Final = lru_cache(maxsize=16_384)(_kind_of)


def _looked_up_strands(row_body: bytes, row_head: _RowHead) -> int:
    """Return the packed strands of a row that does not link the record that it is about."""
    entity_link = row_head.entity
    if entity_link is None or entity_link.type is None or entity_link.id is None:
        return strands_of(decoded(row_body))
    return strands_of(_viewed_row(row_head, entity_link))


def _add_links(user_links: Iterable[Mapping[str, Any]], decoded_rows: DecodedRows) -> None:
    for user_link in user_links:
        if type(user_link.get("id")) is int:
            decoded_rows.scripts[user_link["id"], str(user_link.get("name"))] = None


def _viewed_row(row_head: _RowHead, entity_link: _Link) -> dict[str, Any]:
    """Return the parts of the row of a view that decide which record was viewed."""
    project_link, meta = row_head.project, row_head.meta or _Details()
    return {
        "id": row_head.id,
        "event_type": stock_text(row_head.event_type or ""),
        "entity": {"type": entity_link.type, "id": entity_link.id},
        "project": None if project_link is None else {"id": project_link.id},
        "meta": {
            "link_entity_type": meta.link_entity_type,
            "link_entity_id": meta.link_entity_id,
        },
    }


def _add_unusual(answer_record: Any, decoded_rows: DecodedRows, *, ids_only: bool) -> None:
    """Add a row that is not of the usual types, or the reason why it cannot be handled."""
    id_ = answer_record.get("id") if type(answer_record) is dict else None
    if type(id_) is not int or not 1 <= id_ <= HIGHEST_ID:
        decoded_rows.odd.append(Odd(_name_of_odd(answer_record), _fault_of(answer_record)))
    elif id_ not in decoded_rows.rows:
        decoded_rows.rows[id_] = (
            Row(id_, 0, "", b"") if ids_only else _unusual_row(id_, answer_record, decoded_rows)
        )


def _unusual_row(id_: int, answer_record: dict[str, Any], decoded_rows: DecodedRows) -> Row:
    event = Event(answer_record)
    _add_links(acting_links(event), decoded_rows)
    at = _created_seconds(answer_record.get("created_at"))
    event_type = stock_text(in_whole_characters(str(answer_record.get("event_type") or "")))
    return Row(
        id_, at or 0, event_type, encoded(answer_record), at is not None, strands_of(answer_record)
    )


def _created_seconds(created_at: object) -> int | None:
    if type(created_at) is str and len(created_at) <= _LONGEST_TIME:
        return _seconds(created_at)
    return None


def _fault_of(answer_record: Any) -> str:
    """Return why a record cannot be handled."""
    if not isinstance(answer_record, dict):
        return "the site sent it as something that is not a record"
    if type(answer_record.get("id")) is not int:
        return "its id is not an integer"
    return "its id is out of range"


def _name_of_odd(answer_record: Any) -> str:
    """Return a name for an odd record, the same each time it appears."""
    if not isinstance(answer_record, dict):
        return _shown_value(answer_record)
    known_values = [
        answer_record[key]
        for key in ("event_type", "created_at")
        if answer_record.get(key) is not None
    ]
    content_text = ", ".join(_shown_value(value).strip('"') for value in known_values)
    name = _shown_value(answer_record.get("id"))
    return f"{name} ({content_text})" if content_text else name


def _shown_value(value: Any) -> str:
    shown_text = json.dumps(value)
    return shown_text if len(shown_text) <= _LONGEST_NAME else f"{shown_text[:_LONGEST_NAME]}..."
