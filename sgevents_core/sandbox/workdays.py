"""Which days are worked: the API methods `work_schedule_read` and `work_schedule_update`."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from sgevents_core.sandbox.attention import Call, existing
from sgevents_core.sandbox.callers import SignedIn
from sgevents_core.sandbox.records import Ref
from sgevents_core.sandbox.refusal import RefusedCallError, shown
from sgevents_core.sandbox.site_database import SiteDatabase
from sgevents_core.sandbox.timestamps import is_date

_REASONS: Final = {"HumanUser": "USER_EXCEPTION", "Project": "PROJECT_EXCEPTION"}
_RECALCULATED: Final = (None, "due_date", "duration")


def works_on(database: SiteDatabase, day: date, scopes: tuple[Ref | None, ...] = (None,)) -> Call:
    """Return what is known of a day: whether it is worked, and why.

    Args:
        database: The database with the exceptions.
        day: The day.
        scopes: Whose exceptions count, the nearest first; None for the whole studio.
    """
    for scope in scopes:
        exception = database.work_days.get((str(day), scope))
        if exception is not None:
            reason = _REASONS[scope[0]] if scope else "STUDIO_EXCEPTION"
            return {**exception, "reason": reason}
    return {"working": day.weekday() < 5, "description": None, "reason": "STUDIO_WORK_WEEK"}


def _day(method: str, call: Call, name: str) -> date:
    text = call.get(name)
    if not isinstance(text, str) or not is_date(text):
        raise RefusedCallError(f"API {method}() invalid/missing date '{name}': {shown(text)}")
    return date.fromisoformat(text)


def _scope(database: SiteDatabase, method: str, value: Any) -> Ref | None:
    return existing(database, method, value).ref if value else None


def _read(database: SiteDatabase, _caller: SignedIn, call: Call) -> Call:
    method = "work_schedule_read"
    first, last = _day(method, call, "start_date"), _day(method, call, "end_date")
    if last < first:
        raise RefusedCallError(
            f"API {method}() 'end_date' must be greater than or equal to 'start_date'"
        )
    near = (_scope(database, method, call.get(name)) for name in ("user", "project"))
    scopes = (*(scope for scope in near if scope), None)
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return {str(day): works_on(database, day, scopes) for day in days}


def _update(database: SiteDatabase, _caller: SignedIn, call: Call) -> Call:
    method = "work_schedule_update"
    day, working = _day(method, call, "date"), call.get("working")
    if not isinstance(working, bool):
        raise RefusedCallError(
            f"API {method}() invalid/missing boolean 'working': {shown(working)}"
        )
    if call.get("recalculate_field") not in _RECALCULATED:
        raise RefusedCallError(
            f"API {method}() recalculate_field invalid value. The valid values are 'duration' or "
            "'due_date'"
        )
    project, user = (_scope(database, method, call.get(name)) for name in ("project", "user"))
    if project and user:
        raise RefusedCallError(f"API {method}() takes a 'project' or a 'user', not both")
    description = call.get("description")
    database.work_days[str(day), project or user] = {
        "working": working,
        "description": description,
    }
    return {
        "date": str(day),
        "working": working,
        "description": description,
        "project": database.records.link(project),
        "user": database.records.link(user),
    }


METHODS: Final = {"work_schedule_read": _read, "work_schedule_update": _update}
