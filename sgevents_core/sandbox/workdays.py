"""Which days are worked: the API methods `work_schedule_read` and `work_schedule_update`."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from sgevents_core.sandbox.callers import ApiCaller
from sgevents_core.sandbox.following import Parameters, required_record
from sgevents_core.sandbox.records import EntityRef
from sgevents_core.sandbox.refused_calls import refused_call, ruby_text
from sgevents_core.sandbox.site_database import SiteDatabase
from sgevents_core.sandbox.timestamps import is_date

_EXCEPTION_REASONS: Final = {"HumanUser": "USER_EXCEPTION", "Project": "PROJECT_EXCEPTION"}
_RECALCULATED_FIELDS: Final = (None, "due_date", "duration")


def workday_facts(
    database: SiteDatabase, workday: date, exception_scopes: tuple[EntityRef | None, ...] = (None,)
) -> Parameters:
    """Return what is known of a day: whether it is worked, and why.

    Args:
        database: The database with the exceptions.
        workday: The day.
        exception_scopes: Whose exceptions count, the nearest first; None for the whole studio.
    """
    for scope_ref in exception_scopes:
        workday_exception = database.workday_exceptions.get((str(workday), scope_ref))
        if workday_exception is not None:
            reason_code = _EXCEPTION_REASONS[scope_ref[0]] if scope_ref else "STUDIO_EXCEPTION"
            return {**workday_exception, "reason": reason_code}
    return {"working": workday.weekday() < 5, "description": None, "reason": "STUDIO_WORK_WEEK"}


def _date_parameter(method: str, parameters: Parameters, parameter_name: str) -> date:
    date_text = parameters.get(parameter_name)
    if not isinstance(date_text, str) or not is_date(date_text):
        raise refused_call(
            method, f"invalid/missing date '{parameter_name}': {ruby_text(date_text)}"
        )
    return date.fromisoformat(date_text)


def _scope_ref(database: SiteDatabase, method: str, scope_value: Any) -> EntityRef | None:
    return required_record(database, method, scope_value).ref if scope_value else None


def _read_schedule(
    database: SiteDatabase, _caller: ApiCaller, parameters: Parameters
) -> Parameters:
    method = "work_schedule_read"
    first_day, last_day = (
        _date_parameter(method, parameters, "start_date"),
        _date_parameter(method, parameters, "end_date"),
    )
    if last_day < first_day:
        raise refused_call(method, "'end_date' must be greater than or equal to 'start_date'")
    nearest_scopes = (
        _scope_ref(database, method, parameters.get(parameter_name))
        for parameter_name in ("user", "project")
    )
    exception_scopes = (*(scope_ref for scope_ref in nearest_scopes if scope_ref), None)
    workdays = (
        first_day + timedelta(days=day_number)
        for day_number in range((last_day - first_day).days + 1)
    )
    return {
        str(workday): workday_facts(database, workday, exception_scopes) for workday in workdays
    }


def _update_schedule(
    database: SiteDatabase, _caller: ApiCaller, parameters: Parameters
) -> Parameters:
    method = "work_schedule_update"
    workday, is_working = _date_parameter(method, parameters, "date"), parameters.get("working")
    if not isinstance(is_working, bool):
        raise refused_call(method, f"invalid/missing boolean 'working': {ruby_text(is_working)}")
    if parameters.get("recalculate_field") not in _RECALCULATED_FIELDS:
        raise refused_call(
            method,
            "recalculate_field invalid value. The valid values are 'duration' or 'due_date'",
        )
    project_ref, user_ref = (
        _scope_ref(database, method, parameters.get(parameter_name))
        for parameter_name in ("project", "user")
    )
    if project_ref and user_ref:
        raise refused_call(method, "takes a 'project' or a 'user', not both")
    description = parameters.get("description")
    database.workday_exceptions[str(workday), project_ref or user_ref] = {
        "working": is_working,
        "description": description,
    }
    return {
        "date": str(workday),
        "working": is_working,
        "description": description,
        "project": database.records.link(project_ref),
        "user": database.records.link(user_ref),
    }


API_METHODS: Final = {
    "work_schedule_read": _read_schedule,
    "work_schedule_update": _update_schedule,
}
