"""What a site requires of a create or an update beyond valid values: a project, a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sgevents_core.sandbox.entity_schema import EntityType
from sgevents_core.sandbox.records import Record, Records
from sgevents_core.sandbox.refused_calls import CRUD_ERROR, refused_call, ruby_text


def check_required_values(
    method: str, type_schema: EntityType, given_values: Mapping[str, Any]
) -> None:
    """Refuse a write that omits or empties what a record of its type must have.

    Args:
        method: "create" or "update".
        type_schema: The type written.
        given_values: Field name -> value as on the wire.

    Raises:
        RefusedCallError: A required project is missing, the name is empty, or it is a note of a
            client.
    """
    if method == "create":
        _check_project(type_schema, given_values)
        if type_schema.name == "Note" and given_values.get("client_note") in (True, "true"):
            raise refused_call("create", "Client Notes can not be created through the API")
    if (
        type_schema.needs_project
        and type_schema.name_field == "code"
        and given_values.get("code", "x") in ("", None)
    ):
        failure_text = f"{method.title()} failed for [{type_schema.name}]"
        raise refused_call(
            method,
            f"CRUD ERROR #5: {failure_text}: Cannot set identifier field to empty. "
            f"({type_schema.name})",
            CRUD_ERROR,
        )


def check_unique_values(
    method: str,
    records: Records,
    type_schema: EntityType,
    stored_values: Mapping[str, Any],
    written_record: Record | None,
) -> None:
    """Refuse a value that another live record has, in a field that has to be unique.

    Args:
        method: "create" or "update".
        records: The records to compare with.
        type_schema: The type written.
        stored_values: Field name -> value in the site's form.
        written_record: The record that is written, if it exists already.

    Raises:
        RefusedCallError: Another record has the value.
    """
    for field_name, stored_value in stored_values.items():
        field = type_schema.fields[field_name]
        if (
            field.unique
            and stored_value is not None
            and _is_value_taken(records, type_schema, field_name, stored_value, written_record)
        ):
            raise refused_call(
                method,
                f"CRUD ERROR #5: {method.title()} failed for [{type_schema.name}]: The "
                f"value for the {field.label} field is required to be unique.",
                CRUD_ERROR,
            )


def _is_value_taken(
    records: Records,
    type_schema: EntityType,
    field_name: str,
    stored_value: Any,
    written_record: Record | None,
) -> bool:
    other_records = (
        other_record
        for other_record in records.of_type(type_schema.name)
        if other_record is not written_record
    )
    return any(
        other_record.values.get(field_name) == stored_value for other_record in other_records
    )


def _check_project(type_schema: EntityType, given_values: Mapping[str, Any]) -> None:
    is_template_task = type_schema.name == "Task" and given_values.get("task_template") is not None
    if is_template_task and given_values.get("project") is not None:
        raise refused_call("create", "Invalid Task: a task template may not have a project")
    if type_schema.needs_project and given_values.get("project") is None and not is_template_task:
        raise refused_call(
            "create", f"missing 'project' attribute: {ruby_text(dict(given_values))}"
        )
