"""Working days: the API methods `work_schedule_read` and `work_schedule_update`."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from sgevents_core.sandbox.callers import ApiCaller
from sgevents_core.sandbox.following import JsonObject, required_record
from sgevents_core.sandbox.records import EntityRef
from sgevents_core.sandbox.refused_calls import refused_call, refused_value
from sgevents_core.sandbox.site_database import SiteDatabase
from sgevents_core.sandbox.timestamps import is_date

_EXCEPTION_REASONS: Final = {"HumanUser": "USER_EXCEPTION", "Project": "PROJECT_EXCEPTION"}
_RECALCULATED_FIELDS: Final = (None, "due_date", "duration")


def workday_facts(
    database: SiteDatabase, day: date, scopes: tuple[EntityRef | None, ...] = (None,)
) -> JsonObject:
    """Return whether a day is worked, and why.

    Args:
        database: The database with the exceptions.
        day: The day.
        scopes: Whose exceptions count, the nearest first; None for the whole studio.
    """
    for scope in scopes:
        exception = database.workday_exceptions.get((str(day), scope))
        if exception is not None:
            reason = _EXCEPTION_REASONS[scope[0]] if scope else "STUDIO_EXCEPTION"
            return {**exception, "reason": reason}
    return {"working": day.weekday() < 5, "description": None, "reason": "STUDIO_WORK_WEEK"}


def _date_parameter(method: str, parameters: JsonObject, name: str) -> date:
    date_text = parameters.get(name)
    if not isinstance(date_text, str) or not is_date(date_text):
        raise refused_value(method, f"invalid/missing date '{name}'", date_text)
    return date.fromisoformat(date_text)


def _scope_ref(database: SiteDatabase, method: str, value: Any) -> EntityRef | None:
    return required_record(database, method, value).ref if value else None


def _read_schedule(
    database: SiteDatabase, _caller: ApiCaller, parameters: JsonObject
) -> JsonObject:
    method = "work_schedule_read"
    first = _date_parameter(method, parameters, "start_date")
    last = _date_parameter(method, parameters, "end_date")
    if last < first:
        raise refused_call(method, "'end_date' must be greater than or equal to 'start_date'")
    nearest = (_scope_ref(database, method, parameters.get(name)) for name in ("user", "project"))
    scopes = (*(scope for scope in nearest if scope), None)
    workdays = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return {str(day): workday_facts(database, day, scopes) for day in workdays}


def _update_schedule(
    database: SiteDatabase, _caller: ApiCaller, parameters: JsonObject
) -> JsonObject:
    method = "work_schedule_update"
    day, is_working = _date_parameter(method, parameters, "date"), parameters.get("working")
    if not isinstance(is_working, bool):
        raise refused_value(method, "invalid/missing boolean 'working'", is_working)
    if parameters.get("recalculate_field") not in _RECALCULATED_FIELDS:
        raise refused_call(
            method, "recalculate_field invalid value. The valid values are 'duration' or 'due_date'"
        )
    project_ref, user_ref = (
        _scope_ref(database, method, parameters.get(name)) for name in ("project", "user")
    )
    if project_ref and user_ref:
        raise refused_call(method, "takes a 'project' or a 'user', not both")
    exception = {"working": is_working, "description": parameters.get("description")}
    database.workday_exceptions[str(day), project_ref or user_ref] = exception
    return {
        "date": str(day),
        **exception,
        "project": database.records.link(project_ref),
        "user": database.records.link(user_ref),
    }


API_METHODS: Final = {
    "work_schedule_read": _read_schedule,
    "work_schedule_update": _update_schedule,
}
