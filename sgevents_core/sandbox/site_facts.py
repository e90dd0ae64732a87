"""What a site says about itself and its callers: preferences, pages, projects opened."""

from __future__ import annotations

from typing import Any, Final

from sgevents_core.moments import stamp_of
from sgevents_core.sandbox.attention import Call, existing
from sgevents_core.sandbox.callers import SignedIn
from sgevents_core.sandbox.refusal import RefusedCallError
from sgevents_core.sandbox.site_database import SiteDatabase

PREFERENCES: Final[dict[str, Any]] = {
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


def _preferences(_database: SiteDatabase, _caller: SignedIn, call: Call) -> Call:
    wanted = call.get("prefs") or list(PREFERENCES)
    if not isinstance(wanted, list):
        raise RefusedCallError("API preferences_read() invalid array 'prefs'")
    return {name: value for name, value in PREFERENCES.items() if name in wanted}


def _export(_database: SiteDatabase, _caller: SignedIn, call: Call) -> Any:
    for name in ("format", "page_id"):
        if call.get(name) is None:
            raise RefusedCallError(f"API export_page() '{name}' missing")
    raise RefusedCallError(f"Export for Page id={call['page_id']} not available")


def _accessed(database: SiteDatabase, caller: SignedIn, call: Call) -> list[Call]:
    """Note that a person has opened a project."""
    method = "update_project_last_accessed_by_current_user"
    project = existing(database, method, {"type": "Project", "id": call.get("project_id")})
    user = caller.user
    if call.get("user_id") is not None:
        user = existing(database, method, {"type": "HumanUser", "id": call["user_id"]}).ref
    if user is not None:
        database.accessed[project.ref, user] = stamp_of(database.clock())
    return [{"type": project.type, "id": project.id}]


METHODS: Final = {
    "preferences_read": _preferences,
    "export_page": _export,
    "update_project_last_accessed_by_current_user": _accessed,
}
