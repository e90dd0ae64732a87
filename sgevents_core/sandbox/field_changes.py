"""Fields created, changed and deleted through the API: `schema_field_create` and the like."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from sgevents_core.sandbox.attention import Call
from sgevents_core.sandbox.callers import SignedIn
from sgevents_core.sandbox.entity_schema import LINKS, MANY, EntityType, Field
from sgevents_core.sandbox.refusal import RefusedCallError, listed, shown
from sgevents_core.sandbox.site_database import SiteDatabase

CREATED: Final = (
    *("checkbox", "currency", "date", "date_time", "duration", "entity", "float", "footage"),
    *("list", "multi_entity", "number", "percent", "status_list", "text", "timecode", "url"),
)
"""Data types that a new field can have."""

PROPERTIES: Final = (
    *("name", "visible", "description", "summary_default", "default_value", "valid_values"),
    *("valid_types", "custom_metadata"),
)
"""The properties of a field that can be set."""

_OWN: Final = "sg_"
"""The prefix of a studio's own fields."""


def _properties(method: str, call: Call) -> Call:
    properties = listed(method, call, "properties", dict)
    told = {str(one.get("property_name")): one.get("value") for one in properties}
    for name in told:
        if name not in PROPERTIES:
            raise RefusedCallError(
                f"API {method}() invalid property '{name}'\nValid property names: "
                f"{shown(list(PROPERTIES))}"
            )
    return told


def _create(database: SiteDatabase, _caller: SignedIn, call: Call) -> str:
    method = "schema_field_create"
    kind = database.schema.get(method, call.get("type"))
    told, data_type = _properties(method, call), call.get("data_type")
    if data_type not in CREATED:
        raise RefusedCallError(f"API {method}() data_type is not valid: {shown(data_type)}")
    if not isinstance(told.get("name"), str) or not told["name"].strip():
        raise RefusedCallError(f"API {method}() invalid/missing string 'name'")
    types = told.get("valid_types") or []
    if data_type in LINKS and (not isinstance(types, list) or len(types) != 1):
        raise RefusedCallError(
            f"API {method}() 'valid_types' value expected Array with one element"
        )
    if data_type == "checkbox" and not isinstance(told.get("default_value"), bool):
        raise RefusedCallError(f"API {method}() Only true or false allowed in checkbox")
    name = _free_name(database, kind, told["name"])
    field = Field(name, data_type, told["name"], default=() if data_type in MANY else None)
    database.schema.add_field(kind.name, _told(field, told))
    return name


def _free_name(database: SiteDatabase, kind: EntityType, label: str) -> str:
    """Return the name that a site derives from a label; a deleted field's name stays taken."""
    base = _OWN + re.sub(r"[^a-z0-9]", "_", label.strip().lower())
    if (kind.name, base) in database.deleted_fields:
        raise RefusedCallError(f"API schema_field_create() failed: {base} was deleted before")
    name, number = base, 0
    while name in kind.fields:
        number += 1
        name = f"{base}_{number}"
    return name


def _told(field: Field, told: Call) -> Field:
    """Return a field with the properties set by a call."""
    changed = field
    if "name" in told:
        changed = replace(changed, label=told["name"])
    if "description" in told:
        changed = replace(changed, description=told["description"] or "")
    if "summary_default" in told:
        changed = replace(changed, summary_default=told["summary_default"])
    if "valid_values" in told:
        changed = replace(changed, valid_values=tuple(told["valid_values"] or ()))
    if "valid_types" in told:
        changed = replace(changed, valid_types=tuple(told["valid_types"] or ()))
    if "default_value" in told and not changed.many:
        changed = replace(changed, default=told["default_value"])
    return changed


def _update(database: SiteDatabase, _caller: SignedIn, call: Call) -> bool:
    method = "schema_field_update"
    kind = database.schema.get(method, call.get("type"))
    field = database.schema.field(method, kind.name, str(call.get("field_name")))
    told, project = _properties(method, call), call.get("project")
    if "visible" in told:
        if not isinstance(project, dict):
            raise RefusedCallError(f"API {method}() 'visible' needs a 'project'")
        place = (kind.name, field.name, int(project.get("id", 0)))
        database.hidden_fields.add(place) if not told["visible"] else (
            database.hidden_fields.discard(place)
        )
    database.schema.add_field(kind.name, _told(field, told))
    return True


def _delete(database: SiteDatabase, _caller: SignedIn, call: Call) -> bool:
    method = "schema_field_delete"
    kind = database.schema.get(method, call.get("type"))
    field = database.schema.field(method, kind.name, str(call.get("field_name")))
    if not field.name.startswith(_OWN):
        raise RefusedCallError(f"API {method}() {kind.name}.{field.name} cannot be deleted")
    del kind.fields[field.name]
    database.deleted_fields.add((kind.name, field.name))
    return True


def is_own(field: Field) -> bool:
    """Return whether a field is one of a studio's own."""
    return field.name.startswith(_OWN)


METHODS: Final[dict[str, Any]] = {
    "schema_field_create": _create,
    "schema_field_update": _update,
    "schema_field_delete": _delete,
}
