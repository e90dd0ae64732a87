"""Fields created, changed and deleted through the API: `schema_field_create` and the like."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from sgevents_core.sandbox.callers import ApiCaller
from sgevents_core.sandbox.entity_schema import LINK_TYPES, MULTI_LINK_TYPES, EntityType, Field
from sgevents_core.sandbox.following import JsonObject
from sgevents_core.sandbox.refused_calls import (
    array_parameter,
    refused_call,
    refused_value,
    ruby_text,
)
from sgevents_core.sandbox.site_database import SiteDatabase

CREATABLE_TYPES: Final = (
    *("checkbox", "currency", "date", "date_time", "duration", "entity", "float", "footage"),
    *("list", "multi_entity", "number", "percent", "status_list", "text", "timecode", "url"),
)
"""Data types that a new field can have."""

FIELD_PROPERTIES: Final = (
    *("name", "visible", "description", "summary_default", "default_value", "valid_values"),
    *("valid_types", "custom_metadata"),
)
"""The properties of a field that can be set."""

_PROPERTY_ATTRIBUTES: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "name": ("label", lambda value: value),
    "description": ("description", lambda value: value or ""),
    "summary_default": ("summary_default", lambda value: value),
    "valid_values": ("valid_values", lambda value: tuple(value or ())),
    "valid_types": ("valid_types", lambda value: tuple(value or ())),
}
"""Property -> the attribute of `Field` it sets, and the function that makes its value."""

_STUDIO_PREFIX: Final = "sg_"
"""The prefix of a studio's own fields."""


def _property_values(method: str, parameters: JsonObject) -> JsonObject:
    entries = array_parameter(method, parameters, "properties", dict)
    properties = {str(entry.get("property_name")): entry.get("value") for entry in entries}
    for property_name in properties:
        if property_name not in FIELD_PROPERTIES:
            raise refused_call(
                method,
                f"invalid property '{property_name}'\nValid property names: "
                f"{ruby_text(list(FIELD_PROPERTIES))}",
            )
    return properties


def _create_field(database: SiteDatabase, _caller: ApiCaller, parameters: JsonObject) -> str:
    method = "schema_field_create"
    type_schema = database.schema.required_type(method, parameters.get("type"))
    properties, data_type = _property_values(method, parameters), parameters.get("data_type")
    if data_type not in CREATABLE_TYPES:
        raise refused_value(method, "data_type is not valid", data_type)
    if not isinstance(properties.get("name"), str) or not properties["name"].strip():
        raise refused_call(method, "invalid/missing string 'name'")
    valid_types = properties.get("valid_types") or []
    if data_type in LINK_TYPES and (not isinstance(valid_types, list) or len(valid_types) != 1):
        raise refused_call(method, "'valid_types' value expected Array with one element")
    if data_type == "checkbox" and not isinstance(properties.get("default_value"), bool):
        raise refused_call(method, "Only true or false allowed in checkbox")
    field_name = _free_field_name(database, type_schema, properties["name"])
    field = Field(
        field_name,
        data_type,
        properties["name"],
        default=() if data_type in MULTI_LINK_TYPES else None,
    )
    database.schema.add_field(type_schema.name, _changed_field(field, properties))
    return field_name


def _free_field_name(database: SiteDatabase, type_schema: EntityType, field_label: str) -> str:
    """Return the name that a site derives from a label; a deleted field's name stays taken."""
    base_name = _STUDIO_PREFIX + re.sub(r"[^a-z0-9]", "_", field_label.strip().lower())
    if (type_schema.name, base_name) in database.deleted_fields:
        raise refused_call("schema_field_create", f"failed: {base_name} was deleted before")
    free_name, suffix_number = base_name, 0
    while free_name in type_schema.fields:
        suffix_number += 1
        free_name = f"{base_name}_{suffix_number}"
    return free_name


def _changed_field(field: Field, properties: JsonObject) -> Field:
    """Return a field with the properties set by a call."""
    changes = {
        attribute: convert(properties[name])
        for name, (attribute, convert) in _PROPERTY_ATTRIBUTES.items()
        if name in properties
    }
    if "default_value" in properties and not field.is_multi_link:
        changes["default"] = properties["default_value"]
    return replace(field, **changes)


def _update_field(database: SiteDatabase, _caller: ApiCaller, parameters: JsonObject) -> bool:
    method = "schema_field_update"
    type_schema = database.schema.required_type(method, parameters.get("type"))
    field = database.schema.required_field(
        method, type_schema.name, str(parameters.get("field_name"))
    )
    properties, project = _property_values(method, parameters), parameters.get("project")
    if "visible" in properties:
        if not isinstance(project, dict):
            raise refused_call(method, "'visible' needs a 'project'")
        hidden_place = (type_schema.name, field.name, int(project.get("id", 0)))
        hidden_fields = database.hidden_fields
        (hidden_fields.discard if properties["visible"] else hidden_fields.add)(hidden_place)
    database.schema.add_field(type_schema.name, _changed_field(field, properties))
    return True


def _delete_field(database: SiteDatabase, _caller: ApiCaller, parameters: JsonObject) -> bool:
    method = "schema_field_delete"
    type_schema = database.schema.required_type(method, parameters.get("type"))
    field = database.schema.required_field(
        method, type_schema.name, str(parameters.get("field_name"))
    )
    if not field.name.startswith(_STUDIO_PREFIX):
        raise refused_call(method, f"{type_schema.name}.{field.name} cannot be deleted")
    del type_schema.fields[field.name]
    database.deleted_fields.add((type_schema.name, field.name))
    return True


def is_studio_field(field: Field) -> bool:
    """Return whether a field is a studio\'s own."""
    return field.name.startswith(_STUDIO_PREFIX)


API_METHODS: Final[dict[str, Any]] = {
    "schema_field_create": _create_field,
    "schema_field_update": _update_field,
    "schema_field_delete": _delete_field,
}
