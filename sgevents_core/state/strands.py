"""The strand of an event; events of one strand keep their order within a lane. Pure.

A strand is the hash of an event's key, modulo `STRANDS`; the hash of an id is the id itself. The
three strands that an event can have (by entity, by project, by itself) are computed once, from its
row, and kept beside the row, so that nobody decodes a body in order to route it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from zlib import crc32

from sgevents_core.choices import OrderBy
from sgevents_core.events import Event
from sgevents_core.state.entries import Entry

STRANDS: Final = 64
"""The number of strands, fixed for ever so that the number of workers may change at any start."""

# Packed strands:  bits 0-5    the strand by entity
#                  bits 6-11   the strand by project
#                  bits 12-17  the strand by the event itself
_BITS_PER_STRAND: Final = 6
_STRAND_MASK: Final = STRANDS - 1
STRAND_SHIFTS: Final[Mapping[OrderBy, int]] = {
    "entity": 0,
    "project": _BITS_PER_STRAND,
    "none": 2 * _BITS_PER_STRAND,
}
"""The position of each order's strand in packed strands, in bits."""


def strands_of(row: Mapping[str, Any]) -> int:
    """Return the packed strands of an event.

    The key by entity is the record that the event is about, even if retired; without a record it is
    the project, and without either the event itself. A back-reference belongs to the record whose
    field changed, a view to the record viewed. The key by project is the project or, without one,
    the record.

    Args:
        row: The event's row as read from the site; missing parts are ignored.
    """
    event_id = row.get("id")
    known_event_id = event_id if type(event_id) is int else 0
    return pack_strands(known_event_id, _record_key(row), _project_key(row))


def pack_strands(event_id: int, record_number: int | None, project_number: int | None) -> int:
    """Return the packed strands of an event, by the keys of its record and project.

    Args:
        event_id: The event's id.
        record_number: The key of its record, see `record_key`; None if it has none.
        project_number: The key of its project, see `project_key`; None if it has none.
    """
    strand_by_event = event_id & _STRAND_MASK
    if record_number is None and project_number is None:
        return (
            strand_by_event
            | strand_by_event << _BITS_PER_STRAND
            | strand_by_event << 2 * _BITS_PER_STRAND
        )
    if record_number is None:
        record_number = project_number
    elif project_number is None:
        project_number = record_number
    assert record_number is not None and project_number is not None  # noqa: S101, PT018 - for the type checker
    return (
        record_number & _STRAND_MASK
        | (project_number & _STRAND_MASK) << _BITS_PER_STRAND
        | strand_by_event << 2 * _BITS_PER_STRAND
    )


def pack_linked_strands(event_id: int, record_number: int, project_id: int | None) -> int:
    """Return the packed strands of an event that links its record, as `pack_strands` does.

    Args:
        event_id: The event's id.
        record_number: The key of its record, see `record_key`.
        project_id: The id of the event's project; None if it has none.
    """
    project_number = record_number if project_id is None else _PROJECT_HASH + project_id
    return (
        record_number & _STRAND_MASK
        | (project_number & _STRAND_MASK) << _BITS_PER_STRAND
        | (event_id & _STRAND_MASK) << 2 * _BITS_PER_STRAND
    )


def strand_in(packed_strands: int, order_by: OrderBy) -> int:
    """Return an event's strand in a lane that orders events like this."""
    return packed_strands >> STRAND_SHIFTS[order_by] & _STRAND_MASK


def strand_of(entry: Entry, order_by: OrderBy) -> int:
    """Return the strand of a journal entry in a lane that orders events like this."""
    packed_strands = entry.strands
    if packed_strands is None:
        packed_strands = strands_of_body(entry.body, entry.event_id)
    return strand_in(packed_strands, order_by)


def strands_of_body(row_json: bytes, event_id: int) -> int:
    """Return the packed strands of an event that an older version stored without them.

    Args:
        row_json: The event's row as JSON; if it cannot be read, the event is ordered by its id
            alone.
        event_id: The event's id.
    """
    try:
        decoded_row = json.loads(row_json)  # lone surrogates too, which sites may send
    except (ValueError, RecursionError):
        decoded_row = None
    return strands_of({**(decoded_row if isinstance(decoded_row, dict) else {}), "id": event_id})


def record_key(entity_type: str | None, entity_id: int) -> int:
    """Return the key of a record: neighbouring ids get neighbouring strands, which differ by type.

    A hash of the whole key would cost as much as reading the rest of the row.
    """
    return _type_hash(entity_type or "") + entity_id


def project_key(project_id: int) -> int:
    """Return the key of a project, which is also a record."""
    return record_key("Project", project_id)


def _record_key(row: Mapping[str, Any]) -> int | None:
    """Return the key of the record that an event is about; None if none is known."""
    linked_entity, event_type = row.get("entity"), row.get("event_type")
    if (
        isinstance(linked_entity, dict)
        and isinstance(event_type, str)
        and not event_type.endswith("_View")
    ):
        record_type, record_id = linked_entity.get("type"), linked_entity.get("id")
        if isinstance(record_type, str) and type(record_id) is int:
            return record_key(record_type, record_id)
    known_event = Event(row)  # the record is retired, was viewed, or there is none
    return (
        None
        if known_event.entity_id is None
        else record_key(known_event.entity_type, known_event.entity_id)
    )


def _project_key(row: Mapping[str, Any]) -> int | None:
    linked_project = row.get("project")
    project_id = linked_project.get("id") if isinstance(linked_project, dict) else None
    return project_key(project_id) if type(project_id) is int else None


@lru_cache(maxsize=4096)
def _type_hash(entity_type: str) -> int:
    return crc32(entity_type.encode("utf-8", "surrogatepass"))


_PROJECT_HASH: Final = _type_hash("Project")
