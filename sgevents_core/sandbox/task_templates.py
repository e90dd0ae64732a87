"""Task templates: the tasks that a record is created with, or gets when its template changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sgevents_core.sandbox.records import EntityRef, Record, Records, entity_hash

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

    A task that the record already has from the same task of the template is not created again. Its
    other tasks do not matter, and none is removed.

    Args:
        records: The records, with the tasks.
        record: The record that gets the tasks.
        template_ref: The template.
        create_record: Creates a record.
    """
    tasks = list(records.of_type("Task"))
    own_tasks = [task for task in tasks if task.values.get("entity") == record.ref]
    existing = {task.values.get("template_task") for task in own_tasks}
    created: dict[EntityRef, Record] = {}
    for task in tasks:
        if task.values.get("task_template") == template_ref and task.ref not in existing:
            created[task.ref] = create_record("Task", _task_values(task, record))
    for dependency in list(records.of_type("TaskDependency")):
        ends = {name: created.get(dependency.values[name]) for name in ("task", "dependent_task")}
        links = {name: entity_hash(end.ref) for name, end in ends.items() if end is not None}
        if len(links) == 2:
            values = {name: dependency.values.get(name) for name in _DEPENDENCY_FIELDS}
            create_record("TaskDependency", {**values, **links})


def _task_values(task: Record, record: Record) -> dict[str, Any]:
    copied = {name: _wire_value(task.values.get(name)) for name in COPIED_FIELDS}
    return {
        **{name: value for name, value in copied.items() if value not in (None, [])},
        "project": _wire_value(record.values.get("project")),
        "entity": entity_hash(record.ref),
        "template_task": entity_hash(task.ref),
    }


def _wire_value(value: Any) -> Any:
    """Return a stored value in the form that clients send: links as hashes."""
    if not isinstance(value, tuple):
        return value
    is_link = bool(value) and isinstance(value[0], str)
    return entity_hash((value[0], value[1])) if is_link else [entity_hash(ref) for ref in value]
