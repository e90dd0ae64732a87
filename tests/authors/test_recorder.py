"""The recorder, which stands in for the client without a site."""

from __future__ import annotations

from typing import Any

import pytest

from sgevents_core.errors import NotAnsweredError
from sgevents_core.testing import Recorder, Write

SHOTS = [
    {"type": "Shot", "id": 1, "code": "a", "project": {"type": "Project", "id": 5}, "cut": 3},
    {"type": "Shot", "id": 2, "code": "b", "project": {"type": "Project", "id": 6}, "cut": None},
    {"type": "Shot", "id": 3, "code": "c", "project": {"type": "Project", "id": 5}, "cut": 1},
    {"type": "Asset", "id": 1, "code": "a"},
]


@pytest.fixture
def writes() -> list[Write]:
    """The recorded writes."""
    return []


@pytest.fixture
def sg(writes: list[Write]) -> Recorder:
    """A recorder with some records."""
    return Recorder(SHOTS, writes.append)


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ([], [1, 2, 3]),
        ([["id", "is", 2]], [2]),
        ([["id", "is_not", 2]], [1, 3]),
        ([["id", "in", [1, 3]]], [1, 3]),
        ([["id", "in", 1, 3]], [1, 3]),
        ([["code", "not_in", ["a", "b"]]], [3]),
        (
            [["project", "is", {"type": "Project", "id": 5, "name": "Fox"}], ["code", "is", "a"]],
            [1],
        ),
        ([("cut", "is", None)], [2]),
    ],
)
def test_records_are_found(sg: Recorder, filters: Any, ids: list[int]) -> None:
    """All conditions must hold; links are equal if they lead to the same record."""
    assert [record_found["id"] for record_found in sg.find("Shot", filters)] == ids


def test_fields_order_and_limit(sg: Recorder) -> None:
    """Requested fields are returned, None if a record lacks one; empty values sort lowest."""
    order = [{"field_name": "cut", "direction": "desc"}]
    assert sg.find("Shot", [], ["code"], order=order, limit=2) == [
        {"type": "Shot", "id": 1, "code": "a"},
        {"type": "Shot", "id": 3, "code": "c"},
    ]
    ascending = [{"field_name": "cut", "direction": "asc"}]
    assert sg.find_one("Shot", [], ["code"], order=ascending) == {
        "type": "Shot",
        "id": 2,
        "code": "b",
    }
    assert sg.find_one("Shot", [["id", "is", 1]], ["frames"]) == {
        "type": "Shot",
        "id": 1,
        "frames": None,
    }
    assert sg.find_one("Task", []) is None


def test_written_values_can_be_read_back(sg: Recorder, writes: list[Write]) -> None:
    """Writes are recorded in order, and change the records."""
    note = sg.create("Note", {"subject": "hi"})
    sg.update("Note", note["id"], {"subject": "ho"})
    sg.update("Task", 77, {"content": "comp"})
    sg.delete("Shot", 2)
    assert sg.find_one("Note", [], ["subject"]) == {**note, "subject": "ho"}
    assert sg.find_one("Task", [["id", "is", 77]], ["content"]) is not None
    assert [shot["id"] for shot in sg.find("Shot", [])] == [1, 3]
    sg.revive("Shot", 2)
    assert len(sg.find("Shot", [])) == 3
    assert writes == [
        ("create", "Note", note["id"], {"subject": "hi"}),
        ("update", "Note", note["id"], {"subject": "ho"}),
        ("update", "Task", 77, {"content": "comp"}),
        ("delete", "Shot", 2, {}),
        ("revive", "Shot", 2, {}),
    ]


def test_batch_and_uploads(sg: Recorder, writes: list[Write]) -> None:
    """Each request of a batch is a write; a thumbnail is an upload."""
    answers = sg.batch(
        [
            {"request_type": "create", "entity_type": "Note", "data": {"subject": "a"}},
            {"request_type": "update", "entity_type": "Shot", "entity_id": 1, "data": {"cut": 9}},
            {"request_type": "delete", "entity_type": "Shot", "entity_id": 2},
        ]
    )
    first = sg.upload("Shot", 1, "a.mov", "sg_movie")
    assert sg.upload_thumbnail("Shot", 1, "a.jpg") != first
    assert [answer if answer is True else answer["type"] for answer in answers] == [
        "Note",
        "Shot",
        True,
    ]
    assert [write.method for write in writes] == ["create", "update", "delete", "upload", "upload"]
    assert writes[-1].data == {"path": "a.jpg", "field_name": "thumb_image"}
    sg.close()


def test_recorded_writes_do_not_change(sg: Recorder, writes: list[Write]) -> None:
    """A plugin may change what it wrote or read afterwards."""
    data: dict[str, Any] = {"tags": ["a"]}
    sg.update("Shot", 1, data)
    data["tags"].append("b")
    record_found = sg.find_one("Shot", [["id", "is", 1]], ["tags"])
    assert record_found is not None
    record_found["tags"].append("c")
    assert writes[0].data == {"tags": ["a"]}
    assert sg.find_one("Shot", [["id", "is", 1]], ["tags"]) == {
        "type": "Shot",
        "id": 1,
        "tags": ["a"],
    }


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda sg: sg.find("Shot", [["code", "contains", "a"]]), "'contains' of 'code'"),
        (lambda sg: sg.find("Shot", [{"filter_operator": "any", "filters": []}]), "the filter"),
        (lambda sg: sg.find("Shot", [], retired_only=True), "retired_only"),
        (lambda sg: sg.schema_read(), r"sg\.schema_read"),
    ],
)
def test_the_rest_is_refused(sg: Recorder, ask: Any, what: str) -> None:
    """The error names what was called, and what to use instead."""
    with pytest.raises(NotAnsweredError, match=what):
        ask(sg)
