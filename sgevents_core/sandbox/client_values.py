"""Converting what people write for the client in Python to what it sends on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sgevents_core.moments import stamp_of


def on_the_wire(value: Any) -> Any:
    """Return a value with its datetimes in the API's form."""
    if isinstance(value, datetime):
        return stamp_of(value)
    if isinstance(value, Mapping):
        return {key: on_the_wire(some) for key, some in value.items()}
    if isinstance(value, (list, tuple)):
        return [on_the_wire(some) for some in value]
    return value


def fields_list(
    values: Mapping[str, Any], modes: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Return values, and modes of multi-entity fields, as the list that is sent."""
    fields = [{"field_name": name, "value": on_the_wire(value)} for name, value in values.items()]
    for field in fields:
        if modes and field["field_name"] in modes:
            field["multi_entity_update_mode"] = modes[field["field_name"]]
    return fields


def filters_group(filters: Sequence[Any], operator: str = "all") -> dict[str, Any]:
    """Return filters, `["code", "is", "sh010"]` and nested groups, as the group that is sent."""
    return {
        "logical_operator": {"all": "and", "any": "or"}.get(operator, operator),
        "conditions": [_condition(part) for part in filters],
    }


def _condition(part: Any) -> dict[str, Any]:
    if isinstance(part, Mapping):
        return filters_group(part["filters"], part["filter_operator"])
    path, relation, *values = part
    if len(values) == 1 and isinstance(values[0], (list, tuple)):
        values = list(values[0])
    return {"path": path, "relation": relation, "values": on_the_wire(values)}
