"""Unknown names and invalid values are refused with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from shotgun_api3.shotgun import Fault, Shotgun

from sgevents_core.sandbox import Sandbox


@pytest.fixture(scope="module")
def strict() -> Iterator[Any]:
    """The client of a site that refuses all calls of these tests."""
    with Sandbox() as site:
        client = Shotgun(site.url, site.script_name, site.api_key)
        yield client
        client.close()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda sg: sg.find("Shoot", []), "entity 'type'"),
        (lambda sg: sg.find("Shot", [["nope", "is", 1]]), "Shot.nope doesn't exist"),
        (lambda sg: sg.find("Task", [["entity.Shot.nope", "is", 1]]), "Shot.nope doesn't exist"),
        (
            lambda sg: sg.find("Task", [["entity.Bogus.code", "is", 1]]),
            r"Task\.entity\.Bogus\.code doesn't exist",
        ),
        (
            lambda sg: sg.summarize("Shot", [], [], grouping=[{"field": "image", "type": "exact"}]),
            r"Grouping is not allowed for field Shot\.image",
        ),
        (
            lambda sg: sg.batch(
                [
                    {
                        "request_type": "update",
                        "entity_type": "Shot",
                        "entity_id": 1,
                        "data": {"nope": 1},
                    }
                ]
            ),
            "request with index 0 failed",
        ),
        (
            lambda sg: sg._call_rpc("batch", [{"request_type": "revive", "type": "Shot", "id": 1}]),
            "'request_type': .revive.",
        ),
        (
            lambda sg: sg.create(
                "Note", {"project": {"type": "Project", "id": 1}, "client_note": True}
            ),
            "Client Notes can not be created through the API",
        ),
        (lambda sg: sg.update("Note", 1, {"client_note": False}), "is editable on create only"),
        (lambda sg: sg.update("Project", 1, {"start_date": "2026-01-01"}), "is read only"),
        (lambda sg: sg.update("Task", 1, {"time_percent_of_est": 50}), "is read only"),
        (lambda sg: sg.delete("Reply", sg.create("Reply", {})["id"]), "Delete failed for .Reply"),
        (lambda sg: sg.find("Shot", [["code.Shot.id", "is", 1]]), "doesn't exist"),
        (lambda sg: sg.find("Shot", [["code", "close_to", "x"]]), "'close_to' 'relation'"),
        (
            lambda sg: sg.find("Shot", [["id", "is", "x"]]),
            "Invalid data for 'number' data type. Value: x",
        ),
        (lambda sg: sg.find("Shot", [["id", "between", 1]]), "expects a 2-element array"),
        (lambda sg: sg.find("Shot", [["id", "in", []]]), "at least a 1-element array"),
        (lambda sg: sg.find("Shot", [["assets", "is", [1, 2]]]), "expects a 1-element array"),
        (
            lambda sg: sg.find("Task", [["entity", "is", 5]]),
            "expected .Hash, .* but got Integer: 5",
        ),
        (lambda sg: sg.find("Shot", [["assets", "is", 5]]), "invalid/missing entity hash: 5"),
        (lambda sg: sg.find("EventLogEntry", [["meta", "is", None]]), "cannot be used in a filter"),
        (lambda sg: sg.create("Shot", {"nope": 1}), "Shot.nope doesn't exist"),
        (lambda sg: sg.create("Shot", {"id": 1}), "Shot.id is read only"),
        (lambda sg: sg.create("Shot", {"code": 1}), "but got Integer: 1"),
        (lambda sg: sg.create("Shot", {"sg_cut_in": True}), "but got TrueClass: true"),
        (lambda sg: sg.create("Shot", {"sg_vfx": None}), "but got NilClass: nil"),
        (lambda sg: sg.create("Task", {"due_date": "soon"}), "Invalid date format: soon"),
        (lambda sg: sg.create("Shot", {"sg_status_list": "none"}), "'none' is not a valid status"),
        (lambda sg: sg.create("Shot", {"assets": None}), "expected .Array, Hash."),
        (lambda sg: sg.create("Task", {"entity": {"type": "Shot"}}), "hash integer 'id'"),
        (lambda sg: sg.create("Task", {"entity": {"type": "Shot", "id": 999}}), "not legal"),
        (
            lambda sg: sg.create("Task", {"project": {"type": "Step", "id": 1}}),
            "Project expected, got Step",
        ),
        (lambda sg: sg.update("Shot", 999, {"code": "x"}), "does not exist"),
        (lambda sg: sg.delete("Shot", 999), "does not exist"),
        (lambda sg: sg.revive("Shot", 999), "does not exist"),
        (lambda sg: sg.update("EventLogEntry", 1, {"description": "x"}), "cannot be changed"),
        (lambda sg: sg.delete("EventLogEntry", 1), "cannot be changed"),
        (lambda sg: sg.schema_field_read("Shot", "nope"), "Shot.nope doesn't exist"),
        (
            lambda sg: sg.find("Shot", [], additional_filter_presets=[{"preset_name": "LATEST"}]),
            "invalid filter preset",
        ),
        (lambda sg: sg._call_rpc("frobnicate", {}), "'frobnicate' does not exist"),
    ],
)
def test_unknown_names_and_invalid_values_are_faults(
    strict: Any, call: Callable[[Any], Any], message: str
) -> None:
    """Unknown types, fields, relations, values and methods are a Fault that states the reason."""
    with pytest.raises(Fault, match=message):
        call(strict)


@pytest.mark.parametrize(
    "values", [{}, {"project": {"type": "Project", "id": 1}, "sg_cut_in": "x"}, {"nope": 1}]
)
def test_a_refused_create_uses_up_no_ids(empty: Sandbox, values: dict[str, Any]) -> None:
    """Invalid values are refused before the log hands out an id."""
    project = empty.create("Project", {"name": "p"})
    before = empty.log.next_id
    client = Shotgun(empty.url, empty.script_name, empty.api_key)
    with pytest.raises(Fault):
        client.create("Shot", {**values, **({"project": project} if "project" in values else {})})
    client.close()
    assert empty.log.next_id == before
