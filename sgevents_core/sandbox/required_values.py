"""A site's requirements for a create or update besides valid values: a project, a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sgevents_core.sandbox.entity_schema import EntityType
from sgevents_core.sandbox.records import Record, Records
from sgevents_core.sandbox.refused_calls import failed_write, refused_call, refused_value


def check_required_values(method: str, type_schema: EntityType, values: Mapping[str, Any]) -> None:
    """Refuse a write that omits or empties a required field of its type.

    Args:
        method: "create" or "update".
        type_schema: The type written.
        values: Field name -> value as on the wire.

    Raises:
        RefusedCallError: A required project is missing, the name is empty, or it is a note of a
            client.
    """
    if method == "create":
        _check_project(type_schema, values)
        if type_schema.name == "Note" and values.get("client_note") in (True, "true"):
            raise refused_call("create", "Client Notes can not be created through the API")
    has_code = type_schema.needs_project and type_schema.name_field == "code"
    if has_code and values.get("code", "x") in ("", None):
        reason = f"Cannot set identifier field to empty. ({type_schema.name})"
        raise failed_write(method, type_schema.name, reason)


def check_unique_values(
    method: str,
    records: Records,
    type_schema: EntityType,
    stored: Mapping[str, Any],
    written: Record | None,
) -> None:
    """Refuse a value that another live record has, in a field that has to be unique.

    Args:
        method: "create" or "update".
        records: The records to compare with.
        type_schema: The type written.
        stored: Field name -> value in the site's form.
        written: The record that is written, if it exists already.

    Raises:
        RefusedCallError: Another record has the value.
    """
    for field_name, value in stored.items():
        field = type_schema.fields[field_name]
        if not field.unique or value is None:
            continue
        if _is_value_taken(records, type_schema, field_name, value, written):
            reason = f"The value for the {field.label} field is required to be unique."
            raise failed_write(method, type_schema.name, reason)


def _is_value_taken(
    records: Records, type_schema: EntityType, field_name: str, value: Any, written: Record | None
) -> bool:
    others = (other for other in records.of_type(type_schema.name) if other is not written)
    return any(other.values.get(field_name) == value for other in others)


def _check_project(type_schema: EntityType, values: Mapping[str, Any]) -> None:
    is_template_task = type_schema.name == "Task" and values.get("task_template") is not None
    if is_template_task and values.get("project") is not None:
        raise refused_call("create", "Invalid Task: a task template may not have a project")
    if type_schema.needs_project and values.get("project") is None and not is_template_task:
        raise refused_value("create", "missing 'project' attribute", dict(values))
