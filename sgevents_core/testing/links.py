"""Links to records as a row has them: `{"type": "Shot", "id": 7, "name": "sh010"}`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, TypeAlias

from sgevents_core.moments import logged_stamp

Link: TypeAlias = Mapping[str, Any]
"""A record as a row links it, or as the client returns it: at least its type and id."""


def link_to(record: Link) -> dict[str, Any]:
    """Return the link that a row has for `record`: only its type, id and name.

    Args:
        record: At least `type` and `id`; without `name`, its `code` or `content` is its name.
    """
    name = next((record[key] for key in ("name", "code", "content") if key in record), None)
    return {"type": record["type"], "id": record["id"], "name": name or _made_up_name(record)}


def value_of(value: Any) -> Any:
    """Return a field's value as `meta` has it: links for records, UTC text for datetimes."""
    if isinstance(value, Mapping) and {"type", "id"} <= value.keys():
        return {**link_to(value), "valid": "valid"}
    if isinstance(value, list | tuple):
        return [value_of(one) for one in value]
    if isinstance(value, datetime):
        return logged_stamp(value)
    return value.isoformat() if isinstance(value, date) else value


def data_type_of(attribute: str, value: Any) -> str:
    """Return the most likely data type of a field with this name and value."""
    if attribute.endswith("status_list"):
        return "status_list"
    if isinstance(value, list | tuple):
        return "multi_entity"
    if isinstance(value, Mapping):
        return "entity" if "type" in value else "serializable"
    kinds = (
        *((bool, "checkbox"), (int, "number"), (float, "float")),
        *((datetime, "date_time"), (date, "date")),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "text")


def _made_up_name(record: Link) -> str:
    return f"{str(record['type']).lower()} {record['id']}"
