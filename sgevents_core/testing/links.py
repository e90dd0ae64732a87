"""Links to records, as rows contain them: `{"type": "Shot", "id": 7, "name": "sh010"}`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, TypeAlias

from sgevents_core.moments import meta_timestamp

Link: TypeAlias = Mapping[str, Any]
"""A record as a row links to it, or as the client returns it: at least its type and id."""


def link_to(record: Link) -> dict[str, Any]:
    """Return the link to `record` in a row: its type, id and name.

    Args:
        record: At least `type` and `id`; without `name`, its `code` or `content` is its name.
    """
    name = next((record[key] for key in ("name", "code", "content") if key in record), None)
    return {"type": record["type"], "id": record["id"], "name": name or _made_up_name(record)}


def logged_value(value: Any) -> Any:
    """Return a field's value as written in `meta`: links for records, UTC text for datetimes."""
    if isinstance(value, Mapping) and {"type", "id"} <= value.keys():
        return {**link_to(value), "valid": "valid"}
    if isinstance(value, list | tuple):
        return [logged_value(nested) for nested in value]
    if isinstance(value, datetime):
        return meta_timestamp(value)
    return value.isoformat() if isinstance(value, date) else value


def guess_data_type(attribute: str, value: Any) -> str:
    """Return the most likely data type of a field with this name and value."""
    if attribute.endswith("status_list"):
        return "status_list"
    if isinstance(value, list | tuple):
        return "multi_entity"
    if isinstance(value, Mapping):
        return "entity" if "type" in value else "serializable"
    names_by_type = (
        *((bool, "checkbox"), (int, "number"), (float, "float")),
        *((datetime, "date_time"), (date, "date")),
    )
    return next(
        (data_type for python_type, data_type in names_by_type if isinstance(value, python_type)),
        "text",
    )


def _made_up_name(record: Link) -> str:
    return f"{str(record['type']).lower()} {record['id']}"
