"""Task templates: the tasks that a record is created with, or gets when its template changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sgevents_core.sandbox.records import Record, Records, Ref

COPIED: Final = (
    *("content", "step", "sg_sort_order", "sg_status_list", "duration", "est_in_mins"),
    *("sg_description", "milestone", "task_assignees", "task_reviewers", "start_date", "due_date"),
)
"""Fields that a task copies from the template's task."""

_DEPENDENCY: Final = ("dependency_type", "offset_days", "shift_ratio")

Create = Callable[[str, Mapping[str, Any]], Record]
"""Creates a record of a type with values as on the wire."""


def apply_template(records: Records, record: Record, template: Ref, create: Create) -> None:
    """Create the tasks of a template that a record does not have yet, with their dependencies.

    A task that it has from the same task of the template is not created again; its other tasks do
    not matter, and none is removed.

    Args:
        records: The records, with the tasks.
        record: The record that gets the tasks.
        template: The template.
        create: Creates a record.
    """
    tasks = list(records.of_type("Task"))
    there = {task.values.get("template_task") for task in tasks if _is_of(task, record)}
    made: dict[Ref, Record] = {}
    for task in tasks:
        if task.values.get("task_template") == template and task.ref not in there:
            made[task.ref] = create("Task", _values(task, record))
    for dependency in list(records.of_type("TaskDependency")):
        ends = [made.get(dependency.values[name]) for name in ("task", "dependent_task")]
        if ends[0] is not None and ends[1] is not None:
            values = {name: dependency.values.get(name) for name in _DEPENDENCY}
            links = {"task": _wire(ends[0].ref), "dependent_task": _wire(ends[1].ref)}
            create("TaskDependency", {**values, **links})


def _is_of(task: Record, record: Record) -> bool:
    return bool(task.values.get("entity") == record.ref)


def _values(task: Record, record: Record) -> dict[str, Any]:
    copied = {name: _wire(task.values.get(name)) for name in COPIED}
    return {
        **{name: value for name, value in copied.items() if value not in (None, [])},
        "project": _wire(record.values.get("project")),
        "entity": _wire(record.ref),
        "template_task": _wire(task.ref),
    }


def _wire(value: Any) -> Any:
    """Return a stored value in the form that is sent: links as hashes."""
    if isinstance(value, tuple):
        if value and isinstance(value[0], str):
            return {"type": value[0], "id": value[1]}
        return [_wire(one) for one in value]
    return value
