"""The recorder, which stands in for the client without a site."""

from __future__ import annotations

import inspect
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from sgevents_core.errors import NotAnsweredError
from sgevents_core.sandbox.filter_relations import POSITIVE_RELATIONS, RELATIONS_BY_TYPE
from sgevents_core.site_client import SiteClient
from sgevents_core.testing import Recorder, Write
from sgevents_core.testing.recorded_filters import _TESTS

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


NOW = datetime.now(timezone.utc)
TASKS = [
    {
        "type": "Task",
        "id": 1,
        "content": "Comp final",
        "cost": 3,
        "due_date": NOW.date().isoformat(),
        "updated_at": NOW - timedelta(hours=2),
        "entity": {"type": "Shot", "id": 1, "name": "sh010"},
        "task_assignees": [{"type": "HumanUser", "id": 7, "name": "Ada"}],
    },
    {
        "type": "Task",
        "id": 2,
        "content": "anim",
        "cost": 8,
        "due_date": (NOW + timedelta(days=400)).date().isoformat(),
        "updated_at": (NOW - timedelta(days=40)).isoformat(),
        "entity": {"type": "Asset", "id": 9, "name": "Fox"},
        "task_assignees": [],
    },
    {"type": "Task", "id": 3, "content": None, "cost": None, "entity": None},
    {"type": "Shot", "id": 1, "code": "sh010", "sg_sequence": {"type": "Sequence", "id": 4}},
    {"type": "Sequence", "id": 4, "code": "sq01"},
]


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ([["content", "contains", "FINAL"]], [1]),
        ([["content", "not_contains", "final"]], [2, 3]),
        ([["content", "starts_with", "comp"]], [1]),
        ([["content", "ends_with", "nim"]], [2]),
        ([["cost", "less_than", 8]], [1]),
        ([["cost", "greater_than", 3]], [2]),
        ([["cost", "between", 3, 8]], [1, 2]),
        ([["cost", "between", [4, 8]]], [2]),
        ([["cost", "not_between", 4, 8]], [1, 3]),
        ([["entity", "type_is", "Shot"]], [1]),
        ([["entity", "type_is_not", "Shot"]], [2, 3]),
        ([["entity", "type_is", None]], [3]),
        ([["entity", "name_is", "fox"]], [2]),
        ([["entity", "name_contains", "SH"]], [1]),
        ([["entity", "name_not_contains", "sh"]], [2, 3]),
        ([["task_assignees", "is", {"type": "HumanUser", "id": 7}]], [1]),
        ([["task_assignees", "in", [{"type": "HumanUser", "id": 7}, None]]], [1, 2, 3]),
        ([["task_assignees", "is", None]], [2, 3]),
        ([["task_assignees", "name_contains", "ad"]], [1]),
        ([["updated_at", "in_last", 3, "HOUR"]], [1]),
        ([["updated_at", "not_in_last", 3, "HOUR"]], [2, 3]),
        ([["updated_at", "in_last", 2, "MONTH"]], [1, 2]),
        ([["due_date", "in_next", 2, "YEAR"]], [1, 2]),
        ([["due_date", "not_in_next", 1, "DAY"]], [2, 3]),
        ([["due_date", "in_calendar_day", 0]], [1]),
        ([["due_date", "in_calendar_week", 0]], [1]),
        ([["due_date", "in_calendar_month", 0]], [1]),
        ([["due_date", "in_calendar_year", 0]], [1]),
        ([["updated_at", "less_than", NOW - timedelta(days=1)]], [2]),
        ([["updated_at", "greater_than", (NOW - timedelta(days=1)).isoformat()]], [1]),
        ([["entity.Shot.code", "is", "sh010"]], [1]),
        ([["entity.Shot.sg_sequence.Sequence.code", "is", "sq01"]], [1]),
        (
            [
                {
                    "filter_operator": "any",
                    "filters": [
                        ["id", "is", 3],
                        {
                            "filter_operator": "all",
                            "filters": [["cost", "is", 8], ["content", "is", "anim"]],
                        },
                    ],
                }
            ],
            [2, 3],
        ),
    ],
)
def test_every_relation_is_answered(filters: Any, ids: list[int]) -> None:
    """As a site answers it, also for fields of linked records and groups of filters."""
    sg = Recorder(TASKS, lambda write: None)
    assert [found["id"] for found in sg.find("Task", filters)] == ids


def test_relations_are_those_of_the_sandbox() -> None:
    """There is none that the sandbox knows and the recorder does not."""
    relations = {relation for accepted in RELATIONS_BY_TYPE.values() for relation in accepted}
    values: dict[str, list[Any]] = {"between": [1, 2], "in_last": [1, "DAY"], "in_next": [1, "DAY"]}
    sg = Recorder([], lambda write: None)
    for relation in sorted(relations):
        expected = values.get(relation.removeprefix("not_"), [None])
        assert sg.find("Task", [["x", relation, *expected]]) == []
    assert {POSITIVE_RELATIONS.get(one, one) for one in relations} <= set(_TESTS)


def test_any_and_retired(writes: list[Write]) -> None:
    """Options of `find`: any of the filters, and records that the plugin has deleted."""
    sg = Recorder(SHOTS, writes.append)
    filters = [["code", "is", "a"], ["cut", "is", 1]]
    assert [one["id"] for one in sg.find("Shot", filters, filter_operator="any")] == [1, 3]
    sg.delete("Shot", 1)
    assert sg.find_one("Shot", [["id", "is", 1]], ["code"]) is None
    retired = sg.find_one("Shot", [["id", "is", 1]], ["code"], retired_only=True)
    assert retired == {"type": "Shot", "id": 1, "code": "a"}


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


def test_arguments_may_be_given_by_position(sg: Recorder) -> None:
    """As with the client, in its order: order, operator, limit, retired, page."""
    order = [{"field_name": "id", "direction": "desc"}]
    found = sg.find("Shot", [["code", "in", ["a", "b", "c"]]], ["code"], order, "any", 1, False, 2)
    assert found == [{"type": "Shot", "id": 2, "code": "b"}]
    assert sg.find_one("Shot", [], ["code"], order) == {"type": "Shot", "id": 3, "code": "c"}


@pytest.mark.parametrize(
    "method",
    ["find", "find_one", "create", "update", "delete", "revive", "batch", "upload"],
)
def test_methods_take_what_those_of_the_client_take(method: str) -> None:
    """By the same names, in the same order."""
    ours = inspect.signature(getattr(Recorder, method)).parameters
    theirs = inspect.signature(getattr(SiteClient, method)).parameters
    assert list(ours) == list(theirs)


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
        (lambda sg: sg.find("Shot", [["code", "resembles", "a"]]), "'resembles' of 'code'"),
        (lambda sg: sg.find("Shot", [["code", "is"]]), "the filter"),
        (lambda sg: sg.find("Shot", [], filter_operator="none"), "operator 'none'"),
        (lambda sg: sg.find("Shot", [["cut", "less_than", "three"]]), "'less_than' of 'cut'"),
        (lambda sg: sg.find("Shot", [["cut", "in_last", 3, "FORTNIGHT"]]), "'in_last' of 'cut'"),
        (lambda sg: sg.find("Shot", [["cut", "between", 3]]), "'between' of 'cut'"),
        (
            lambda sg: sg.find("Shot", [], additional_filter_presets=[{"preset_name": "LATEST"}]),
            "sg.find with additional_filter_presets",
        ),
        (lambda sg: sg.schema_read(), r"sg\.schema_read"),
    ],
)
def test_the_rest_is_refused(sg: Recorder, ask: Any, what: str) -> None:
    """The error names what was called, and what to use instead."""
    with pytest.raises(NotAnsweredError, match=what):
        ask(sg)


@pytest.mark.parametrize(("mode", "ids"), [("add", [1, 2, 3]), ("remove", [1]), ("set", [3, 2])])
@pytest.mark.parametrize("in_batch", [False, True])
def test_links_are_merged_as_the_update_mode_says(
    mode: str, ids: list[int], in_batch: bool
) -> None:
    """Reading back gives what a site would give; the write has the values as they were given."""
    writes: list[Write] = []
    old_links = [{"type": "Asset", "id": 1}, {"type": "Asset", "id": 2}]
    sg = Recorder([{"type": "Shot", "id": 1, "assets": old_links}], writes.append)
    data = {"assets": [{"type": "Asset", "id": 3}, {"type": "Asset", "id": 2, "name": "fox"}]}
    modes = {"assets": mode}
    if in_batch:
        record = {"entity_type": "Shot", "entity_id": 1}
        request = {"request_type": "update", **record, "data": data}
        sg.batch([{**request, "multi_entity_update_modes": modes}])
    else:
        sg.update("Shot", 1, data, multi_entity_update_modes=modes)
    shot = sg.find_one("Shot", [["id", "is", 1]], ["assets"])
    assert shot is not None
    assert sorted(link["id"] for link in shot["assets"]) == sorted(ids)
    assert writes == [("update", "Shot", 1, data)]


def test_update_mode_that_does_not_exist_is_not_answered(sg: Recorder) -> None:
    """As a site refuses it."""
    with pytest.raises(NotAnsweredError, match="append"):
        sg.update("Shot", 1, {"assets": []}, multi_entity_update_modes={"assets": "append"})
