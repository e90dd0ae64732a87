"""The schema: which types and fields there are, as the client reads it."""

from __future__ import annotations

from typing import Any

import pytest

from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.entity_schema import Field


@pytest.fixture
def site(empty: Sandbox) -> Sandbox:
    """A site with a shot, which has events."""
    empty.create("Shot", {"code": "x"})
    return empty


def test_entity_types(sg: Any) -> None:
    """`schema_entity_read` lists the types with their names for people."""
    types = sg.schema_entity_read()
    assert {"Shot", "Asset", "Task", "Version", "Note", "Playlist", "CustomEntity06"} <= set(types)
    assert types["ApiUser"] == {
        "name": {"editable": False, "value": "Script"},
        "visible": {"editable": False, "value": True},
    }


def test_fields_of_a_type(sg: Any) -> None:
    """`schema_field_read` returns data type, label, links and values of a field."""
    fields = sg.schema_field_read("Task")
    assert fields["entity"]["data_type"]["value"] == "entity"
    assert "Shot" in fields["entity"]["properties"]["valid_types"]["value"]
    assert fields["created_at"]["editable"]["value"] is False
    status = sg.schema_field_read("Task", "sg_status_list")
    assert list(status) == ["sg_status_list"]
    properties = status["sg_status_list"]["properties"]
    assert "wtg" in properties["valid_values"]["value"]
    assert properties["default_value"]["value"] == "wtg"


def test_whole_schema(sg: Any) -> None:
    """`schema_read` returns the fields of all types."""
    schema = sg.schema_read()
    assert schema.keys() == sg.schema_entity_read().keys()
    assert schema["Task"] == sg.schema_field_read("Task")


def test_every_field_can_be_read(site: Sandbox, sg: Any) -> None:
    """Each field of the schema can be read, of records and of events."""
    for entity_type, fields in sg.schema_read().items():
        row = sg.find_one(entity_type, [], list(fields))
        assert row is None or row.keys() == fields.keys()


def test_fields_can_be_added(site: Sandbox, sg: Any) -> None:
    """A studio's own field is added from Python and works like any other."""
    project = site.create("Project", {"name": "p"})
    site.add_field("Shot", Field("sg_slate", "text", "Slate"))
    sg.create("Shot", {"code": "x", "project": project, "sg_slate": "12A"})
    assert sg.find_one("Shot", [["sg_slate", "is", "12a"]], ["code"])["code"] == "x"
    assert sg.schema_field_read("Shot", "sg_slate")["sg_slate"]["name"]["value"] == "Slate"
