"""The answers of `schema_read`, `schema_entity_read` and `schema_field_read`."""

from __future__ import annotations

from typing import Any

from sgevents_core.sandbox.schema import EntityType, Field, Schema


def entity_types(schema: Schema) -> dict[str, Any]:
    """Return every entity type with its display name."""
    return {
        kind.name: {"name": _fixed(kind.label), "visible": _fixed(value=True)} for kind in schema
    }


def schema(known: Schema) -> dict[str, Any]:
    """Return all fields of all entity types."""
    return {kind.name: _fields(kind) for kind in known}


def field_types(
    known: Schema, method: str, entity_type: object, field_name: str | None
) -> dict[str, Any]:
    """Return the fields of an entity type, or one of them.

    Raises:
        RefusedCallError: The entity type or the field does not exist.
    """
    kind = known.get(method, entity_type)
    if not field_name:
        return _fields(kind)
    field = known.field(method, kind.name, field_name)
    return {field_name: _field(kind, field)}


def _fields(kind: EntityType) -> dict[str, Any]:
    return {name: _field(kind, field) for name, field in sorted(kind.fields.items())}


def _field(kind: EntityType, field: Field) -> dict[str, Any]:
    return {
        "data_type": _fixed(field.data_type),
        "description": _open(""),
        "editable": _fixed(field.editable),
        "entity_type": _fixed(kind.name),
        "mandatory": _fixed(field.name == kind.naming),
        "name": _open(field.label),
        "properties": _properties(field),
        "ui_value_displayable": _fixed(value=True),
        "unique": _fixed(value=False),
        "visible": _fixed(value=True),
    }


def _properties(field: Field) -> dict[str, Any]:
    properties = {
        "default_value": _fixed(None if field.many else field.default),
        "summary_default": _open("none"),
    }
    if field.links:
        properties["valid_types"] = _open(list(field.valid_types))
    if field.data_type in ("list", "status_list"):
        properties["valid_values"] = _open(list(field.valid_values))
    return properties


def _fixed(value: Any) -> dict[str, Any]:
    return {"editable": False, "value": value}


def _open(value: Any) -> dict[str, Any]:
    return {"editable": True, "value": value}
