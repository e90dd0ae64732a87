"""Task templates: the tasks that a record is created with, or gets when its template changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sgevents_core.sandbox.records import EntityRef, Record, Records

COPIED_FIELDS: Final = (
    *("content", "step", "sg_sort_order", "sg_status_list", "duration", "est_in_mins"),
    *("sg_description", "milestone", "task_assignees", "task_reviewers", "start_date", "due_date"),
)
"""Fields that a task copies from the template's task."""

_DEPENDENCY_FIELDS: Final = ("dependency_type", "offset_days", "shift_ratio")

CreateRecord = Callable[[str, Mapping[str, Any]], Record]
"""Creates a record of a type with values as on the wire."""


def apply_template(
    records: Records, record: Record, template_ref: EntityRef, create_record: CreateRecord
) -> None:
    """Create the tasks of a template that a record does not have yet, with their dependencies.

    A task that it has from the same task of the template is not created again; its other tasks do
    not matter, and none is removed.

    Args:
        records: The records, with the tasks.
        record: The record that gets the tasks.
        template_ref: The template.
        create_record: Creates a record.
    """
    tasks = list(records.of_type("Task"))
    existing_tasks = {
        template_task.values.get("template_task")
        for template_task in tasks
        if _belongs_to(template_task, record)
    }
    created_tasks: dict[EntityRef, Record] = {}
    for template_task in tasks:
        if (
            template_task.values.get("task_template") == template_ref
            and template_task.ref not in existing_tasks
        ):
            created_tasks[template_task.ref] = create_record(
                "Task", _task_values(template_task, record)
            )
    for dependency in list(records.of_type("TaskDependency")):
        dependency_ends = [
            created_tasks.get(dependency.values[field_name])
            for field_name in ("task", "dependent_task")
        ]
        if dependency_ends[0] is not None and dependency_ends[1] is not None:
            dependency_values = {
                field_name: dependency.values.get(field_name) for field_name in _DEPENDENCY_FIELDS
            }
            dependency_links = {
                "task": _wire_value(dependency_ends[0].ref),
                "dependent_task": _wire_value(dependency_ends[1].ref),
            }
            create_record("TaskDependency", {**dependency_values, **dependency_links})


def _belongs_to(template_task: Record, record: Record) -> bool:
    return bool(template_task.values.get("entity") == record.ref)


def _task_values(template_task: Record, record: Record) -> dict[str, Any]:
    copied_values = {
        field_name: _wire_value(template_task.values.get(field_name))
        for field_name in COPIED_FIELDS
    }
    return {
        **{
            field_name: stored_value
            for field_name, stored_value in copied_values.items()
            if stored_value not in (None, [])
        },
        "project": _wire_value(record.values.get("project")),
        "entity": _wire_value(record.ref),
        "template_task": _wire_value(template_task.ref),
    }


def _wire_value(stored_value: Any) -> Any:
    """Return a stored value in the form that is sent: links as hashes."""
    if isinstance(stored_value, tuple):
        if stored_value and isinstance(stored_value[0], str):
            return {"type": stored_value[0], "id": stored_value[1]}
        return [_wire_value(ref) for ref in stored_value]
    return stored_value
