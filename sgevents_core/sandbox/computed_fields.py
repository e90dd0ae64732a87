"""Fields computed when read: sums of time logs, counts of tasks and notes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from sgevents_core.sandbox.records import EntityRef, Record

if TYPE_CHECKING:
    from sgevents_core.sandbox.site_database import SiteDatabase

FieldComputation = Callable[["SiteDatabase", Record], Any]
"""Database and record -> the value."""

_OPEN_STATUSES: Final = ("opn", "ip", "rdy")


def _time_logs_sum(database: SiteDatabase, record: Record) -> int:
    logs = database.records.of_type("TimeLog")
    return sum(
        time_log.values.get("duration") or 0
        for time_log in logs
        if _logged_entity(time_log) == record.ref
    )


def _logged_entity(time_log: Record) -> EntityRef | None:
    entity_ref: EntityRef | None = time_log.values.get("entity")
    return entity_ref


def _time_vs_est(database: SiteDatabase, record: Record) -> int | None:
    estimate = record.values.get("est_in_mins")
    return None if estimate is None else estimate - _time_logs_sum(database, record)


def _time_percent(database: SiteDatabase, record: Record) -> int | None:
    estimate = record.values.get("est_in_mins")
    return 100 * _time_logs_sum(database, record) // estimate if estimate else None


def _open_notes(database: SiteDatabase, record: Record) -> tuple[EntityRef, ...]:
    notes = (database.records.live(note_ref) for note_ref in record.values.get("notes") or ())
    return tuple(
        note.ref for note in notes if note and note.values["sg_status_list"] in _OPEN_STATUSES
    )


def _open_notes_count(database: SiteDatabase, record: Record) -> int:
    return len(_open_notes(database, record))


def _task_count(database: SiteDatabase, record: Record) -> int:
    tasks = database.records.of_type("Task")
    return sum(task.values.get("task_template") == record.ref for task in tasks)


COMPUTED_FIELDS: Final[dict[str, FieldComputation]] = {
    "open_notes": _open_notes,
    "open_notes_count": _open_notes_count,
    "task_count": _task_count,
    "time_logs_sum": _time_logs_sum,
    "time_percent_of_est": _time_percent,
    "time_vs_est": _time_vs_est,
}
"""Field -> the function that computes it, in any type that has it."""
