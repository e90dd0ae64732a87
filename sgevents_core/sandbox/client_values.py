"""Convert values as written for the Python client to the form it sends on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sgevents_core.moments import api_timestamp


def wire_value(value: Any) -> Any:
    """Return a value with its datetimes in the API's form."""
    if isinstance(value, datetime):
        return api_timestamp(value)
    if isinstance(value, Mapping):
        return {key: wire_value(nested) for key, nested in value.items()}
    if isinstance(value, (list, tuple)):
        return [wire_value(nested) for nested in value]
    return value


def wire_fields(
    field_values: Mapping[str, Any], update_modes: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Return values, and modes of multi-entity fields, as the list that is sent."""
    entries = [
        {"field_name": field_name, "value": wire_value(value)}
        for field_name, value in field_values.items()
    ]
    for entry in entries:
        if update_modes and entry["field_name"] in update_modes:
            entry["multi_entity_update_mode"] = update_modes[entry["field_name"]]
    return entries


def wire_filters(filters: Sequence[Any], operator: str = "all") -> dict[str, Any]:
    """Return filters, `["code", "is", "sh010"]` and nested groups, as the group that is sent."""
    return {
        "logical_operator": {"all": "and", "any": "or"}.get(operator, operator),
        "conditions": [_wire_condition(condition) for condition in filters],
    }


def _wire_condition(condition: Any) -> dict[str, Any]:
    if isinstance(condition, Mapping):
        return wire_filters(condition["filters"], condition["filter_operator"])
    field_path, relation, *values = condition
    if len(values) == 1 and isinstance(values[0], (list, tuple)):
        values = list(values[0])
    return {"path": field_path, "relation": relation, "values": wire_value(values)}
