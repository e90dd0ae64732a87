"""The answers of `schema_read`, `schema_entity_read` and `schema_field_read`."""

from __future__ import annotations

from typing import Any

from sgevents_core.sandbox.entity_schema import EntityType, Field, Schema
from sgevents_core.sandbox.field_changes import is_own
from sgevents_core.sandbox.fields import STATUSES
from sgevents_core.sandbox.site_database import SiteDatabase


def entity_types(schema: Schema) -> dict[str, Any]:
    """Return every entity type with its display name."""
    return {
        kind.name: {"name": _fixed(kind.label), "visible": _fixed(value=True)} for kind in schema
    }


def schema(database: SiteDatabase, project: int | None) -> dict[str, Any]:
    """Return all fields of all entity types, as visible in a project or everywhere."""
    return {kind.name: _fields(database, kind, project) for kind in database.schema}


def field_types(
    database: SiteDatabase,
    method: str,
    entity_type: object,
    field_name: str | None,
    project: int | None,
) -> dict[str, Any]:
    """Return the fields of an entity type, or one of them, as visible in a project.

    Raises:
        RefusedCallError: The entity type or the field does not exist.
    """
    kind = database.schema.get(method, entity_type)
    if not field_name:
        return _fields(database, kind, project)
    field = database.schema.field(method, kind.name, field_name)
    return {field_name: _field(database, kind, field, project)}


def _fields(database: SiteDatabase, kind: EntityType, project: int | None) -> dict[str, Any]:
    return {
        name: _field(database, kind, field, project) for name, field in sorted(kind.fields.items())
    }


def _field(
    database: SiteDatabase, kind: EntityType, field: Field, project: int | None
) -> dict[str, Any]:
    hidden = (kind.name, field.name, project) in database.hidden_fields
    return {
        "data_type": _fixed(field.data_type),
        "description": _open(field.description),
        "editable": _fixed(field.editable),
        "entity_type": _fixed(kind.name),
        "mandatory": _fixed(field.name == kind.naming),
        "name": _open(field.label),
        "properties": _properties(field),
        "ui_value_displayable": _fixed(value=True),
        "unique": _fixed(value=field.unique),
        "visible": {"editable": is_own(field), "value": not hidden},
    }


def _properties(field: Field) -> dict[str, Any]:
    properties = {
        "default_value": _fixed(None if field.many else field.default),
        "summary_default": _open(field.summary_default),
    }
    if field.links:
        properties["valid_types"] = _open(list(field.valid_types))
    if field.data_type in ("list", "status_list"):
        properties["valid_values"] = _open(list(field.valid_values))
    if field.data_type == "status_list":
        labels = {code: STATUSES.get(code, code) for code in field.valid_values}
        properties["display_values"] = _fixed(labels)
        properties["hidden_values"] = _open([])
    return properties


def _fixed(value: Any) -> dict[str, Any]:
    return {"editable": False, "value": value}


def _open(value: Any) -> dict[str, Any]:
    return {"editable": True, "value": value}
