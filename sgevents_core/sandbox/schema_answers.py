"""The answers of `schema_read`, `schema_entity_read` and `schema_field_read`."""

from __future__ import annotations

from typing import Any

from sgevents_core.sandbox.entity_schema import EntityType, Field, SiteSchema
from sgevents_core.sandbox.field_builders import STATUS_NAMES
from sgevents_core.sandbox.schema_changes import is_studio_field
from sgevents_core.sandbox.site_database import SiteDatabase


def entity_types_answer(schema: SiteSchema) -> dict[str, Any]:
    """Return every entity type with its display name."""
    return {
        type_schema.name: {
            "name": _fixed_property(type_schema.label),
            "visible": _fixed_property(value=True),
        }
        for type_schema in schema
    }


def schema_answer(database: SiteDatabase, project_id: int | None) -> dict[str, Any]:
    """Return all fields of all entity types, as visible in a project or everywhere."""
    return {
        type_schema.name: _shown_fields(database, type_schema, project_id)
        for type_schema in database.schema
    }


def fields_answer(
    database: SiteDatabase,
    method: str,
    entity_type: object,
    field_name: str | None,
    project_id: int | None,
) -> dict[str, Any]:
    """Return the fields of an entity type, or one of them, as visible in a project.

    Raises:
        RefusedCallError: The entity type or the field does not exist.
    """
    type_schema = database.schema.required_type(method, entity_type)
    if not field_name:
        return _shown_fields(database, type_schema, project_id)
    field = database.schema.required_field(method, type_schema.name, field_name)
    return {field_name: _shown_field(database, type_schema, field, project_id)}


def _shown_fields(
    database: SiteDatabase, type_schema: EntityType, project_id: int | None
) -> dict[str, Any]:
    return {
        field_name: _shown_field(database, type_schema, field, project_id)
        for field_name, field in sorted(type_schema.fields.items())
    }


def _shown_field(
    database: SiteDatabase, type_schema: EntityType, field: Field, project_id: int | None
) -> dict[str, Any]:
    is_hidden = (type_schema.name, field.name, project_id) in database.hidden_fields
    return {
        "data_type": _fixed_property(field.data_type),
        "description": _editable_property(field.description),
        "editable": _fixed_property(field.editable),
        "entity_type": _fixed_property(type_schema.name),
        "mandatory": _fixed_property(field.name == type_schema.name_field),
        "name": _editable_property(field.label),
        "properties": _field_properties(field),
        "ui_value_displayable": _fixed_property(value=True),
        "unique": _fixed_property(value=field.unique),
        "visible": {"editable": is_studio_field(field), "value": not is_hidden},
    }


def _field_properties(field: Field) -> dict[str, Any]:
    properties = {
        "default_value": _fixed_property(None if field.is_multi_link else field.default),
        "summary_default": _editable_property(field.summary_default),
    }
    if field.is_link:
        properties["valid_types"] = _editable_property(list(field.valid_types))
    if field.data_type in ("list", "status_list"):
        properties["valid_values"] = _editable_property(list(field.valid_values))
    if field.data_type == "status_list":
        status_labels = {code: STATUS_NAMES.get(code, code) for code in field.valid_values}
        properties["display_values"] = _fixed_property(status_labels)
        properties["hidden_values"] = _editable_property([])
    return properties


def _fixed_property(value: Any) -> dict[str, Any]:
    return {"editable": False, "value": value}


def _editable_property(value: Any) -> dict[str, Any]:
    return {"editable": True, "value": value}
