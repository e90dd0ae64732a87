"""Rows as sites have been seen to write them, and what an event says of each."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from sgevents_core import Event

SHOT: Final = {"type": "Shot", "id": 860, "name": "sh010"}
NOTE: Final = {"type": "Note", "id": 9174, "name": "Re: comp"}
PAGE: Final = {"type": "Page", "id": 1234, "name": "Shots"}
TASK: Final = {"type": "Task", "id": 45, "name": "layout"}
PERSON: Final = {"type": "HumanUser", "id": 78, "name": "Ada Park"}
SCRIPT: Final = {"type": "ApiUser", "id": 34, "name": "rollup 1.0"}


def row(event_type: object, meta: object = None, **fields: object) -> dict[str, Any]:
    """A row with all the usual fields."""
    usual = ("attribute_name", "entity", "project", "user", "session_uuid")
    whole = {**dict.fromkeys(usual), "id": 5, "type": "EventLogEntry", "event_type": event_type}
    return {**whole, "meta": meta, "created_at": "2026-09-04 17:42:34 UTC", **fields}


def change(
    entity_type: str, attribute: str, old: object, new: object, kind: str = "text", **more: object
) -> dict[str, Any]:
    """The row of a changed field; its record is 860."""
    meta = {
        "type": "attribute_change",
        "attribute_name": attribute,
        "entity_type": entity_type,
        "entity_id": 860,
        "field_data_type": kind,
        "old_value": old,
        "new_value": new,
        **more,
    }
    link = {"type": entity_type, "id": 860, "name": "x"}
    return row(f"Shotgun_{entity_type}_Change", meta, attribute_name=attribute, entity=link)


def gone(whole: dict[str, Any]) -> dict[str, Any]:
    """The same row once its record is retired."""
    return {**whole, "entity": None}


def about(entity_type: str, kind: str, **more: object) -> dict[str, Any]:
    """The details of a record made, retired or revived."""
    return {"type": kind, "entity_type": entity_type, "entity_id": 860, **more}


def viewed(event_type: str = "Shotgun_Version_View", **more: object) -> dict[str, Any]:
    """A version that was viewed on a page."""
    meta = {"link_entity_type": "Version", "link_entity_id": 66, **more}
    return row(event_type, meta, entity=PAGE, user=PERSON, session_uuid="b0a6")


STATUS: Final = change("Shot", "sg_status_list", "wtg", "ip", "status_list", platform_id=None)
RETIRED: Final = about("Shot", "entity_retirement", class_name="Shot", display_name="sh010", id=860)
RETIRED["retirement_date"] = "2026-09-04 17:42:34 UTC"
BACK: Final = {
    **about("Task", "attribute_change", field_data_type="entity", attribute_name="tasks"),
    "added": [{**TASK, "valid": "valid", "status": "wtg", "uuid": "c0ffee"}],
    "removed": [],
    "in_create": True,
    "actual_attribute_changed": "Task.entity",
    "original_event_log_entry_id": 4,
}
BACK_ROW: Final = row("Shotgun_Shot_Change", BACK, attribute_name="tasks", entity=SHOT)
READ: Final = {
    "type": "attribute_change",
    "attribute_name": "read_by_current_user",
    "old_value": None,
    "new_value": "read",
}
READ_ROW: Final = row(
    "Shotgun_Reading_Change", READ, attribute_name="read_by_current_user", entity=NOTE
)
READ_LONG: Final = {**READ, "entity_type": "Reading", "entity_id": 7, "field_data_type": "list"}
PREF: Final = {"pref": "hours_per_day", "old": 8, "new": 9}
CHANGES: Final = [{"path": ["body"], "type": "SG.Widget.NewGrid", "setting": "columns"}]
LAYOUT: Final = {"type": "page_setting", "changes": CHANGES, "friendly_changes": "On Grid"}
SOURCE: Final = {**TASK, "valid": "valid", "status": "wtg", "uuid": "c0ffee"}
DATE: Final = "2026-09-04 17:42:34 UTC"
SCHEMALESS: Final = {"entity_type": "DisplayColumn", "entity_id": 9, "type": "attribute_change"}

# What it is, the row, and of the event: type and id of its record, attribute, old and new value.
SHAPES: Final[list[tuple[str, dict[str, Any], tuple[Any, ...]]]] = [
    ("status", STATUS, ("Shot", 860, "sg_status_list", "wtg", "ip")),
    ("status, retired since", gone(STATUS), ("Shot", 860, "sg_status_list", "wtg", "ip")),
    (
        "value set at creation",
        change("Shot", "description", None, "probe", in_create=True),
        ("Shot", 860, "description", None, "probe"),
    ),
    (
        "date and time",
        change("Task", "sg_due", None, DATE, "date_time"),
        ("Task", 860, "sg_due", None, DATE),
    ),
    (
        "thumbnail, being made",
        change("Version", "image", None, 11656, "image", is_transient=True),
        ("Version", 860, "image", None, 11656),
    ),
    (
        "thumbnail, made",
        change("Version", "image", 11656, 11657, "image", is_transient=False),
        ("Version", 860, "image", 11656, 11657),
    ),
    (
        "link",
        change("Version", "sg_task", None, SOURCE, "entity"),
        ("Version", 860, "sg_task", None, SOURCE),
    ),
    ("new", row("Shotgun_Shot_New", about("Shot", "new_entity"), entity=SHOT), ("Shot", 860)),
    ("new, retired since", row("Shotgun_Shot_New", about("Shot", "new_entity")), ("Shot", 860)),
    ("new, without meta", row("Shotgun_Shot_New", entity=SHOT), ("Shot", 860)),
    ("new, with neither", row("Shotgun_Shot_New"), ("Shot", None)),
    ("retirement", row("Shotgun_Shot_Retirement", RETIRED), ("Shot", 860)),
    (
        "retirement, described by class and id alone",
        row(
            "Shotgun_Shot_Retirement",
            {"type": "entity_retirement", "class_name": "Shot", "id": 860, "display_name": "x"},
        ),
        ("Shot", 860),
    ),
    (
        "date of retirement",
        gone(change("Shot", "retirement_date", None, DATE, "date_time")),
        ("Shot", 860, "retirement_date", None, DATE),
    ),
    (
        "revival",
        row("Shotgun_Shot_Revival", about("Shot", "entity_revival"), entity=SHOT),
        ("Shot", 860),
    ),
    ("back-reference", BACK_ROW, ("Shot", 860, "tasks")),
    ("back-reference, retired since", gone(BACK_ROW), ("Shot", None, "tasks")),
    ("reading", READ_ROW, ("Note", 9174, "read_by_current_user", None, "read")),
    (
        "reading that names itself",
        {**READ_ROW, "meta": READ_LONG},
        ("Note", 9174, "read_by_current_user", None, "read"),
    ),
    (
        "reading, retired since",
        gone({**READ_ROW, "meta": READ_LONG}),
        (None, None, "read_by_current_user", None, "read"),
    ),
    ("view of a version", viewed(), ("Version", 66)),
    ("view of a version, page gone", gone(viewed()), ("Version", 66)),
    ("view, details as text", {**viewed(), "meta": json.dumps(viewed()["meta"])}, ("Version", 66)),
    ("view in review", viewed("Shotgun_Review_Tools_Version_View"), ("Version", 66)),
    (
        "view of a note's file",
        viewed("Shotgun_Attachment_View", link_entity_type="Note", link_entity_id=9174),
        ("Note", 9174),
    ),
    ("view that does not say of what", row("Shotgun_Version_View", entity=PAGE), ("Version", None)),
    ("view, id left out", viewed(link_entity_id=None), ("Version", None)),
    ("view of a page", row("Shotgun_Page_View", entity=PAGE), ("Page", 1234)),
    ("view that links it", row("Shotgun_Attachment_View", entity=SHOT), ("Shot", 860)),
    (
        "change of a page that has a link, too",
        row("Shotgun_Page_Change", {"link_entity_type": "Version"}, entity=PAGE),
        ("Page", 1234),
    ),
    (
        "preference",
        row("Shotgun_Preferences_Change", PREF),
        (None, None, "hours_per_day", 8, 9),
    ),
    ("layout", row("Shotgun_PageSetting_Change", LAYOUT, entity=PAGE), ("Page", 1234)),
    ("layout of a page not named", row("Shotgun_PageSetting_Change", LAYOUT), ("PageSetting",)),
    ("layout, nothing said", row("Shotgun_PageSetting_Change", {}), ("PageSetting",)),
    (
        "layout, history alone",
        row("Shotgun_PageSetting_Change", {"page_setting_history_id": 4}, entity=PAGE),
        ("Page", 1234),
    ),
    (
        "layout written by a script",
        gone(change("PageSetting", "settings_json", "{}", '{"a": 1}', "serializable")),
        ("PageSetting", 860, "settings_json", "{}", '{"a": 1}'),
    ),
    (
        "task made by a template",
        change("Task", "template_task", None, SOURCE, "entity", in_create=True),
        ("Task", 860, "template_task", None, SOURCE),
    ),
    (
        "dependency",
        row("Shotgun_TaskDependency_New", about("TaskDependency", "new_entity")),
        ("TaskDependency", 860),
    ),
    (
        "type that no schema has",
        row("Shotgun_DisplayColumn_Change", SCHEMALESS, attribute_name="name"),
        ("DisplayColumn", 9, "name"),
    ),
    (
        "column deleted",
        row("Shotgun_DisplayColumn_Delete", {"entity_type": "Shot", "name": "sg_old"}),
        ("Shot",),
    ),
    ("custom entity", row("Shotgun_CustomEntity06_New"), ("CustomEntity06",)),
    (
        "reply, in no project",
        change("Reply", "content", None, "ok"),
        ("Reply", 860, "content", None, "ok"),
    ),
    ("login", row("Shotgun_User_Login", {"type": "login"}, entity=PERSON), ("HumanUser", 78)),
    ("failed login", row("Shotgun_User_FailedLogin"), ()),
    ("client's login", row("ClientLogin_Failed"), ()),
    ("session", row("SG_RV_Session_Validate_Success", {"type": "session"}), ()),
    ("share", row("CRS_PlaylistShare_Create", entity=SHOT), ("Shot", 860)),
    ("big query", row("Shotgun_Big_Query", {"rows": 12_000}), ()),
    ("launch", row("Toolkit_Desktop_ProjectLaunch", {"engine": "tk-maya"}), ()),
    ("studio's own", row("Studio_Farm_Job_Done", '{"job": 7}', entity=TASK), ("Task", 45)),
    ("written through the API", row(None, None, description="New Event"), ()),
]  # fmt: skip


@pytest.mark.parametrize(("whole", "told"), [one[1:] for one in SHAPES], ids=[o[0] for o in SHAPES])
def test_an_event_says_what_its_row_means(whole: dict[str, Any], told: tuple[Any, ...]) -> None:
    """Type and id of its record, the field, its values; None where the row does not say."""
    event = Event(whole)
    said = (
        event.entity_type,
        event.entity_id,
        event.attribute,
        event.old_value,
        event.new_value,
    )
    assert said == (*told, *(None,) * (5 - len(told)))
    assert event.entity == whole["entity"]
    assert event.created_at is not None
    assert str(event).startswith("Event 5 ")


def test_what_else_rows_tell() -> None:
    """What came and went, whether it was at creation, whether the thumbnail is there."""
    back = Event(BACK_ROW)
    assert (back.is_back_reference, back.original_event_id, back.in_create) == (True, 4, True)
    assert [link["id"] for link in back.added] == [45]
    assert Event(change("Version", "image", None, 1, is_transient=True)).is_transient
    by_script = Event({**STATUS, "user": SCRIPT})
    assert (by_script.script, by_script.session_uuid) == ("rollup", None)
    assert by_script.user == SCRIPT
