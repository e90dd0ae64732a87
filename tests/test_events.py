"""Event: what it makes of the rows of a site's event log, the strange ones above all."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from sgevents_core import Event
from sgevents_core.events import CLASSIC_KEYS, type_parts

TASK_CHANGE: dict[str, Any] = {
    "type": "EventLogEntry",
    "id": 123,
    "event_type": "Shotgun_Task_Change",
    "attribute_name": "sg_status_list",
    "entity": {"type": "Task", "id": 45, "name": "Animation"},
    "project": {"type": "Project", "id": 65, "name": "Demo"},
    "user": {"type": "HumanUser", "id": 7, "name": "Ada"},
    "session_uuid": "b0a6",
    "created_at": "2026-01-31T12:00:00Z",
    "meta": {
        "type": "attribute_change",
        "attribute_name": "sg_status_list",
        "entity_type": "Task",
        "entity_id": 45,
        "field_data_type": "status_list",
        "old_value": "wtg",
        "new_value": "ip",
    },
}


def changed(meta: object = None, **fields: object) -> Event:
    """Return the change of a task with other fields, and with `meta` added to its details."""
    row = {**TASK_CHANGE, **fields}
    if isinstance(meta, dict):
        row["meta"] = {**TASK_CHANGE["meta"], **meta}
    return Event(row)


def test_an_ordinary_change_is_taken_apart() -> None:
    """Every attribute of an ordinary change says what the row says."""
    event = Event(TASK_CHANGE)
    assert (event.id, event.event_type, event.domain) == (123, "Shotgun_Task_Change", "Shotgun")
    assert (event.entity_type, event.entity_id, event.action) == ("Task", 45, "Change")
    assert (event.attribute, event.old_value, event.new_value) == ("sg_status_list", "wtg", "ip")
    assert (event.added, event.removed, event.in_create) == ([], [], False)
    assert (event.project_id, event.project) == (65, TASK_CHANGE["project"])
    assert (event.user, event.script, event.sudo_user) == (TASK_CHANGE["user"], None, None)
    assert (event.is_transient, event.session_uuid) == (False, "b0a6")


def test_the_classic_keys_are_there_as_in_a_row() -> None:
    """As a mapping, an event has what its row has, and compares equal to such a dict."""
    event = Event(TASK_CHANGE)
    assert isinstance(event, Mapping)
    assert event["entity"] is not None
    assert event["entity"]["name"] == "Animation"
    assert dict(event) == {**TASK_CHANGE, "created_at": event.created_at}
    assert event.get("sg_mine") is None
    assert "sg_mine" not in event
    with pytest.raises(KeyError):
        event["sg_mine"]


def test_fields_asked_for_besides_are_there_too() -> None:
    """What the configuration asks for in addition is in the mapping."""
    assert changed(description="Changed")["description"] == "Changed"


def test_classic_keys_missing_from_the_row_read_as_none() -> None:
    """A row without a field is no reason for a KeyError."""
    event = Event({"id": 5})
    assert {key: event[key] for key in CLASSIC_KEYS} == {
        **dict.fromkeys(CLASSIC_KEYS),
        "id": 5,
        "meta": {},
        "type": "EventLogEntry",
    }
    assert sorted(event) == sorted(CLASSIC_KEYS)
    assert len(event) == len(CLASSIC_KEYS)


def test_people_read_what_happened_in_one_line() -> None:
    """str and repr name the event, its type, the field and the record."""
    assert str(Event(TASK_CHANGE)) == "Event 123 Shotgun_Task_Change sg_status_list Task 45"
    assert repr(Event(TASK_CHANGE)) == ("<Event 123 Shotgun_Task_Change sg_status_list Task 45>")
    assert str(Event({"id": 9, "event_type": "Shotgun_User_Login"})) == "Event 9 Shotgun_User_Login"
    assert str(Event({})) == "Event 0 (no type)"


def test_an_event_cannot_be_changed() -> None:
    """Neither items nor attributes can be set, so a callback cannot change the next one's event."""
    event = Event(TASK_CHANGE)
    with pytest.raises(TypeError):
        event["id"] = 1  # type: ignore[index]  # that is the point
    with pytest.raises(AttributeError):
        event.id = 1  # type: ignore[misc]  # that is the point


def test_what_an_event_gives_out_is_a_copy() -> None:
    """A callback that changes what it got from an event changes nothing for the next one."""
    event = changed({"added": [{"type": "Shot", "id": 1}], "new_value": {"id": 4}})
    event.meta["new_value"] = "x"
    event["meta"]["added"].append(2)
    event.added[0]["id"] = 99
    event.new_value["id"] = 99
    assert event.entity is not None
    event.entity["id"] = 99
    assert event["entity"] is not None
    event["entity"]["id"] = 99
    event.row["meta"]["added"].clear()
    assert (event.new_value, event.added, event.entity_id) == (
        {"id": 4},
        [{"type": "Shot", "id": 1}],
        45,
    )


def test_created_at_is_aware_and_local_from_text() -> None:
    """The site's text becomes an aware datetime in local time, in the mapping too."""
    event = Event(TASK_CHANGE)
    moment = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
    assert event.created_at == moment == event["created_at"]
    assert event.created_at is not None
    assert event.created_at.utcoffset() == moment.astimezone().utcoffset()


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00.250Z", "2026-01-31T12:00:00.250000+00:00"])
def test_created_at_may_have_fractions_and_offsets(text: str) -> None:
    """Fractions of a second and offsets are read too."""
    assert changed(created_at=text).created_at == datetime(
        2026, 1, 31, 12, 0, 0, 250_000, tzinfo=timezone.utc
    )


def test_created_at_as_the_client_gives_it_is_kept() -> None:
    """An aware datetime stays the same moment; a naive one is taken as local time."""
    aware = datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=9)))
    assert changed(created_at=aware).created_at == aware
    naive = datetime(2026, 1, 31, 12)
    assert changed(created_at=naive).created_at == naive.astimezone()


@pytest.mark.parametrize("value", [None, "", "yesterday", 12, ["2026"]])
def test_created_at_that_is_no_time_reads_as_none(value: object) -> None:
    """What is no time is None as attribute, and as it was in the mapping."""
    event = changed(created_at=value)
    assert event.created_at is None
    assert event["created_at"] == value


@pytest.mark.parametrize("value", [datetime.min, datetime.max.replace(tzinfo=timezone.utc)])
def test_created_at_beyond_the_clock_stays_aware(value: datetime) -> None:
    """A time that the platform cannot make local is aware all the same."""
    created_at = changed(created_at=value).created_at
    assert created_at is not None
    assert created_at.tzinfo is not None


def test_a_retired_record_is_known_from_meta() -> None:
    """Once a record is retired its link is None; type and id come from meta."""
    event = changed(entity=None)
    assert (event.entity, event.entity_type, event.entity_id) == (None, "Task", 45)


def test_a_retired_record_without_meta_has_its_type_from_the_event_type() -> None:
    """Where meta says nothing the type is still known, the id is not."""
    event = Event({"event_type": "Shotgun_CustomEntity06_Retirement", "entity": None})
    assert (event.entity_type, event.entity_id) == ("CustomEntity06", None)


BACK_REFERENCE = {
    "actual_attribute_changed": "Task.entity",
    "added": [{"type": "Task", "id": 45}],
    "attribute_name": "tasks",
    "entity_type": "Task",
    "entity_id": 45,
    "field_data_type": "entity",
    "original_event_log_entry_id": 2011758,
    "removed": [],
    "type": "attribute_change",
}


def test_a_back_reference_is_about_the_record_of_the_field() -> None:
    """Shot.tasks changed because Task.entity was set: the event is the shot's, not the task's."""
    event = Event(
        {
            "event_type": "Shotgun_Shot_Change",
            "entity": {"type": "Shot", "id": 7080, "name": "002_001"},
            "meta": BACK_REFERENCE,
        }
    )
    assert (event.entity_type, event.entity_id) == ("Shot", 7080)
    assert event.is_back_reference
    assert event.original_event_id == 2011758
    assert event.added == [{"type": "Task", "id": 45}]


@pytest.mark.parametrize("marked_by", ["actual_attribute_changed", "original_event_log_entry_id"])
def test_a_back_reference_of_a_retired_record_does_not_claim_the_other_record(
    marked_by: str,
) -> None:
    """The type comes from the event type; the id in meta is the other record's, so there is none.

    One of the two keys that tell a back-reference is enough to know it.
    """
    other = {key: value for key, value in BACK_REFERENCE.items() if key != marked_by}
    event = Event({"event_type": "Shotgun_Shot_Change", "entity": None, "meta": other})
    assert (event.entity_type, event.entity_id) == ("Shot", None)


def test_a_back_reference_to_a_record_of_the_same_type_is_told_apart_too() -> None:
    """One shot was made the parent of another: meta names the other shot."""
    meta = {**BACK_REFERENCE, "entity_type": "Shot", "actual_attribute_changed": "Shot.parents"}
    event = Event({"event_type": "Shotgun_Shot_Change", "entity": None, "meta": meta})
    assert (event.entity_type, event.entity_id) == ("Shot", None)


@pytest.mark.parametrize("value", [True, "45", 4.5, [45]])
def test_an_id_that_is_no_number_is_none(value: object) -> None:
    """True is not the id 1."""
    event = Event({"id": value, "entity": {"type": "Shot", "id": value}, "project": {"id": value}})
    assert (event.id, event.entity_id, event.project_id) == (0, None, None)


def test_meta_about_another_type_than_the_event_is_not_believed() -> None:
    """An id without its type would be another record's."""
    event = Event(
        {
            "event_type": "Shotgun_Shot_Change",
            "meta": {"entity_type": "Task", "entity_id": 45},
        }
    )
    assert (event.entity_type, event.entity_id) == ("Shot", None)


def test_reading_is_about_what_was_read() -> None:
    """`Shotgun_Reading_Change` names no type of record; its entity is what was read."""
    row = {"event_type": "Shotgun_Reading_Change", "attribute_name": "read_by_current_user"}
    note = Event({**row, "entity": {"type": "Note", "id": 9174}})
    assert (note.entity_type, note.entity_id) == ("Note", 9174)
    gone = Event({**row, "entity": None, "meta": {"entity_type": "Note", "entity_id": 9174}})
    assert (gone.entity_type, gone.entity_id) == ("Note", 9174)
    for meta in ({}, {"entity_id": 3}, {"entity_type": "Reading", "entity_id": 3}):
        unknown = Event({**row, "entity": None, "meta": meta})
        assert (unknown.entity_type, unknown.entity_id) == (None, None)


def test_meta_that_is_a_json_string_is_decoded() -> None:
    """Seldom the site sends meta as text."""
    event = Event({**TASK_CHANGE, "meta": json.dumps(TASK_CHANGE["meta"])})
    assert event.new_value == "ip"
    assert event["meta"]["old_value"] == "wtg"


@pytest.mark.parametrize("meta", [None, "", "{", "[1]", "null", [1], 7, b"\xff", "[" * 100_000])
def test_meta_is_a_dict_whatever_the_row_has(meta: object) -> None:
    """Nobody has to ask whether meta is None."""
    event = Event({**TASK_CHANGE, "meta": meta})
    assert event.meta == {} == event["meta"]
    assert (event.entity_id, event.attribute) == (45, "sg_status_list")


def test_the_attribute_is_in_meta_where_the_row_lacks_it() -> None:
    """A change names its field in meta too; other events have none."""
    assert changed(attribute_name=None).attribute == "sg_status_list"
    assert changed(attribute_name=None, event_type="Shotgun_Task_New").attribute is None


def test_multi_entity_fields_have_added_and_removed() -> None:
    """They have no old and new value."""
    shot = {"type": "Shot", "id": 1}
    event = Event({**TASK_CHANGE, "meta": {"added": [shot], "removed": None}})
    assert (event.added, event.removed) == ([shot], [])
    assert (event.old_value, event.new_value) == (None, None)


def test_flags_are_true_only_where_the_site_says_true() -> None:
    """in_create and is_transient are booleans."""
    assert changed({"in_create": True, "is_transient": True}).in_create is True
    assert changed({"in_create": True, "is_transient": True}).is_transient is True
    assert changed({"in_create": None, "is_transient": "no"}).in_create is False
    assert changed({"in_create": None, "is_transient": "no"}).is_transient is False


def test_scripts_are_told_from_people() -> None:
    """`script` is the name of the script, also in a person's name, and None for a person."""
    rollup = {"type": "ApiUser", "id": 3, "name": "rollup 1.0"}
    assert changed(user=rollup).script == "rollup"
    assert changed(user={"type": "ApiUser", "id": 3}).script == "ApiUser 3"
    assert changed(user=None).script is None
    behind = changed({"sudo_actual_user": rollup})
    assert (behind.sudo_user, behind.script) == (rollup, "rollup")


@pytest.mark.parametrize(
    ("event_type", "parts"),
    [
        ("Shotgun_Note_New", ("Shotgun", "Note", "New")),
        ("Shotgun_CustomEntity06_Change", ("Shotgun", "CustomEntity06", "Change")),
        ("Shotgun_Two_Words_Revival", ("Shotgun", "Two_Words", "Revival")),
        ("Shotgun_User_Login", ("Shotgun", None, "Login")),
        ("Shotgun_NotesApp_Summary_Email", ("Shotgun", None, "Email")),
        ("Toolkit_Desktop_AppLaunch", ("Toolkit", None, "AppLaunch")),
        ("ClientLogin_Failed", ("ClientLogin", None, "Failed")),
        ("SG_RV_Session_Validate_Success", ("SG", None, "Success")),
        ("Studio_Task_New", ("Studio", None, "New")),
        ("Shotgun_New", ("Shotgun", None, "New")),
        ("Shotgun__New", ("Shotgun", None, "New")),
        ("Published", ("Published", None, None)),
        ("Shotgun_", ("Shotgun", None, None)),
        ("", ("", None, None)),
    ],
)
def test_types_have_any_number_of_underscores(
    event_type: str, parts: tuple[str, str | None, str | None]
) -> None:
    """Only `Shotgun_<EntityType>_<New|Change|Retirement|Revival>` names a type of record."""
    assert type_parts(event_type) == parts


def test_an_event_survives_pickling() -> None:
    """Events go to the processes of a process lane."""
    event = pickle.loads(pickle.dumps(Event(TASK_CHANGE)))
    assert event == Event(TASK_CHANGE)
    assert hash(event) == hash(Event(TASK_CHANGE))
    assert event.row == TASK_CHANGE


@pytest.mark.parametrize("row", [None, 7, "row", [("id", 1)]])
def test_what_is_no_row_reads_as_an_empty_one(row: Any) -> None:
    """Even that does not raise."""
    assert Event(row).id == 0


def test_a_row_that_contains_itself_is_given_out_as_it_is() -> None:
    """Data too deep to copy does not raise either."""
    meta: dict[str, Any] = {}
    meta["new_value"] = meta
    assert Event({"meta": meta}).new_value is meta
