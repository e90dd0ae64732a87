"""What a site requires of a create or an update beyond valid values: a project, a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sgevents_core.sandbox.entity_schema import EntityType
from sgevents_core.sandbox.records import Record, Records
from sgevents_core.sandbox.refusal import CRUD, RefusedCallError, shown


def check_demands(method: str, kind: EntityType, values: Mapping[str, Any]) -> None:
    """Refuse a write that omits or empties what a record of its type must have.

    Args:
        method: "create" or "update".
        kind: The type written.
        values: Field name -> value as on the wire.

    Raises:
        RefusedCallError: A required project is missing, the name is empty, or it is a note of a
            client.
    """
    if method == "create":
        _check_project(kind, values)
        if kind.name == "Note" and values.get("client_note") in (True, "true"):
            raise RefusedCallError("API create() Client Notes can not be created through the API")
    if kind.needs_project and kind.naming == "code" and values.get("code", "x") in ("", None):
        what = f"{method.title()} failed for [{kind.name}]"
        raise RefusedCallError(
            f"API {method}() CRUD ERROR #5: {what}: Cannot set identifier field to empty. "
            f"({kind.name})",
            CRUD,
        )


def check_unique(
    method: str, records: Records, kind: EntityType, kept: Mapping[str, Any], own: Record | None
) -> None:
    """Refuse a value that another live record has, in a field that has to be unique.

    Args:
        method: "create" or "update".
        records: The records to compare with.
        kind: The type written.
        kept: Field name -> value in the site's form.
        own: The record that is written, if it exists already.

    Raises:
        RefusedCallError: Another record has the value.
    """
    for name, value in kept.items():
        field = kind.fields[name]
        if field.unique and value is not None and _is_taken(records, kind, name, value, own):
            raise RefusedCallError(
                f"API {method}() CRUD ERROR #5: {method.title()} failed for [{kind.name}]: The "
                f"value for the {field.label} field is required to be unique.",
                CRUD,
            )


def _is_taken(
    records: Records, kind: EntityType, name: str, value: Any, own: Record | None
) -> bool:
    others = (other for other in records.of_type(kind.name) if other is not own)
    return any(other.values.get(name) == value for other in others)


def _check_project(kind: EntityType, values: Mapping[str, Any]) -> None:
    of_a_template = kind.name == "Task" and values.get("task_template") is not None
    if of_a_template and values.get("project") is not None:
        raise RefusedCallError("API create() Invalid Task: a task template may not have a project")
    if kind.needs_project and values.get("project") is None and not of_a_template:
        raise RefusedCallError(f"API create() missing 'project' attribute: {shown(dict(values))}")
