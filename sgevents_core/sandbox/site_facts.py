"""A site's facts about itself and its callers: preferences, pages, projects opened."""

from __future__ import annotations

from typing import Any, Final

from sgevents_core.moments import api_timestamp
from sgevents_core.sandbox.callers import ApiCaller
from sgevents_core.sandbox.following import JsonObject, required_record
from sgevents_core.sandbox.refused_calls import RefusedCallError, refused_call
from sgevents_core.sandbox.site_database import SiteDatabase

DEFAULT_PREFERENCES: Final[dict[str, Any]] = {
    "creative_review_settings": {},
    "date_component_order": "month_day",
    "duration_units": "days",
    "enable_rv_integration": True,
    "enable_shotgun_review_for_rv": False,
    "format_currency_fields_decimal_options": "$1,000.99",
    "format_currency_fields_display_dollar_sign": False,
    "format_currency_fields_negative_options": "- $1,000",
    "format_date_fields": "08/04/22 OR 04/08/22 (depending on the Month order preference)",
    "format_float_fields": "9,999.99",
    "format_float_fields_rounding": "9.999999",
    "format_footage_fields": "10-05",
    "format_number_fields": "1,000",
    "format_time_hour_fields": "12 hour",
    "hours_per_day": 8.0,
    "support_local_storage": True,
    "view_master_settings": {},
}
"""The preferences of a site that nobody has changed."""


def _read_preferences(
    _database: SiteDatabase, _caller: ApiCaller, parameters: JsonObject
) -> JsonObject:
    requested_names = parameters.get("prefs") or list(DEFAULT_PREFERENCES)
    if not isinstance(requested_names, list):
        raise refused_call("preferences_read", "invalid array 'prefs'")
    return {
        name: preference
        for name, preference in DEFAULT_PREFERENCES.items()
        if name in requested_names
    }


def _export_page(_database: SiteDatabase, _caller: ApiCaller, parameters: JsonObject) -> Any:
    for name in ("format", "page_id"):
        if parameters.get(name) is None:
            raise refused_call("export_page", f"'{name}' missing")
    raise RefusedCallError(f"Export for Page id={parameters['page_id']} not available")


def _record_project_opened(
    database: SiteDatabase, caller: ApiCaller, parameters: JsonObject
) -> list[JsonObject]:
    """Remember that a person has opened a project."""
    method = "update_project_last_accessed_by_current_user"
    project_hash = {"type": "Project", "id": parameters.get("project_id")}
    project = required_record(database, method, project_hash)
    user_ref = caller.user_ref
    if parameters.get("user_id") is not None:
        user_hash = {"type": "HumanUser", "id": parameters["user_id"]}
        user_ref = required_record(database, method, user_hash).ref
    if user_ref is not None:
        database.project_opened_at[project.ref, user_ref] = api_timestamp(database.clock())
    return [{"type": project.type, "id": project.id}]


API_METHODS: Final = {
    "preferences_read": _read_preferences,
    "export_page": _export_page,
    "update_project_last_accessed_by_current_user": _record_project_opened,
}
