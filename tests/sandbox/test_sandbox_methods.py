"""Methods besides reading and writing records, called by the unmodified client."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from shotgun_api3.shotgun import AuthenticationFault, Fault

from sgevents_core.sandbox import Sandbox

Connect = Callable[..., Any]
PROJECT = {"type": "Project", "id": 1}


@pytest.fixture
def shot(site: Sandbox) -> dict[str, Any]:
    """A new shot of the project."""
    return site.create("Shot", {"code": "turn_010", "project": PROJECT})


@pytest.fixture
def ada(site: Sandbox) -> dict[str, Any]:
    """A person of the project."""
    return site.find("HumanUser", [["login", "is", "ada"]], ["name"])[0]


def test_following(sg: Any, shot: dict[str, Any], ada: dict[str, Any]) -> None:
    """A person follows each record once; followers and followed are listed, by type and project."""
    task = sg.create("Task", {"project": {"type": "Project", "id": 2}})
    for entity in (shot, task, shot):
        assert sg.follow(ada, entity)["followed"] is True
    assert sg.following(ada) == [
        {"type": "Shot", "id": shot["id"]},
        {"type": "Task", "id": task["id"]},
    ]
    assert [entry["type"] for entry in sg.following(ada, entity_type="Task")] == ["Task"]
    assert [entry["type"] for entry in sg.following(ada, project=PROJECT)] == ["Shot"]
    (follower,) = sg.followers(shot)
    assert follower == {**ada, "status": "act", "valid": "valid"}
    assert sg.unfollow(ada, shot)["unfollowed"] is True
    assert sg.followers(shot) == []
    with pytest.raises(Fault, match="Couldn't find Shot with id=999"):
        sg.follow(ada, {"type": "Shot", "id": 999})


def test_a_thread_is_in_the_order_of_time(connect: Connect) -> None:
    """A note, its files and its replies are one list in order, also within one second."""
    now = datetime(2026, 3, 1, tzinfo=timezone.utc)
    with Sandbox(clock=lambda: now) as site:
        sg = connect(site)
        note = sg.create("Note", {"content": "Look", "subject": "S", "project": PROJECT})
        reply = site.create("Reply", {"content": "Yes", "entity": note}, user="ada")
        file = site.create("Attachment", {"filename": "a.jpg", "attachment_links": [note]})
        fields = {"Note": ["subject"], "Attachment": ["filename"], "Reply": ["updated_at"]}
        thread = sg.note_thread_read(note["id"], fields)
        picture = {"ada": site.thumbnail("HumanUser", 1)}
        later = sg.note_thread_read(note["id"])
    assert [(record_shown["type"], record_shown["id"]) for record_shown in thread] == [
        ("Note", note["id"]),
        ("Reply", reply["id"]),
        ("Attachment", file["id"]),
    ]
    assert [sorted(record_shown) for record_shown in thread] == [
        ["content", "created_at", "created_by", "id", "subject", "type"],
        ["content", "created_at", "id", "type", "user"],
        ["created_at", "created_by", "filename", "id", "type"],
    ]
    assert thread[1]["user"] == {"type": "HumanUser", "id": 1, "name": "Ada Park", "image": None}
    assert str(later[1]["user"]["image"]).endswith(f"/{picture['ada']}")


def test_a_thread_of_no_note(sg: Any) -> None:
    """A missing note is reported."""
    with pytest.raises(Fault, match="Note: 999 not found"):
        sg.note_thread_read(999)


def test_activity_of_a_record(site: Sandbox, sg: Any, shot: dict[str, Any]) -> None:
    """The stream lists what was created for a record and its statuses, the newest first."""
    note = site.create("Note", {"content": "x", "note_links": [shot], "project": PROJECT})
    site.update("Shot", shot["id"], {"sg_status_list": "ip", "description": "no news"})
    site.create("Shot", {"code": "another", "project": PROJECT})
    stream = sg.activity_stream_read("Shot", shot["id"], {"Note": ["content"]})
    assert (stream["entity_type"], stream["entity_id"]) == ("Shot", shot["id"])
    updates = [
        (entry["update_type"], entry["primary_entity"]["type"]) for entry in stream["updates"]
    ]
    assert updates == [("update", "Shot"), ("create", "Note"), ("create", "Shot")]
    assert stream["updates"][1]["primary_entity"] == {
        **{"type": "Note", "id": note["id"], "name": None},
        **{"status": "opn", "content": "x"},
    }
    author = stream["updates"][0]["created_by"]
    assert sorted(author) == ["id", "image", "name", "status", "type"]
    assert stream["latest_update_id"] == site.log.highest_id
    assert stream["earliest_update_id"] == 0


def test_activity_is_paged(site: Sandbox, sg: Any, shot: dict[str, Any]) -> None:
    """`limit`, `max_id` and `min_id` bound the stream; both ids are excluded."""
    for status in ("ip", "rev", "fin"):
        site.update("Shot", shot["id"], {"sg_status_list": status})
    everything = [entry["id"] for entry in sg.activity_stream_read("Shot", shot["id"])["updates"]]
    page = sg.activity_stream_read("Shot", shot["id"], limit=2)
    assert [entry["id"] for entry in page["updates"]] == everything[:2]
    assert page["earliest_update_id"] == everything[1]
    rest = sg.activity_stream_read("Shot", shot["id"], max_id=page["earliest_update_id"])
    assert [entry["id"] for entry in rest["updates"]] == everything[2:]
    newer = sg.activity_stream_read("Shot", shot["id"], min_id=everything[1])
    assert [entry["id"] for entry in newer["updates"]] == everything[:1]
    with pytest.raises(Fault, match="limit must be from 1 to 500"):
        sg.activity_stream_read("Shot", shot["id"], limit=501)


def test_text_search(site: Sandbox, sg: Any, shot: dict[str, Any]) -> None:
    """Every word is in the name or that of the linked record; the shortest name comes first."""
    values = {"code": "zcomp_v9", "entity": shot, "project": PROJECT}
    version = site.create("Version", values)
    site.create("Shot", {"code": "turn_0100", "project": PROJECT, "description": "glorp"})

    def names(text: str, types: Any, **options: Any) -> list[str]:
        return [entry["name"] for entry in sg.text_search(text, types, **options)["matches"]]

    both: dict[str, Any] = {"Shot": [], "Version": []}
    assert names("TURN 010", both) == ["turn_010", "zcomp_v9", "turn_0100"]
    assert names("010 turn", {"Shot": []}, limit=1) == ["turn_010"]
    assert names("turn", {"Shot": [["code", "ends_with", "0100"]]}) == ["turn_0100"]
    assert names("turn nope", both) == names("glorp", both) == []
    assert names("turn", both, project_ids=[2]) == []
    result = sg.text_search("zcomp_v9", {"Version": []})
    assert result["terms"] == ["zcomp_v9"]
    assert result["matches"] == [
        {
            **{"id": version["id"], "type": "Version", "name": "zcomp_v9", "project_id": 1},
            **{"image": None, "links": ["Shot", "turn_010"], "status": "rev"},
        }
    ]


def test_work_schedule(sg: Any, ada: dict[str, Any]) -> None:
    """Monday to Friday are worked, except for exceptions; a person's come before a project's."""
    project = sg.find_one("Project", [["id", "is", 1]], ["name"])

    def reasons(**scope: Any) -> list[tuple[str, bool]]:
        options = {"project": None, "user": None, **scope}
        days = sg.work_schedule_read("2026-03-06", "2026-03-09", **options)
        return [(day["reason"], day["working"]) for day in days.values()]

    week = "STUDIO_WORK_WEEK"
    assert reasons() == [(week, True), (week, False), (week, False), (week, True)]
    answer = sg.work_schedule_update("2026-03-06", False, "Holiday")
    assert answer == {
        **{"date": "2026-03-06", "description": "Holiday", "working": False},
        **{"project": None, "user": None},
    }
    sg.work_schedule_update("2026-03-07", True, "Crunch", project=project)
    assert sg.work_schedule_update("2026-03-07", False, "Leave", user=ada)["user"] == ada
    assert reasons()[:2] == [("STUDIO_EXCEPTION", False), (week, False)]
    assert reasons(project=project)[1] == ("PROJECT_EXCEPTION", True)
    assert reasons(project=project, user=ada)[1] == ("USER_EXCEPTION", False)
    with pytest.raises(Fault, match="'end_date' must be greater"):
        sg.work_schedule_read("2026-03-09", "2026-03-06", None, None)
    with pytest.raises(Fault, match="invalid/missing date 'date'"):
        sg.work_schedule_update("soon", False)


def test_preferences(sg: Any) -> None:
    """All preferences or the requested ones are returned; unknown ones are ignored."""
    assert sg.preferences_read()["hours_per_day"] == 8.0
    names_requested = ["duration_units", "nope"]
    assert sg.preferences_read(names_requested) == {"duration_units": "days"}


def test_pages_are_not_exported(sg: Any) -> None:
    """A missing parameter is named; no page can be exported."""
    with pytest.raises(Fault, match="'format' missing"):
        sg.export_page(1, None)
    with pytest.raises(Fault, match="'page_id' missing"):
        sg.export_page(None, "csv")
    with pytest.raises(Fault, match="Export for Page id=1 not available"):
        sg.export_page(1, "csv")


def test_session_tokens(site: Sandbox, sg: Any, connect: Connect) -> None:
    """A token represents the caller who requested it: a script or a person."""
    site.add_password("ada", "a demo password")
    for caller, name in (
        (sg, f"{site.script_name} 1.0"),
        (connect(site, login="ada", password="a demo password"), "Ada Park"),
    ):
        client = connect(site, session_token=caller.get_session_token())
        created = client.create("Shot", {"project": PROJECT}, ["created_by"])
        assert created["created_by"]["name"] == name
    with pytest.raises(AuthenticationFault):
        connect(site, session_token="none").find("Shot", [])


def test_people_may_not_sudo(site: Sandbox, connect: Connect) -> None:
    """Only a script can act as another user."""
    site.add_password("ada", "a demo password")
    sg = connect(site, login="ada", password="a demo password", sudo_as_login="bruno")
    with pytest.raises(Fault, match="The user does not have permission to 'sudo': bruno"):
        sg.find("Shot", [])


def test_when_a_project_was_opened(connect: Connect) -> None:
    """`last_accessed_by_current_user` reads differently for each person."""
    now = datetime(2026, 3, 1, tzinfo=timezone.utc)
    with Sandbox(clock=lambda: now) as site:
        site.add_password("ada", "a demo password")
        person = connect(site, login="ada", password="a demo password")
        script = connect(site)
        person.update_project_last_accessed(PROJECT)
        field = "last_accessed_by_current_user"
        read = [
            sg.find_one("Project", [["id", "is", 1]], [field])[field] for sg in (person, script)
        ]
        assert read == [now, None]
        bruno = site.find("HumanUser", [["login", "is", "bruno"]])[0]
        script.update_project_last_accessed({"type": "Project", "id": 2}, user=bruno)
        as_bruno = connect(
            site, script_name=site.script_name, api_key=site.api_key, sudo_as_login="bruno"
        )
        assert as_bruno.find_one("Project", [["id", "is", 2]], [field])[field] == now


def test_fields_are_made_changed_and_deleted(sg: Any, shot: dict[str, Any]) -> None:
    """A field gets a name derived from its label, works at once, and its name stays taken."""
    name = sg.schema_field_create(
        "Shot", "number", "Plate Count (max)", {"description": "how many"}
    )
    assert name == "sg_plate_count__max_"
    assert sg.schema_field_create("Shot", "text", "Plate Count (max)") == f"{name}_1"
    sg.update("Shot", shot["id"], {name: 3})
    assert sg.find_one("Shot", [[name, "is", 3]])["id"] == shot["id"]
    changed = {"name": "Plates", "description": "all", "summary_default": "sum"}
    assert sg.schema_field_update("Shot", name, changed) is True
    field = sg.schema_field_read("Shot", name)[name]
    assert (field["name"]["value"], field["description"]["value"]) == ("Plates", "all")
    assert field["properties"]["summary_default"]["value"] == "sum"
    assert sg.schema_field_delete("Shot", name) is True
    assert name not in sg.schema_field_read("Shot")
    with pytest.raises(Fault, match="was deleted before"):
        sg.schema_field_create("Shot", "number", "Plate Count (max)")
    with pytest.raises(Fault, match=r"Shot\.code cannot be deleted"):
        sg.schema_field_delete("Shot", "code")


@pytest.mark.parametrize(
    ("data_type", "properties", "message"),
    [
        ("color", {}, "data_type is not valid"),
        ("calculated", {}, "data_type is not valid"),
        ("entity", {}, "'valid_types' value expected Array with one element"),
        ("multi_entity", {"valid_types": ["Shot", "Asset"]}, "Array with one element"),
        ("checkbox", {}, "Only true or false allowed in checkbox"),
    ],
)
def test_fields_that_cannot_be_made(
    sg: Any, data_type: str, properties: dict[str, Any], message: str
) -> None:
    """Some data types, and links without their one type, are refused."""
    with pytest.raises(Fault, match=message):
        sg.schema_field_create("Shot", data_type, "Some Field", properties)


def test_unknown_properties_are_refused(sg: Any) -> None:
    """An unknown property is refused with the known ones."""
    with pytest.raises(Fault, match="invalid property 'status_list_summary_exclude'"):
        sg.schema_field_update("Shot", "sg_status_list", {"status_list_summary_exclude": ["omt"]})


def test_fields_of_all_data_types_work(sg: Any, shot: dict[str, Any]) -> None:
    """A link, a list and a checkbox created through the API accept their values."""
    link = sg.schema_field_create("Shot", "entity", "Lead", {"valid_types": ["HumanUser"]})
    kind = sg.schema_field_create("Shot", "list", "Kind", {"valid_values": ["a", "b"]})
    tick = sg.schema_field_create("Shot", "checkbox", "Done", {"default_value": True})
    created = sg.create("Shot", {"project": PROJECT}, [link, kind, tick])
    assert (created[link], created[kind], created[tick]) == (None, None, True)
    sg.update("Shot", shot["id"], {link: {"type": "HumanUser", "id": 1}, kind: "b"})
    assert sg.find_one("Shot", [[link, "name_is", "Ada Park"]], [kind])[kind] == "b"


def test_fields_show_by_project(sg: Any) -> None:
    """A studio's own field can be hidden in one project; a standard one cannot."""
    name = sg.schema_field_create("Asset", "text", "Note to Self")
    sg.schema_field_update("Asset", name, {"visible": False}, PROJECT)

    def shows(project: Any) -> Any:
        return sg.schema_field_read("Asset", name, project)[name]["visible"]

    assert shows(PROJECT) == {"editable": True, "value": False}
    assert shows(None) == shows({"type": "Project", "id": 2}) == {"editable": True, "value": True}
    sg.schema_field_update("Asset", name, {"visible": True}, PROJECT)
    assert shows(PROJECT)["value"] is True
    assert sg.schema_field_read("Asset", "code")["code"]["visible"]["editable"] is False
    with pytest.raises(Fault, match="'visible' needs a 'project'"):
        sg.schema_field_update("Asset", name, {"visible": False})


def test_latest_for_each_record(site: Sandbox, sg: Any, shot: dict[str, Any]) -> None:
    """The preset LATEST returns the newest matching version of each record."""
    other = site.create("Shot", {"code": "other", "project": PROJECT})
    for code, entity, status in (
        ("a1", shot, "rev"),
        ("a2", shot, "rev"),
        ("a3", shot, "na"),
        ("b1", other, "rev"),
    ):
        values = {"code": code, "entity": entity, "sg_status_list": status, "project": PROJECT}
        site.create("Version", values)
    preset = [{"preset_name": "LATEST", "latest_by": "ENTITIES_CREATED_AT"}]
    filters = [["entity", "in", [shot, other]], ["sg_status_list", "is", "rev"]]
    versions_found = sg.find("Version", filters, ["code"], additional_filter_presets=preset)
    assert [version["code"] for version in versions_found] == ["a2", "b1"]


@pytest.mark.parametrize(
    "presets",
    [3, [3], [{}], [{"preset_name": "NOPE"}], [{"preset_name": "LATEST", "latest_by": "x"}]],
    ids=str,
)
def test_invalid_presets(sg: Any, presets: Any) -> None:
    """Anything but one known preset is refused."""
    with pytest.raises(Fault, match="preset"):
        sg.find("Version", [], additional_filter_presets=presets)


def test_a_version_note_and_reply_are_by_their_caller(site: Sandbox) -> None:
    """The creator is the author, unless somebody else is named."""
    note = site.create("Note", {"content": "x"}, user="ada")
    reply = {"content": "y", "entity": note, "user": {"type": "HumanUser", "id": 2}}
    site.create("Reply", reply, user="ada")
    by = [site.find(kind, [["content", "in", ["x", "y"]]], ["user"]) for kind in ("Note", "Reply")]
    assert [rows[-1]["user"]["name"] for rows in by] == ["Ada Park", "Bruno Silva"]
