"""Every write causes the rows of the event log that a real site writes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from sgevents_core.sandbox import Sandbox

Log = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def new(empty: Sandbox) -> Log:
    """Returns the rows since the last call."""
    seen = [0]

    def rows() -> list[dict[str, Any]]:
        rows_found = empty.event_rows()
        fresh = [row for row in rows_found if row["id"] > seen[0]]
        seen[0] = empty.log.highest_id
        return fresh

    return rows


def short(row: dict[str, Any]) -> tuple[str, str | None]:
    """A row in a few words."""
    return row["event_type"], row["attribute_name"]


def test_creating_makes_a_new_row_and_one_for_each_value(empty: Sandbox, new: Log) -> None:
    """`_New` first, then a `_Change` with `in_create` for each value set, defaults included."""
    project = empty.create("Project", {"name": "Demo"})
    new()
    shot = empty.create("Shot", {"code": "x", "project": project, "sg_cut_in": 0})
    first, *others = new()
    link = {"type": "Shot", "id": shot["id"], "name": "x"}
    assert short(first) == ("Shotgun_Shot_New", None)
    assert first["meta"] == {"type": "new_entity", "entity_type": "Shot", "entity_id": shot["id"]}
    assert first["entity"] == link
    assert first["project"] == {"type": "Project", "id": project["id"], "name": "Demo"}
    assert first["user"] == {"type": "ApiUser", "id": 1, "name": "sgevents 1.0"}
    values = {row["attribute_name"]: row["meta"]["new_value"] for row in others}
    linked = {**first["project"], "valid": "valid"}
    assert values == {"code": "x", "project": linked, "sg_cut_in": 0, "sg_status_list": "wtg"}
    assert all(row["meta"]["in_create"] is True for row in others)
    assert all(row["meta"]["old_value"] is None for row in others)
    assert {row["event_type"] for row in others} == {"Shotgun_Shot_Change"}
    assert all(row["entity"] == link for row in others)


def test_updating_makes_a_row_for_each_value_that_changes(empty: Sandbox, new: Log) -> None:
    """`_Change` has the old and new value and the data type; an equal value causes no row."""
    shot = empty.create("Shot", {"code": "x"})
    new()
    empty.update("Shot", shot["id"], {"code": "x", "sg_status_list": "ip", "sg_cut_in": 5})
    status, cut = new()
    assert short(status) == ("Shotgun_Shot_Change", "sg_status_list")
    assert status["meta"] == {
        "type": "attribute_change",
        "attribute_name": "sg_status_list",
        "entity_type": "Shot",
        "entity_id": shot["id"],
        "field_data_type": "status_list",
        "old_value": "wtg",
        "new_value": "ip",
    }
    assert (cut["meta"]["old_value"], cut["meta"]["new_value"]) == (None, 5)


def test_many_links_have_added_and_removed(empty: Sandbox, new: Log) -> None:
    """A multi-entity field's row has `added` and `removed` instead of the old and new value."""
    fox, hare = (empty.create("Asset", {"code": code}) for code in ("Fox", "Hare"))
    shot = empty.create("Shot", {"code": "x", "assets": [fox]})
    new()
    empty.update("Shot", shot["id"], {"assets": [hare]})
    row, *_ = new()
    assert row["attribute_name"] == "assets"
    assert [link["name"] for link in row["meta"]["added"]] == ["Hare"]
    assert [link["name"] for link in row["meta"]["removed"]] == ["Fox"]
    assert not {"old_value", "new_value"} & row["meta"].keys()


def test_back_references_name_the_original_record(empty: Sandbox, new: Log) -> None:
    """The other end of a link has a row whose `meta` names the record of the original change."""
    shot = empty.create("Shot", {"code": "x"})
    new()
    task = empty.create("Task", {"content": "comp", "entity": shot})
    rows = new()
    cause = next(row for row in rows if row["attribute_name"] == "entity")
    back = next(row for row in rows if row["event_type"] == "Shotgun_Shot_Change")
    assert back["attribute_name"] == "tasks"
    assert back["entity"] == {"type": "Shot", "id": shot["id"], "name": "x"}
    link = {"type": "Task", "id": task["id"], "name": "comp", "valid": "valid", "status": "wtg"}
    assert back["meta"] == {
        "type": "attribute_change",
        "attribute_name": "tasks",
        "actual_attribute_changed": "Task.entity",
        "original_event_log_entry_id": cause["id"],
        "entity_type": "Task",
        "entity_id": task["id"],
        "field_data_type": "entity",
        "added": [link],
        "removed": [],
        "in_create": True,
    }


def test_back_references_of_a_link_that_moves(empty: Sandbox, new: Log) -> None:
    """Moving a link from the side that lists it causes rows for all three records."""
    first, two = (empty.create("Sequence", {"code": code}) for code in ("one", "two"))
    shot = empty.create("Shot", {"code": "x", "sg_sequence": first})
    new()
    empty.update("Sequence", two["id"], {"shots": [shot]})
    rows = new()
    assert [(row["entity"]["name"], row["attribute_name"]) for row in rows] == [
        ("two", "shots"),
        ("one", "shots"),
        ("x", "sg_sequence"),
    ]
    assert [link["name"] for link in rows[1]["meta"]["removed"]] == ["x"]
    assert rows[2]["meta"]["old_value"]["name"] == "one"
    assert rows[2]["meta"]["new_value"]["name"] == "two"


def test_retirement_and_revival(empty: Sandbox, new: Log) -> None:
    """A retired record disappears from all its rows, old ones too, until it is revived."""
    shot = empty.create("Shot", {"code": "x"})
    first, *_ = new()
    empty.delete("Shot", shot["id"])
    retirement, dated = new()
    assert short(retirement) == ("Shotgun_Shot_Retirement", None)
    assert retirement["meta"]["type"] == "entity_retirement"
    assert retirement["meta"]["entity_type"] == "Shot"
    assert retirement["meta"]["entity_id"] == shot["id"]
    assert retirement["meta"]["display_name"] == "x"
    assert retirement["entity"] is dated["entity"] is None
    assert short(dated) == ("Shotgun_Shot_Change", "retirement_date")
    date = dated["meta"]["new_value"]
    assert date.endswith(" UTC")
    assert date == retirement["meta"]["retirement_date"]
    assert empty.event_rows(first["id"])[0]["entity"] is None
    empty.revive("Shot", shot["id"])
    (revival,) = new()
    assert short(revival) == ("Shotgun_Shot_Revival", None)
    assert revival["meta"]["type"] == "entity_revival"
    assert revival["meta"]["entity_id"] == shot["id"]
    assert revival["entity"]["name"] == "x"
    assert empty.event_rows(first["id"])[0]["entity"]["name"] == "x"


def test_entities_show_the_name_they_have_now(empty: Sandbox, new: Log) -> None:
    """Old rows show a renamed record under its new name."""
    shot = empty.create("Shot", {"code": "x"})
    first, *_ = new()
    empty.update("Shot", shot["id"], {"code": "y"})
    assert empty.event_rows(first["id"])[0]["entity"]["name"] == "y"


def test_thumbnails_come_twice(empty: Sandbox, new: Log) -> None:
    """A changed thumbnail has `is_transient` true, then false; its values are ids of pictures."""
    version = empty.create("Version", {"code": "v1"})
    new()
    picture = empty.thumbnail("Version", version["id"])
    *_, pending, done = new()
    assert short(pending) == short(done) == ("Shotgun_Version_Change", "image")
    assert [row["meta"]["is_transient"] for row in (pending, done)] == [True, False]
    assert [row["meta"]["new_value"] for row in (pending, done)] == [picture, picture]
    empty.update("Version", version["id"], {"image": None})
    (gone,) = new()
    assert (gone["meta"]["old_value"], gone["meta"]["new_value"]) == (picture, None)


def test_own_event_types_are_made_through_the_api(empty: Sandbox, new: Log) -> None:
    """A studio writes rows of its own, with any type, any meta, links or none."""
    project = empty.create("Project", {"name": "Demo"})
    new()
    meta = {"job": 7, "frames": [1, 2]}
    event_id = empty.event("Studio_Farm_Job_Done", meta=meta, project=project, entity=project)
    text = empty.event("odd", meta='{"job": 7}', description="A job")
    studio_row, odd = new()
    assert (studio_row["id"], odd["id"]) == (event_id, text)
    assert studio_row["event_type"] == "Studio_Farm_Job_Done"
    assert studio_row["meta"] == meta
    assert studio_row["project"]["name"] == studio_row["entity"]["name"] == "Demo"
    assert (odd["meta"], odd["project"], odd["description"]) == ('{"job": 7}', None, "A job")


def test_rows_are_described(empty: Sandbox, new: Log) -> None:
    """Each row has a description for people."""
    shot = empty.create("Shot", {"code": "x"})
    new()
    empty.update("Shot", shot["id"], {"sg_cut_in": 5})
    (row,) = new()
    assert row["description"] == 'sgevents 1.0 changed "sg_cut_in" on "x"'
    assert row["cached_display_name"] == "Shotgun_Shot_Change"


def test_project_of_a_row(empty: Sandbox, new: Log) -> None:
    """A row has the project of its record; a Project's row itself; a Reply's none."""
    project = empty.create("Project", {"name": "Demo"})
    note = empty.create("Note", {"subject": "n", "project": project})
    empty.create("Reply", {"content": "r", "entity": note})
    by_type = {row["event_type"]: row["project"] for row in new()}
    assert by_type["Shotgun_Project_New"]["name"] == "Demo"
    assert by_type["Shotgun_Note_New"]["name"] == "Demo"
    assert by_type["Shotgun_Reply_New"] is None


def test_people_can_be_behind_it(site: Sandbox) -> None:
    """Direct writes can be made as a person."""
    shot = site.create("Shot", {"code": "x"}, user="chidi")
    row = site.find("EventLogEntry", [["entity", "is", shot]], ["user"])[0]
    assert row["user"]["name"] == "Chidi Okoye"
    with pytest.raises(KeyError):
        site.create("Shot", {"code": "x"}, user="nobody")


def test_direct_calls_are_written_as_for_the_client(site: Sandbox) -> None:
    """Update modes, nested groups, retired records and datetimes work directly as well."""
    first, two = site.find("Asset", [], ["code"])[:2]
    shot = site.create("Shot", {"code": "x", "assets": [first]})
    site.update("Shot", shot["id"], {"assets": [two]}, {"assets": "add"}, user="ada")
    either = {
        "filter_operator": "any",
        "filters": [["assets", "is", two], ["created_at", "less_than", datetime(1999, 1, 1)]],
    }
    (rows_found,) = site.find("Shot", [["code", "is", "x"], either], ["assets", "updated_by"])
    assert [asset["name"] for asset in rows_found["assets"]] == [first["code"], two["code"]]
    assert rows_found["updated_by"]["name"] == "Ada Park"
    assert site.delete("Shot", shot["id"], user="ada")
    assert site.find("Shot", [["code", "is", "x"]]) == []
    assert len(site.find("Shot", [["code", "is", "x"]], retired=True)) == 1


def test_odd_text_is_answered(empty: Sandbox, connect: Any) -> None:
    """A lone surrogate in a row is sent escaped, as a real site does."""
    odd = "half \ud83d of one"
    event_id = empty.event("Studio_Odd", description=odd)
    row = connect(empty).find_one("EventLogEntry", [["id", "is", event_id]], ["description"])
    assert row["description"] == odd
